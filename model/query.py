"""Questions a plan may ask of the world, and the answers given so far.

A plan is pure: it asks by subscripting `seen`. A question not answered yet
raises `Unanswered`, the engine finds the answer and plans again from the start.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from .place import Place
from .resource import Lease, Resource
from .value import Value

Answer = TypeVar("Answer")


class Query(Value, Generic[Answer], kw_only=True, cache_hash=True, repr_omit_defaults=True):
    """A read-only question. A subclass names its answer's type and its fields.

    `first` are resources (by value) that must be there before it is asked: they are made then.
    """

    lasts: ClassVar[bool] = True
    """Whether the plan stands on the answer: not where what the plan makes changes it."""

    first: tuple[Resource, ...] = ()

    def after(self) -> tuple[Resource, ...]:
        return self.first


class Unanswered(LookupError):
    """What `Seen` raises: the engine answers the questions and plans again."""

    def __init__(self, *questions: Query[Any] | Lease[Any]) -> None:
        super().__init__(*questions)
        self.questions = questions


class Seen(Protocol):
    """Answers so far. `seen[query]` and `seen[lease]` answer, or raise `Unanswered`."""

    @overload
    def __getitem__(self, question: Query[Answer], /) -> Answer: ...
    @overload
    def __getitem__(self, question: Lease[Answer], /) -> Answer: ...

    def together(self, *questions: Query[Any] | Lease[Any]) -> None:
        """Have all of these answered before going on: planning again once, not once for each."""
        ...


class Answers(dict[Any, Any]):
    """The `Seen` the engine fills: a dict that tells what it was asked in vain."""

    def __missing__(self, question: Query[Any] | Lease[Any]) -> Any:
        raise Unanswered(question)

    def together(self, *questions: Query[Any] | Lease[Any]) -> None:
        unknown = [each for each in dict.fromkeys(questions) if each not in self]
        if unknown:
            raise Unanswered(*unknown)


# --- the questions there are -------------------------------------------------


OWN = -1
"""In place of a number: the other end is in the same namespace."""
DYING = -2
"""In place of a number: the other end's namespace is being taken down, and has none any more."""


class Link(Value):
    """One network interface as the kernel shows it (`ip -d link show`)."""

    index: int
    name: str
    kind: str  # "veth", "bridge", ...; "" for a device without one
    mac: str  # lower case, colons; "" where the link has none
    mtu: int
    up: bool
    promisc: bool = False
    master: int = 0  # index of the bridge it is a port of, 0 for none
    peer: int = 0  # index of a pair's other end in its own namespace, 0 where it has none
    parent: int = 0  # index of the link it was made on, in the namespace of that; 0 for none
    running: bool = False  # has a carrier
    group: int = 0
    vlan_filtering: bool = False  # of a bridge
    allmulti: bool = False
    arp: bool = True  # asks for neighbours, and answers
    queue: int = 0  # packets the transmit queue holds (`txqueuelen`)
    alias: str = ""
    permanent_mac: str = ""  # what it was built with, "" for a device without one
    peer_number: int = OWN  # nsid of the namespace that `peer` is in, or `OWN`, or `DYING`


class LinkNamed(Query["Link | None"]):
    """`ip link show NAME`; None where there is no such interface."""

    name: str
    place: Place = "host"


class HostEnds(Query["tuple[str, ...]"]):
    """`ip link show`: the ends of pairs that are called as we call the host's."""

    NAME: ClassVar[re.Pattern[str]] = re.compile("veth[0-9a-f]{11}")


class HostEnd(Query["Link | None"]):
    """`ip -d link show` of the other end of the container's NAME; None where that is no pair, or
    its other end is not on the host.
    """

    name: str


class IpvlanMode(Query[str]):
    """`ip -d link show NAME` in the container: "l2", "l3" or "l3s"; "" of what is no ipvlan."""

    name: str


