"""The kinds of resource there are.

Each docstring names the command it equals. Addresses and routes are text in CIDR form;
`place` says in which of the request's two namespaces an interface is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .forwarding import ForwardAccept as ForwardAccept
from .forwarding import ForwardJump as ForwardJump
from .forwarding import ZoneInterface as ZoneInterface
from .link_attributes import LINK as LINK
from .link_attributes import AllMulticast as AllMulticast
from .link_attributes import ArpNotify as ArpNotify
from .link_attributes import LinkAddress as LinkAddress
from .link_attributes import LinkMtu as LinkMtu
from .link_attributes import LinkUp as LinkUp
from .link_attributes import PortIsolation as PortIsolation
from .link_attributes import Promiscuous as Promiscuous
from .link_attributes import TransmitQueue as TransmitQueue
from .published import PublishCondition as PublishCondition
from .published import PublishedPort as PublishedPort
from .resource import Lease, Resource, Undo

# --- links --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Bridge(Resource):
    """`ip link add NAME address MAC mtu MTU type bridge vlan_filtering 0|1; ip link set NAME up`

    One that is there already is used as it is (and set up). A bridge of ours gets
    accept_ra=0 and accept_dad=0. `mtu` 0 is the kernel's default. `vlans` is what asks for
    VLAN filtering, as "KEY VALUE", for the refusal of a kernel without.
    """

    kind = "bridge"
    undo = Undo.KEEP
    may_be_found = True
    identity = ("name",)
    name: str
    mac: str
    mtu: int = 0
    vlan_filtering: bool = False
    vlans: str = ""

    def describe(self) -> str:
        return f"bridge {self.name}, up" + (", filtering VLANs" if self.vlan_filtering else "")


@dataclass(frozen=True, kw_only=True)
class Veth(Resource):
    """`ip link add NAME address MAC type veth peer name PEER address PEER_MAC netns SANDBOX`

    NAME stays on the host. Neither end is set up. With it goes all that is inside it.
    """

    kind = "veth"
    identity = ("name",)
    name: str
    mac: str
    peer: str
    peer_mac: str
    mtu: int = 0

    def describe(self) -> str:
        return f"veth pair {self.name} on the host, {self.peer} ({self.peer_mac}) in the container"


@dataclass(frozen=True, kw_only=True)
class BridgePort(Resource):
    """`ip link set NAME master BRIDGE; bridge link set dev NAME hairpin on isolated on`

    `pvid` 0 and no `tagged` leave the port's VLANs alone. Else `bridge vlan add`: `pvid`
    untagged, `tagged` as (first, last) pairs; VLAN 1 is removed unless `keep_default_vlan`.
    `bridge_mac` is what a bridge of somebody else's has, and keeps: one that was given no MAC
    would take over that of its new port.
    """

    kind = "bridge-port"
    batch = LINK
    identity = ("name",)
    name: str
    bridge: str
    hairpin: bool = False
    isolated: bool = False
    pvid: int = 0
    tagged: tuple[tuple[int, int], ...] = ()
    keep_default_vlan: bool = False
    bridge_mac: str = ""

    def describe(self) -> str:
        flags = [name for name in ("hairpin", "isolated") if getattr(self, name)]
        if self.pvid:
            flags.append(f"pvid {self.pvid}")
        return " ".join((f"port {self.name} of {self.bridge}", *flags))


@dataclass(frozen=True, kw_only=True)
class VlanGateway(Resource):
    """The bridge's own leg in one VLAN: a veth pair NAME and PORT, PORT untagged in VLAN.

    `ip link add NAME address MAC type veth peer name PORT; ip link set PORT master BRIDGE;
    bridge vlan add dev PORT vid VLAN pvid untagged`, both up. `bridge_mac` is `BridgePort`'s.
    """

    kind = "vlan-gateway"
    undo = Undo.LAST_USER
    may_be_found = True
    identity = ("name",)
    name: str
    port: str
    bridge: str
    mac: str
    vlan: int
    mtu: int = 0
    bridge_mac: str = ""

    def describe(self) -> str:
        return f"{self.name}: the leg of {self.bridge} in VLAN {self.vlan}"


# --- addresses and routes ------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class InterfaceAddress(Resource):
    """`ip addr add ADDRESS dev NAME [nodad]`

    With `dad` an IPv6 address is waited for until it is no longer tentative, 5 s at most.
    """

    kind = "address"
    batch = LINK
    identity = ("place", "name", "address")
    name: str
    address: str
    dad: bool = False

    def describe(self) -> str:
        return f"address {self.address} on {self.name}" + self.whereabouts


@dataclass(frozen=True, kw_only=True)
class GatewayAddress(Resource):
    """`ip addr add ADDRESS dev NAME`, for all containers behind NAME.

    `bridge_mac` is `BridgePort`'s: with an address of ours, the bridge is given it for good.
    """

    kind = "gateway-address"
    batch = LINK
    undo = Undo.LAST_USER
    may_be_found = True
    identity = ("name", "address")
    name: str
    address: str
    bridge_mac: str = ""

    def describe(self) -> str:
        return f"gateway address {self.address} on {self.name}"


@dataclass(frozen=True, kw_only=True)
class AddressRemoved(Resource):
    """`ip addr del ADDRESS dev NAME`: what `forceAddress` asks for."""

    kind = "address-removed"
    undo = Undo.KEEP
    identity = ("name", "address")
    name: str
    address: str

    def describe(self) -> str:
        return f"no address {self.address} on {self.name}"


@dataclass(frozen=True, kw_only=True)
class InterfaceRoute(Resource):
    """`ip route append DST [via GW] dev NAME [mtu ..] [advmss ..] [metric ..] [table ..]`

    Zero or None leave the kernel's default. One that exists already is no error.
    """

    kind = "route"
    batch = LINK
    identity = ("place", "name", "dst", "gw", "priority", "table")
    name: str
    dst: str
    gw: str = ""
    mtu: int = 0
    advmss: int = 0
    priority: int = 0
    table: int | None = None
    scope: int | None = None

    def describe(self) -> str:
        via = f" via {self.gw}" if self.gw else ""
        return f"route {self.dst}{via} dev {self.name}" + self.whereabouts


# --- sysctls --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sysctl(Resource):
    """`sysctl -w net/KEY=VALUE`; KEY with slashes, e.g. "ipv4/conf/eth0/arp_notify".

    With `optional`, a key the kernel lacks (no IPv6) is passed over.
    """

    kind = "sysctl"
    undo = Undo.RESTORE
    batch = "sysctl"
    identity = ("place", "setting")
    setting: str
    value: str
    optional: bool = False

    def properties(self) -> frozenset[tuple[str, str]]:
        return frozenset({(f"sysctl net/{self.setting}", "value")})

    def describe(self) -> str:
        return f"sysctl net/{self.setting}={self.value}" + self.whereabouts


@dataclass(frozen=True, kw_only=True)
class Forwarding(Resource):
    """`sysctl -w net.ipv4.ip_forward=1`, or net.ipv6.conf.all.forwarding for family 6."""

    kind = "forwarding"
    undo = Undo.KEEP
    identity = ("family",)
    family: int

    def describe(self) -> str:
        return f"IPv{self.family} forwarding"


# --- the nftables tables ----------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MasqueradePrefix(Resource):
    """The set and the rule that compare two addresses by their first LENGTH bits.

    Made once per prefix length in use on the host: `nft add set inet pynet
    network4_LENGTH ...` and a rule in chain masquerade4.
    """

    kind = "masquerade-prefix"
    undo = Undo.KEEP
    identity = ("family", "length")
    family: int
    length: int

    def describe(self) -> str:
        return f"nftables: IPv{self.family} networks of /{self.length} compared"


@dataclass(frozen=True, kw_only=True)
class Element(Resource):
    """`nft add element FAMILY pynet SET { ITEM }`: one container's own.

    `item` holds the fields of the concatenated key as text, e.g. ("veth1", "02:..").
    """

    kind = "nft-element"
    identity = ("set", "item")
    batch = "nft"
    set: str
    item: tuple[str, ...]
    value: str = ""

    def describe(self) -> str:
        return f"nftables: {', '.join(self.item)} in set {self.set}"


@dataclass(frozen=True, kw_only=True)
class SharedElement(Resource):
    """An element that several attachments need, e.g. a network's subnet."""

    kind = "nft-shared-element"
    undo = Undo.LAST_USER
    identity = ("set", "item")
    batch = "nft"
    set: str
    item: tuple[str, ...]
    value: str = ""

    def describe(self) -> str:
        return f"nftables: {', '.join(self.item)} in set {self.set} (shared)"


