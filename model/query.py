"""Questions a plan may ask of the world, and the answers given so far.

A plan is pure: it asks by subscripting `seen`. A question not answered yet
raises `Unanswered`, the engine finds the answer and plans again from the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from .resource import Lease

Answer = TypeVar("Answer")
Place = Literal["host", "sandbox"]
"""Which of a request's two network namespaces: its caller's, or its container's."""


@dataclass(frozen=True)
class Query(Generic[Answer]):
    """A read-only question. A subclass names its answer's type and its fields."""


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


@dataclass(frozen=True)
class Link:
    """One network interface as the kernel shows it (`ip -d link show`)."""

    index: int
    name: str
    kind: str  # "veth", "bridge", ...; "" for a device without one
    mac: str  # lower case, colons; "" where the link has none
    mtu: int
    up: bool
    promisc: bool = False
    master: int = 0  # index of the bridge it is a port of, 0 for none
    peer: int = 0  # index of a veth's other end in its own namespace, 0 where it has none
    running: bool = False  # has a carrier
    group: int = 0
    vlan_filtering: bool = False  # of a bridge
    allmulti: bool = False
    queue: int = 0  # packets the transmit queue holds (`txqueuelen`)


@dataclass(frozen=True)
class LinkNamed(Query["Link | None"]):
    """`ip link show NAME`; None where there is no such interface."""

    name: str
    place: Place = "host"


@dataclass(frozen=True)
class AddressesOn(Query["tuple[str, ...]"]):
    """`ip addr show dev NAME`: addresses in CIDR form, no link-local IPv6; () without link."""

    name: str
    place: Place = "host"


@dataclass(frozen=True)
class SysctlValue(Query["str | None"]):
    """`sysctl net.KEY`, with slashes: "ipv4/ip_forward"; None where there is no such key."""

    key: str
    place: Place = "host"


@dataclass(frozen=True)
class FileText(Query["str | None"]):
    """The text of a file in the caller's mount namespace; None where there is none."""

    path: str


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class ReplacedBinary(Query[str]):
    """The executable that plugin `type` was before one of ours took its place in CNI_PATH.

    "" where the first of that name is none of ours, or stands where nothing was.
    """

    type: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class DirectRoute(Query[str]):
    """`ip route get ADDRESS`: the interface of the host the address is on the link of.

    "" where there is no route, or only one through a gateway.
    """

    address: str


@dataclass(frozen=True)
class Listener:
    """A socket that takes what comes in: a listening one, of UDP one that is not connected."""

    protocol: str
    address: str  # "0.0.0.0" or "::" for every one of the family, "*" for every one of both
    port: int


@dataclass(frozen=True)
class ListenersOn(Query["tuple[Listener, ...]"]):
    """`ss -ln`, of these (protocol, port) pairs; without protocols the kernel can't tell of."""

    ports: tuple[tuple[str, int], ...]