class AddressesOn(Query["tuple[str, ...]"]):
    """`ip addr show dev NAME`: addresses in CIDR form, no link-local IPv6; () without link."""

    name: str
    place: Place = "host"


class HasIpv6(Query[bool]):
    """Whether `sysctl net.ipv6.conf.NAME.disable_ipv6` is 0; False without link."""

    name: str
    place: Place = "host"


class AddressHolders(Query["tuple[str, ...]"]):
    """`ip addr show to ADDRESS`: the names of the host's interfaces that have the address."""

    address: str


class SysctlValue(Query["str | None"]):
    """`sysctl net.KEY`, with slashes: "ipv4/ip_forward"; None where there is no such key."""

    key: str
    place: Place = "host"


class FileText(Query["str | None"]):
    """The text of a file below the caller's root; None where there is none."""

    path: str


class PluginBinary(Query["str | None"]):
    """The executable that CNI_PATH holds for plugin `type`.

    "" where the first of that name is ours or none is there and we have a plugin of
    that name (it is then run in process); its path where it is somebody else's; None
    where neither exists.
    """

    type: str
    path: tuple[str, ...]


REPLACED = ".pynet-replaced"
"""Below a directory of plugins: where an installation keeps those whose place it took."""


class ReplacedBinary(Query[str]):
    """The executable that plugin `type` was before one of ours took its place in CNI_PATH.

    "" where the first of that name is none of ours, or stands where nothing was.
    """

    type: str
    path: tuple[str, ...]


class LeadsToSandbox(Query["bool | None"]):
    """Whether a path of the caller's is that of the container's network namespace.

    None where it leads to no network namespace, or there is no container any more.
    """

    path: str


class DirectRoute(Query[str]):
    """`ip route get ADDRESS`: the interface of the host the address is on the link of.

    "" where there is no route, or only one through a gateway. With `alone`, also where the route
    is to more than that address: then the interface need not be there for whoever has it.
    """

    address: str
    alone: bool = False


class RoutesBy(Query["tuple[tuple[str, str], ...]"]):
    """`ip route show dev NAME proto boot`: where the routes of the host lead that somebody has set,
    in CIDR form, and the source address that they give, "" without one.
    """

    name: str


class WayOutMtu(Query[int]):
    """`ip route get`, `ip link show`: the largest packet, in bytes, that the host's default routes
    take, the smaller of IPv4's and IPv6's; 0 where it has none.
    """


class DefaultLink(Query[str]):
    """`ip route show default`: the interface it leads to, of IPv4 or else of IPv6; "" for none."""

    place: Place = "host"


class ClosedToForwarding(Query[bool]):
    """`sysctl net.ipv4.conf.NAME.forwarding`, or `default` where there is no such interface yet.

    Whether it is 0 though the host forwards; False where the host does not, for then it is set for
    all interfaces with that.
    """

    lasts = False
    name: str


class RouterLinks(Query["tuple[str, ...]"]):
    """Interfaces by which the host takes router advertisements (accept_ra=1) until it forwards
    IPv6; () where it does.
    """

    lasts = False


class RouterUplink(Query[bool]):
    """Whether the host goes by router advertisements on `name`, and `bridge`, which that is or
    stands on, has a port that leads to more than a container.
    """

    name: str
    bridge: str


class NetworkZone(Query[int]):
    """`nft get element inet pynet zones { INTERFACE }`: the conntrack zone of what comes there.

    Where it has none, and no address of `networks` yet, but another bridge has one, a new zone; 0
    for none.
    """

    interface: str
    networks: tuple[str, ...] = ()


class Listener(Value):
    """A socket that takes what comes in: a listening one, of UDP one that is not connected."""

    protocol: str
    address: str  # "0.0.0.0" or "::" for every one of the family, "*" for every one of both
    port: int


class ListenersOn(Query["tuple[Listener, ...]"]):
    """`ss -ln`, of these (protocol, port) pairs; without protocols the kernel can't tell of."""

    ports: tuple[tuple[str, int], ...]
