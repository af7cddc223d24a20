"""A topology: which hosts, switches, routers, links, networks, containers and checks there are.

Values only: what a topology file says, and what the Python builder makes. Nothing here knows how
any of it is brought about.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from . import units

Rate = Annotated[
    int,
    BeforeValidator(units.parse_rate),
    PlainSerializer(units.rate_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ *[kKmMgG]?bit$"}),
]
"""Bits per second; written "100mbit"."""
Delay = Annotated[
    float,
    BeforeValidator(units.parse_delay),
    PlainSerializer(units.delay_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ *(us|ms|s)$"}),
]
"""Seconds; written "20ms"."""
Loss = Annotated[
    float,
    BeforeValidator(units.parse_loss),
    PlainSerializer(units.loss_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ *%$"}),
]
"""A share from 0 to 1; written "5%"."""

Family = Literal[4, 6]
USUAL_TIME = 5.0
"""Seconds that what is expected may take to come true, where a check doesn't say."""
Protocol = Literal["tcp", "udp"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# --- nodes and links --------------------------------------------------------------------------


class Node(Model):
    """`host`: a machine that runs containers. `router`: forwards between its links. `external`: a
    machine outside, the way to which is every host's default route; it has no route to any
    container network. `switch`: a bridge without an address.

    `addresses` ("192.0.2.1/24") by interface stand in place of those that would be given;
    `sysctls` have keys such as "net.ipv4.conf.all.rp_filter".
    """

    kind: Literal["host", "router", "external", "switch"] = "host"
    addresses: dict[str, tuple[str, ...]] = {}
    sysctls: dict[str, str] = {}


class End(Model):
    """One end of a link. A switch's interface may be left out: its port is named after the link."""

    node: str
    interface: str = ""

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}" if self.interface else self.node


class Impairment(Model):
    """What a link does to each direction: `rate` in bit/s, `delay` in s, `loss` as a share."""

    rate: Rate | None = None
    delay: Delay | None = None
    loss: Loss | None = None


class Link(Model):
    """`h1:eth1 -- sw`, or `h1:eth1 -- sw {rate=10mbit delay=20ms loss=1% mtu=1400}`."""

    ends: tuple[End, End]
    mtu: int = Field(default=1500, ge=68, le=65535)
    impairment: Impairment = Impairment()

    @property
    def name(self) -> str:
        """`h1 -- sw`: what checks, faults and commands call it."""
        return " -- ".join(end.node for end in self.ends)


class Underlay(Model):
    """Where the links' addresses come from; each segment gets a /24 or a /64 of these."""

    ipv4: str = "192.168.0.0/16"
    ipv6: str = "fd00:c0a8::/32"


# --- container networks -------------------------------------------------------------------------


class Network(Model):
    """A CNI network, brought up by the real plugins on each of `hosts` (all, where none is named).

    `subnets` of one or both families. `internal`: neither gateway nor a way out. `plugins`, where
    given, is the whole list of plugin configurations, and the other keys but `hosts` must be
    left out.
    """

    hosts: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    bridge: str = ""
    internal: bool = False
    masquerade: bool = True
    ingress: Literal["", "open", "same-bridge", "isolated"] = ""
    mtu: int = 0
    plugins: tuple[dict[str, Any], ...] = ()

    @property
    def ends_at_its_host(self) -> bool:
        """Whether it is a network of its own on each host that has it."""
        return not self.plugins or self.plugins[0].get("type") in ("bridge", "ptp")


class Membership(Model):
    """A container's place in a network, with what a runtime may ask for."""

    network: str
    ips: tuple[str, ...] = ()
    mac: str = ""


class Publication(Model):
    """`8080:80`, `127.0.0.1:8080:80/udp`, `[::1]:8080:80`: the port of the host, then the other."""

    host_port: int = Field(ge=1, le=65535)
    container_port: int = Field(ge=1, le=65535)
    protocol: Protocol = "tcp"
    host_ip: str = ""


class Container(Model):
    """`host` may be left out where there is one host. `run` is started inside, once connected."""

    host: str = ""
    networks: tuple[Membership, ...] = ()
    publish: tuple[Publication, ...] = ()
    run: tuple[str, ...] = ()


class Generator(Model):
    """Many containers alike: `name` holds {n}, which counts from 1; spread over `hosts` in turn."""

    containers: int = Field(ge=1, le=10000)
    name: str = "c{n}"
    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


# --- checks ---------------------------------------------------------------------------------------


class Target(Model):
    """`b`, `b:80`, `h1:8080`, `192.0.2.1:80`, `[2001:db8::1]:80`: a place by name or address.

    `family` chooses among a name's addresses; without it all families both sides have are tried.
    """

    name: str
    port: int = 0

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.port}" if self.port else name


class Mesh(Model):
    """Each of `members` (all containers, where none is named) reaches each other, in ICMP."""

    kind: Literal["mesh"] = "mesh"
    members: tuple[str, ...] = ()
    family: Family | None = None
    within: Delay = USUAL_TIME


class Reach(Model):
    """`source` opens `to`; a listener is put there for the check where nothing listens.

    Where a published port of a host is named, the listener stands in the container. `seen_as` is
    the place whose address the server must see ("" for any). `answer` is for http: a text the
    body must hold; `status` its status.
    """

    kind: Literal["tcp", "udp", "http"]
    source: str
    to: Target
    family: Family | None = None
    seen_as: str = ""
    status: int = 200
    answer: str = ""
    within: Delay = USUAL_TIME


class Deny(Model):
    """`source` does not get an answer from `to`, where something listens."""

    kind: Literal["deny"] = "deny"
    source: str
    to: Target
    protocol: Literal["tcp", "udp", "icmp"] = "tcp"
    family: Family | None = None
    within: Delay = 0.5


class Path(Model):
    """Packets from `source` to `to` pass the nodes `via`, in this order."""

    kind: Literal["path"] = "path"
    source: str
    to: Target
    via: tuple[str, ...]
    family: Family | None = None
    within: Delay = USUAL_TIME


class Mtu(Model):
    """The largest IP packet that passes unfragmented from `source` to `to` has `size` bytes."""

    kind: Literal["mtu"] = "mtu"
    source: str
    to: Target
    size: int
    family: Family | None = None
    within: Delay = USUAL_TIME


Probe = Annotated[Mesh | Reach | Deny | Path | Mtu, Field(discriminator="kind")]
"""What is tried at once, and again until it holds or its time is over."""


class Fault(Model):
    """While `down` (links as "h1 -- sw") are down, or `stop` (nodes) cut off, `expect` holds.

    Afterwards everything is up again, and `heals` must hold within their own time.
    """

    kind: Literal["fault"] = "fault"
    down: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    impair: dict[str, Impairment] = {}
    expect: tuple[Probe, ...] = ()
    heals: tuple[Probe, ...] = ()


Check = Annotated[Mesh | Reach | Deny | Path | Mtu | Fault, Field(discriminator="kind")]


class Topology(Model):
    """The whole; names of nodes and containers are one name space."""

    name: str = "lab"
    description: str = ""
    nodes: dict[str, Node] = {}
    links: tuple[Link, ...] = ()
    underlay: Underlay = Underlay()
    networks: dict[str, Network] = {}
    containers: dict[str, Container] = {}
    generate: tuple[Generator, ...] = ()
    checks: tuple[Check, ...] = ()
    needs: tuple[str, ...] = ()
    """Features of the kernel without which it can't be brought up: "netem"."""