# --- leases ------------------------------------------------------------------------

Range = tuple[str, str, int, str]
"""(first address, last address, prefix length, gateway or "")."""


@dataclass(frozen=True)
class Leased:
    """An address somebody holds: in CIDR form, and its range's gateway ("" for none).

    `fresh` where it was given out for the first time, so that nobody knows a holder of it.
    """

    address: str
    gateway: str
    fresh: bool = field(default=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class AddressLease(Lease[Leased]):
    """One address out of a range set, from the pool `pool` of the store.

    `index` is the range set's place in the configuration. `requested` is one address
    that must be it, "" for any. `directory` is where the reference keeps this pool's
    leases as files ("" where none are to be taken over).
    """

    kind = "address-lease"
    identity = ("pool", "index")
    pool: str
    index: int
    ranges: tuple[Range, ...]
    requested: str = ""
    directory: str = ""

    def describe(self) -> str:
        wanted = self.requested or "an address"
        return f"lease of {wanted} from pool {self.pool}, range set {self.index}"


@dataclass(frozen=True, kw_only=True)
class DelegatedLease(Lease[Any]):
    """What somebody else's IPAM plugin answers: the executable is run as the spec says.

    CNI spec 1.1.0, "Delegated plugin execution". The answer is its result document.
    `interface_first` are the resources that must exist before it is asked.
    """

    kind = "delegated-lease"
    identity = ("type",)
    type: str
    binary: str
    interface_first: tuple[tuple[str, str], ...] = ()

    def after(self) -> tuple[Resource, ...]:
        from .resource import decode

        return tuple(decode(kind, body) for kind, body in self.interface_first)

    def describe(self) -> str:
        return f"what IPAM plugin {self.binary} leases"
