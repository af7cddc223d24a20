"""Kinds that are rtnetlink messages on a link, and nothing else: neighbours go out together.

A send costs more than what the kernel does for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from ...model.plan import Drift
from ..netlink import links
from ..netlink.refusals import THERE
from ..netlink.rtnl import Operation
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .handler import Handler

Kind = TypeVar("Kind", bound=Any)


class LinkHandler(Handler[Kind]):
    def operations(self, resource: Kind, index: Callable[[str], int]) -> Iterable[Operation]:
        """What makes it; `index` tells that of a link. What is there already is no error."""
        raise NotImplementedError

    def settle(self, at: Places, resource: Kind) -> None:
        """What is left to do, or to wait for, once it is made."""

    def mend(self, at: Places, resources: Sequence[Kind], drifts: Sequence[Drift]) -> None:
        create_together(at, [(self, resource) for resource in resources])


class _Indexes(dict[str, int]):
    """Of links, each asked for once."""

    def __init__(self, sock: Socket) -> None:
        self._sock = sock

    def __missing__(self, name: str) -> int:
        self[name] = found = links.required_index(self._sock, name)
        return found


def create_together(at: Places, pairs: Sequence[tuple[LinkHandler[Any], Any]]) -> None:
    """All of them, in order, in one send for each place. Raises `KernelError`."""
    for place, group in groupby(pairs, lambda pair: pair[1].place):
        listed = list(group)
        sock = at.socket(place)
        index = _Indexes(sock).__getitem__
        operations = [
            operation
            for handler, resource in listed
            for operation in handler.operations(resource, index)
        ]
        sock.transact(*operations, tolerated=THERE)
        for handler, resource in listed:
            handler.settle(at, resource)
