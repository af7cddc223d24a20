"""Kinds of links and queues that a kernel may have been built without."""

from __future__ import annotations

from typing import Literal

from .query import Query

_MODULES = {"vlan": "8021q", "tbf": "sch_tbf"}


class KernelMakes(Query[bool]):
    """Whether `ip link add type KIND` would make a link, or `tc qdisc add KIND` a queue.

    It is asked for one that can't be, so that none comes of it. The kernel loads what it needs.
    """

    what: Literal["link", "queue"]
    kind: str


def lacking(asked: KernelMakes) -> str:
    """What is to be said where it does not."""
    module = _MODULES.get(asked.kind, asked.kind)
    return (
        f"this kernel makes no {asked.what}s of kind {asked.kind}: it was built without, or its"
        f" module can't be loaded (`modprobe {module}`)"
    )
