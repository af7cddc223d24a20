"""What our rules are to the kernel: as they come out in a namespace that is nobody's.

A rule is told as expressions, and only libnftables knows those of our words. So it is asked to make
the same table where nothing else is, and what the kernel tells of that is compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

from ...model.errors import KernelError
from .. import namespaces, threads
from ..netlink.nft_socket import NftSocket
from . import library, look
from .layout import Part, table_part

Expressions = Mapping[tuple[str, str], bytes]
"""By chain and comment, as the kernel tells them."""

_UNNAMED = re.compile(rb"..\x01\x00__(?:set|map)\d+\x00+", re.DOTALL)
"""A set without a name, in the rule that it is of: which number it has is of no account."""


@lru_cache(maxsize=16)
def expressions(family: str, parts: tuple[Part, ...]) -> Expressions:
    """Of the rules of our table with these parts; none where that can't be found out here."""
    try:
        with _nobodys() as namespace:
            text = "".join((table_part(family).text, *(part.text for part in parts)))
            if library.run(namespace, text):
                return {}
            socket = NftSocket(namespace)
            try:
                return of(look.rules(socket, family))
            finally:
                socket.close()
    except (OSError, KernelError):
        return {}


def of(rules: list[look.RuleSeen]) -> Expressions:
    return {(rule.chain, rule.comment): _UNNAMED.sub(b"", rule.expressions) for rule in rules}


@contextmanager
def _nobodys() -> Iterator[int]:
    """A new network namespace, which goes with its descriptor. Raises OSError."""
    opened: list[int] = []

    def make() -> None:
        namespaces.unshare()
        opened.append(namespaces.own())

    threads.run(make)
    try:
        yield opened[0]
    finally:
        os.close(opened[0])
