"""The kinds of resource there are.

Each docstring names the command it equals. Addresses and routes are text in CIDR form;
`place` says in which of the request's two namespaces an interface is looked for.
"""

from __future__ import annotations

from typing import Any

from .container_link import ContainerLink as ContainerLink
from .container_link import Dummy as Dummy
from .container_link import Ipvlan as Ipvlan
from .container_link import Macvlan as Macvlan
from .container_link import Tap as Tap
from .container_link import Vlan as Vlan
from .forwarding import ForwardAccept as ForwardAccept
from .forwarding import ForwardJump as ForwardJump
from .forwarding import ZoneInterface as ZoneInterface
from .host_leg import HostLeg as HostLeg
from .link_attributes import LINK as LINK
from .link_attributes import AllMulticast as AllMulticast
from .link_attributes import ArpNotify as ArpNotify
from .link_attributes import LinkAddress as LinkAddress
from .link_attributes import LinkMtu as LinkMtu
from .link_attributes import LinkUp as LinkUp
from .link_attributes import PortIsolation as PortIsolation
from .link_attributes import Promiscuous as Promiscuous
from .link_attributes import TransmitQueue as TransmitQueue
from .link_pair import LinkPair as LinkPair
from .link_pair import Netkit as Netkit
from .link_pair import Veth as Veth
from .moved_link import MovedLink as MovedLink
from .published import PublishCondition as PublishCondition
from .published import PublishedPort as PublishedPort
from .resource import Lease, Resource, Undo
from .routing import MovedRoute as MovedRoute
from .routing import SourceRule as SourceRule
from .shaping import Ifb as Ifb
from .shaping import RateLimit as RateLimit
from .shaping import Redirect as Redirect
from .shaping import TrafficHook as TrafficHook
from .sysctls import Forwarding as Forwarding
from .sysctls import LinkForwarding as LinkForwarding
from .sysctls import RouterAdvertisements as RouterAdvertisements
from .sysctls import Sysctl as Sysctl
from .value import Value
from .vrf import Vrf as Vrf
from .vrf import VrfPort as VrfPort
from .vrf import VrfRules as VrfRules

# --- links --------------------------------------------------------------------


def _mtu(mtu: int) -> str:
    return f", MTU {mtu}" if mtu else ""


class Bridge(Resource, kw_only=True):
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
        filtering = ", filtering VLANs" if self.vlan_filtering else ""
        return f"bridge {self.name}, up{_mtu(self.mtu)}{filtering}"


class BridgePort(Resource, kw_only=True):
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


class VlanGateway(Resource, kw_only=True):
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


class InterfaceAddress(Resource, kw_only=True):
    """`ip addr add ADDRESS dev NAME [nodad] [noprefixroute]`

    With `dad` an IPv6 address is waited for until it is no longer tentative, 5 s at most. Without
    `prefix_route` the kernel makes no route to its network.
    """

    kind = "address"
    batch = LINK
    identity = ("place", "name", "address")
    name: str
    address: str
    dad: bool = False
    prefix_route: bool = True

    def describe(self) -> str:
        return f"address {self.address} on {self.name}" + self.whereabouts


class GatewayAddress(Resource, kw_only=True):
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


class AddressRemoved(Resource, kw_only=True):
    """`ip addr del ADDRESS dev NAME`: what `forceAddress` asks for."""

    kind = "address-removed"
    undo = Undo.KEEP
    identity = ("name", "address")
    name: str
    address: str

    def describe(self) -> str:
        return f"no address {self.address} on {self.name}"


class InterfaceRoute(Resource, kw_only=True):
    """`ip route prepend DST [via GW] dev NAME [mtu ..] [advmss ..] [metric ..] [table ..] [src ..]`

    Zero, None and "" leave the kernel's default. One that exists already is no error.
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
    source: str = ""

    def describe(self) -> str:
        via = f" via {self.gw}" if self.gw else ""
        table = f" table {self.table}" if self.table else ""
        return f"route {self.dst}{via} dev {self.name}{table}" + self.whereabouts


# --- the nftables tables ----------------------------------------------------------


class MasqueradePrefix(Resource, kw_only=True):
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


class Element(Resource, kw_only=True):
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


class SharedElement(Resource, kw_only=True):
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


class Leased(Value):
    """An address somebody holds: in CIDR form, and its range's gateway ("" for none).

    `fresh` where it was given out for the first time, so that nobody knows a holder of it.
    """

    address: str
    gateway: str
    fresh: bool = False


class AddressLease(Lease[Leased], kw_only=True):
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


class DelegatedLease(Lease[Any], kw_only=True):
    """What somebody else's IPAM plugin answers: the executable is run as the spec says.

    CNI spec 1.1.0, "Delegated plugin execution". The answer is its result document.
    """

    kind = "delegated-lease"
    identity = ("type",)
    type: str
    binary: str
    interface_first: tuple[tuple[str, str], ...] = ()
    """In records of the first format, as they are steps there, too: of no use any more."""

    def describe(self) -> str:
        return f"what IPAM plugin {self.binary} leases"


class KeptLease(Lease[Any], kw_only=True):
    """What the service `keeper` of the agent gives, and looks after from then on.

    The answer is JSON, whatever that service says. `name` tells several of one record apart,
    `parameters` are the service's own (name, value) pairs. One that `lapses` ends by itself where
    nobody renews it: it is given back if there is somebody to do that.
    """

    kind = "kept-lease"
    identity = ("keeper", "name")
    name: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    lapses: bool = False

    def describe(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"the {self.keeper.upper()} lease{name}"
