"""Routes in tables of their own, and the rules that lead there: questions and resources.

A route to be moved is known as it was found, so that it can be put back to the letter.
"""

from __future__ import annotations

from .place import Place
from .query import Query
from .resource import Resource
from .value import Value

MAIN_TABLE = 254
OF_THE_KERNEL = (253, 254, 255)
"""The tables `default`, `main` and `local` (linux/rtnetlink.h)."""
ROUTING = "routing"
"""The batch of what is routes and rules."""


class RouteFound(Value):
    """A unicast route as the kernel shows it; "", 0 and False where it has none of that.

    `source` is the address that is sent from by it, `priority` its metric, and `protocol` who made
    it (linux/rtnetlink.h). With `onlink` its gateway is on the link whatever other routes say.
    """

    dst: str
    gw: str = ""
    source: str = ""
    priority: int = 0
    scope: int = 0
    protocol: int = 0
    mtu: int = 0
    advmss: int = 0
    onlink: bool = False


class RoutesOn(Query["tuple[RouteFound, ...]"]):
    """`ip route show dev NAME`, of both families, in the kernel's order; () without link.

    Without those by several gateways, and those that a router advertises: the kernel keeps them.
    """

    lasts = False
    name: str
    place: Place = "sandbox"


class TableUse(Value):
    """`vrf` is one whose table it is, `interface` that of a route there; with neither, a rule asks
    it, or a route leads nowhere.
    """

    table: int
    interface: str = ""
    vrf: str = ""

    @property
    def by_what(self) -> str:
        if self.vrf:
            return f"by VRF {self.vrf}"
        return f"by routes of {self.interface}" if self.interface else "by a rule or a route"


class TablesInUse(Query["tuple[TableUse, ...]"]):
    """`ip route show table all; ip rule show; ip link show type vrf`: the tables but the kernel's
    own, and by what they are in use.
    """

    lasts = False
    place: Place = "sandbox"


class SourceRule(Resource, kw_only=True):
    """`ip rule add from ADDRESS lookup TABLE`, for an address of the interface `name`.

    To remove what no record tells of, `table` 0 stands for whichever, and `address` "" for any
    that `name` has.
    """

    kind = "source-rule"
    batch = ROUTING
    identity = ("place", "address", "table")
    place: Place = "sandbox"
    name: str
    address: str
    table: int

    @property
    def text(self) -> str:
        """As `ip rule show` has it."""
        return f"rule from {self.address} lookup {self.table}"

    def describe(self) -> str:
        return self.text + self.whereabouts


class MovedRoute(Resource, kw_only=True):
    """`ip route add DST ... table TABLE; ip route del DST ...`; undone the other way round.

    With `stays` it is copied, and left in the main table, too; with `table` 0 it is only taken from
    there. What else it has is `RouteFound`'s.
    """

    kind = "moved-route"
    batch = ROUTING
    identity = ("place", "name", "dst", "gw", "priority", "table")
    place: Place = "sandbox"
    name: str
    dst: str
    gw: str = ""
    priority: int = 0
    table: int
    stays: bool = False
    source: str = ""
    scope: int = 0
    protocol: int = 0
    mtu: int = 0
    advmss: int = 0
    onlink: bool = False

    @property
    def text(self) -> str:
        """What follows the verb of `ip route`, but the table."""
        via = f" via {self.gw}" if self.gw else ""
        return f"{self.dst}{via} dev {self.name}"

    def properties(self) -> frozenset[tuple[str, str]]:
        """Who made it in the main table looks for it there no more."""
        return frozenset() if self.stays else frozenset({(f"route {self.text}", "presence")})

    def describe(self) -> str:
        how = "copied" if self.stays else "moved"
        to = f"{how} to table {self.table}" if self.table else "taken from the main table"
        return f"route {self.text} {to}" + self.whereabouts
