"""VRFs of a container: a link that has a routing table, and the interfaces whose it is."""

from __future__ import annotations

from .place import Place
from .resource import Resource, Undo


class VrfRules(Resource, kw_only=True):
    """`ip rule add l3mdev pref 1000`, of both families: who is in a VRF asks that one's table.

    The kernel makes them with a namespace's first VRF, never again, and keeps them.
    """

    kind = "vrf-rules"
    undo = Undo.LAST_USER
    may_be_found = True
    identity = ("place",)
    place: Place = "sandbox"

    def describe(self) -> str:
        return "rules by which VRFs ask their tables" + self.whereabouts


class Vrf(Resource, kw_only=True):
    """`ip link add NAME type vrf table TABLE; ip link set NAME up`

    One that another's interface is in stays.
    """

    kind = "vrf"
    undo = Undo.LAST_USER
    may_be_found = True
    identity = ("place", "name")
    place: Place = "sandbox"
    name: str
    table: int

    def describe(self) -> str:
        return f"VRF {self.name} with table {self.table}" + self.whereabouts


class VrfPort(Resource, kw_only=True):
    """`ip link set NAME master VRF`; undone by `nomaster`, of whichever VRF where `vrf` is "".

    The kernel sets the interface down and up each time, and it loses its routes.
    """

    kind = "vrf-port"
    identity = ("place", "name")
    place: Place = "sandbox"
    name: str
    vrf: str

    def describe(self) -> str:
        return f"{self.name} in VRF {self.vrf}" + self.whereabouts
