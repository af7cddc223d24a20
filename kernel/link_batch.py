"""Kinds that are rtnetlink messages on a link, and nothing else: neighbours go out together.

A send costs more than what the kernel does for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import groupby
from typing import Any, TypeVar

from . import links
from .handler import Handler
from .places import Places
from .refusals import THERE
from .rtnl import Operation

Kind = TypeVar("Kind", bound=Any)


class LinkHandler(Handler[Kind]):
    def operations(self, resource: Kind, index: Callable[[str], int]) -> Iterable[Operation]:
        """What makes it; `index` tells that of a link. What is there already is no error."""
        raise NotImplementedError

    def settle(self, at: Places, resource: Kind) -> None:
        """What is left to do, or to wait for, once it is made."""


def create_together(at: Places, pairs: Sequence[tuple[LinkHandler[Any], Any]]) -> None:
    """All of them, in order, in one send for each place. Raises `KernelError`."""
    for place, group in groupby(pairs, lambda pair: pair[1].place):
        listed = list(group)
        sock = at.socket(place)
        index = cache(partial(links.required_index, sock))
        operations = [
            operation
            for handler, resource in listed
            for operation in handler.operations(resource, index)
        ]
        sock.transact(*operations, tolerated=THERE)
        for handler, resource in listed:
            handler.settle(at, resource)
