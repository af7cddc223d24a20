"""Questions about namespaces and pairs that nothing here leads into any more.

They are the engine's: a plan is about what is to be, and has no use for them.
"""

from __future__ import annotations

from .query import Link, Query
from .value import Value


class Pair(Value):
    """A pair by its end on the host, which is a port of `bridge`, None where it is none.

    `peer` is the other end, and `addresses` what that has, in CIDR form; None where its namespace
    can't be looked into.
    """

    end: Link
    bridge: Link | None
    peer: Link | None
    addresses: tuple[str, ...] | None


class PairNamed(Query["Pair | None"]):
    """`ip -d link show NAME; ip -d addr show` of its other end, wherever that is; None without."""

    name: str


class Bridges(Query[tuple[Link, ...]]):
    """`ip -d link show type bridge`"""


class NumberKnown(Query["bool | None"]):
    """`ip netns list-id nsid NUMBER`: whether the host knows a living namespace by that number.

    None where the kernel does not say.
    """

    number: int


class LinksNumbered(Query[tuple[Link, ...] | None]):
    """`ip -d link show` in the namespace of that number; None where it can't be looked into."""

    number: int


class AddressesNumbered(Query["tuple[str, ...] | None"]):
    """`ip addr show` in the namespace of that number, in CIDR form; None as above."""

    number: int


class PairStands(Query["bool | None"]):
    """Whether any pair's end on the host has MAC `mac`, or another end of MAC `peer_mac`.

    So it is found renamed, too, or given another MAC. It looks through all there are. None where
    one of them can't be looked at.
    """

    mac: str
    peer_mac: str
