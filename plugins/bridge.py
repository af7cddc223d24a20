"""`bridge`: a veth pair from the container to a bridge of the host, with addresses and a way out.

Keys, results and refusals are the reference plugin's. What it leaves out, this does:
DEL needs neither namespace nor configuration, and CHECK sees what ADD made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from ..cni.addresses import interface_of
from ..cni.environment import ADDRESSING
from ..model.errors import ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import AddressesOn, Link, LinkNamed, Query, Seen
from ..model.request import Attachment, Request, local_mac
from ..model.resource import Resource
from ..model.resources import (
    AddressRemoved,
    BridgePort,
    Element,
    Forwarding,
    GatewayAddress,
    LinkUp,
    MasqueradePrefix,
    Promiscuous,
    SharedElement,
    Sysctl,
    Veth,
    VlanGateway,
)
from ..model.resources import Bridge as BridgeLink
from ..model.result import Address, Interface, Result, Route
from . import sandbox
from .bridge_config import BridgeConf, wanted_mac
from .delegation import (
    foreign_ipam,
    ipam_questions,
    ipam_status,
    ipam_type,
    leftover_leases,
    plan_addresses,
)
from .mac import link_local, unicast_mac

DEFAULT_MTU = 1500
"""What the kernel gives a veth pair and a bridge that ask for no other."""
MIN_IPV6_MTU = 1280

IPNet = IPv4Interface | IPv6Interface


def host_name(attachment: Attachment) -> str:
    """The host end's name: known beforehand, and found again without a record."""
    return "veth" + attachment.digest("veth", 6).hex()[:11]


class Bridge(Plugin):
    name = "bridge"
    about = "connects the container to a bridge of the host"
    config = BridgeConf
    arguments = ADDRESSING
    creates_interface = True

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: BridgeConf = request.conf
        # All questions first: until they are answered nothing is worked out in vain, and
        # none is left for the store's transaction, in which the lease is taken.
        seen.together(*_questions(request))
        found = seen[LinkNamed(conf.bridge)]
        foreign_ipam(request, seen)
        if found and found.kind != "bridge":
            raise ConfigError(
                f'bridge: "{conf.bridge}" already exists but is not a bridge'
                f" (it is {found.kind or 'a plain device'})"
            )
        pair = _pair(request, wanted_mac(request) or request.attachment.mac("container"))
        if not ipam_type(request):
            return _layer_2(request, seen, _wiring(request, found, pair), pair)
        leased = plan_addresses(request, seen, lambda: _wiring(request, found, pair))
        _refuse_small_mtu(conf, leased.result)
        addressed = _with_gateways(conf, leased.result)
        gateways = tuple(_gateways(request, seen, addressed)) if conf.gateway else ()
        # The tables first, so undone last: a container that runs already, or still, finds no
        # moment in which it is connected and not guarded.
        resources = (
            *_masquerade(conf, addressed),
            *_guard(conf, pair, leased.result),
            *_wiring(request, found, pair),
            *leased.resources,
            *gateways,
            *_inside(conf, pair, addressed),
        )
        return Plan(
            resources,
            _result(request, seen, pair, addressed),
            announcement=sandbox.announcement(pair, leased, seen),
        )

    def status(self, request: Request, seen: Seen) -> None:
        ipam_status(request, seen)

    def delegate(self, request: Request, seen: Seen) -> str:
        return foreign_ipam(request, seen)

    def leftovers(self, request: Request) -> Iterable[Resource]:
        request = replace(request, conf=request.conf or BridgeConf())
        attachment = request.attachment
        pair = _pair(request, attachment.mac("container"))
        yield pair
        # The configuration may have changed since: its guard is looked for all the same, with
        # every MAC it may have had.
        most = {"macspoofchk": True, "ipspoofchk": True, "isGateway": False}
        guarded = request.conf.model_copy(update={**most, "isDefaultGateway": False})
        known = request.prev_result or Result()
        for mac in filter(None, dict.fromkeys((*_told_macs(request), pair.peer_mac))):
            yield from _guard(guarded, replace(pair, peer_mac=mac), known)
        yield from leftover_leases(request)
        for ip in request.prev_result.ips if request.prev_result else ():
            address = interface_of(ip.address)
            yield SharedElement(set=f"masquerade{address.version}", item=(str(address.ip),))


def _questions(request: Request) -> Iterator[Query[Any]]:
    conf: BridgeConf = request.conf
    yield LinkNamed(conf.bridge)
    yield from ipam_questions(request)
    if conf.gateway:
        yield LinkNamed(_gateway_link(conf))
        yield AddressesOn(_gateway_link(conf))


def _told_macs(request: Request) -> Iterator[str]:
    """The container's MACs that prevResult and the configuration tell of."""
    interfaces = request.prev_result.interfaces if request.prev_result else ()
    told = [one.mac for one in interfaces if one.name == request.interface]
    for text in told:
        with suppress(ConfigError):
            yield unicast_mac(text)
    with suppress(ConfigError):
        yield wanted_mac(request)


# --- wiring ---------------------------------------------------------------------


def _pair(request: Request, mac: str) -> Veth:
    attachment = request.attachment
    return Veth(
        name=host_name(attachment),
        mac=attachment.mac("host"),
        peer=request.interface,
        peer_mac=mac,
        mtu=request.conf.mtu,
    )


def _wiring(request: Request, found: Link | None, pair: Veth) -> tuple[Resource, ...]:
    port = _port(request.conf, pair, _foreign_mac(request, found))
    return (*_bridge(request, found), pair, *port)


def _bridge(request: Request, found: Link | None) -> Iterator[Resource]:
    conf: BridgeConf = request.conf
    yield BridgeLink(
        name=conf.bridge,
        mac=found.mac if found else _bridge_mac(request),
        mtu=0 if found else conf.mtu,
        vlan_filtering=conf.filters_vlans,
        vlans=conf.vlans_asked(),
    )
    if conf.promiscMode:
        yield Promiscuous(name=conf.bridge)


def _bridge_mac(request: Request) -> str:
    """Derived from host and name, so that two first ADDs at once agree on it, and given at
    creation, so that it does not change when ports come and go.
    """
    return local_mac(Attachment(request.host, "bridge", request.conf.bridge).digest("bridge", 6))


def _foreign_mac(request: Request, found: Link | None) -> str:
    """The MAC of a bridge that we have not made: it may have been given none."""
    return found.mac if found and found.mac != _bridge_mac(request) else ""


def _port(conf: BridgeConf, pair: Veth, bridge_mac: str) -> Iterator[Resource]:
    yield Sysctl(
        setting=f"ipv6/conf/{pair.name}/accept_ra", value="0", optional=True, inside=pair.key
    )
    yield BridgePort(
        name=pair.name,
        bridge=conf.bridge,
        hairpin=conf.hairpinMode,
        isolated=conf.portIsolation,
        pvid=conf.untagged_vlan,
        tagged=conf.tagged_vlans(),
        keep_default_vlan=conf.preserveDefaultVlan,
        bridge_mac=bridge_mac,
        inside=pair.key,
    )


def _layer_2(request: Request, seen: Seen, wiring: tuple[Resource, ...], pair: Veth) -> Plan:
    conf: BridgeConf = request.conf
    ups: tuple[Resource, ...] = (LinkUp(name=pair.name, inside=pair.key),)
    if not conf.disableContainerInterface:
        ups = (LinkUp(name=pair.peer, place="sandbox", inside=pair.key), *ups)
    bare = Result(dns=conf.dns.to_dns())
    return Plan((*_guard(conf, pair, bare), *wiring, *ups), _result(request, seen, pair, bare))


# --- addresses and gateways --------------------------------------------------------


def _refuse_small_mtu(conf: BridgeConf, leased: Result) -> None:
    """RFC 8200, section 5; the kernel would say no more than "invalid argument"."""
    if 0 < conf.mtu < MIN_IPV6_MTU and any(":" in ip.address for ip in leased.ips):
        raise ConfigError(
            f"mtu: {conf.mtu} is under {MIN_IPV6_MTU}, which IPv6 needs,"
            " and the network gives IPv6 addresses"
        )


def _with_gateways(conf: BridgeConf, leased: Result) -> Result:
    """IPAM's result with the gateways and default routes that the configuration implies."""
    ips = []
    routes = list(leased.routes)
    for ip in leased.ips:
        network = interface_of(ip.address).network
        gateway = ip.gateway
        if conf.gateway:
            gateway = gateway or _first_address(ip.address)
            if (":" in gateway) != (network.version == 6):
                raise ConfigError(
                    f"ipam: the gateway {gateway} of {ip.address} is of another address family"
                )
        ips.append(replace(ip, gateway=gateway, interface=2))
        default = "0.0.0.0/0" if network.version == 4 else "::/0"
        if conf.isDefaultGateway and not any(r.dst == default and r.gw for r in routes):
            routes.append(Route(default, gw=gateway))
    return Result(ips=tuple(ips), routes=tuple(routes), dns=conf.dns.to_dns() or leased.dns)


def _first_address(address: str) -> str:
    """The gateway where none is named, as in the reference."""
    network = interface_of(address).network
    if network.num_addresses == 1:
        raise ConfigError(
            f"isGateway: {address} leaves no address for a gateway; give ipam a wider prefix,"
            " or the gateway's address"
        )
    return str(network.network_address + 1)


def _gateway_link(conf: BridgeConf) -> str:
    """Where the gateway address stands: the bridge, or its leg in the network's VLAN."""
    return f"{conf.bridge}.{conf.vlan}" if conf.vlan else conf.bridge


def _gateways(request: Request, seen: Seen, addressed: Result) -> Iterator[Resource]:
    conf: BridgeConf = request.conf
    link = _gateway_link(conf)
    if conf.vlan and not _others_leg(request, seen):
        bridge_mac = _foreign_mac(request, seen[LinkNamed(conf.bridge)])
        yield replace(_vlan_gateway(request, link), bridge_mac=bridge_mac)
    present = [interface_of(text) for text in seen[AddressesOn(link)]]
    pinned = "" if conf.vlan else _foreign_mac(request, seen[LinkNamed(link)])
    for ip in addressed.ips:
        network = interface_of(ip.address).network
        gateway = interface_of(f"{ip.gateway}/{network.prefixlen}")
        if gateway not in present:
            for other in _in_the_way(gateway, present):
                if not conf.forceAddress:
                    raise ConfigError(
                        f'"{link}" already has an IP address different from {gateway}: {other};'
                        " forceAddress replaces it"
                    )
                yield AddressRemoved(name=link, address=str(other))
        yield GatewayAddress(name=link, address=str(gateway), bridge_mac=pinned)
    for family in dict.fromkeys(interface_of(ip.address).version for ip in addressed.ips):
        yield Forwarding(family=family)


def _in_the_way(gateway: IPNet, present: list[IPNet]) -> Iterator[IPNet]:
    """Any other IPv4 address; of IPv6 only one whose subnet overlaps."""
    for other in present:
        if other.version == gateway.version and (
            gateway.version == 4 or other.network.overlaps(gateway.network)
        ):
            yield other


def _others_leg(request: Request, seen: Seen) -> Link | None:
    """The leg that an administrator made, or the reference plugin before us: used as it is."""
    name = _gateway_link(request.conf)
    found = seen[LinkNamed(name)]
    return found if found and found.mac != _vlan_gateway(request, name).mac else None


def _vlan_gateway(request: Request, name: str) -> VlanGateway:
    conf: BridgeConf = request.conf
    if len(name.encode()) > 15:
        raise ConfigError(f'vlan: the gateway interface would be "{name}", over 15 bytes')
    identity = Attachment(request.host, "vlan-gateway", name)
    return VlanGateway(
        name=name,
        port="veth" + identity.digest("port", 6).hex()[:11],
        bridge=conf.bridge,
        mac=identity.mac("vlan-gateway"),
        vlan=conf.vlan,
        mtu=conf.mtu,
    )


def _inside(conf: BridgeConf, pair: Veth, addressed: Result) -> Iterator[Resource]:
    """The container's end: addresses before it is up, routes after.

    The host's end comes up last: what the new carrier sets off, up to the container's first
    multicasts to all ports, the kernel does by itself then, and nothing here waits for it. But
    duplicate address detection needs the carrier.
    """
    yield from sandbox.configure(pair, addressed, dad=conf.enabledad)
    host_up = LinkUp(name=pair.name, inside=pair.key)
    if conf.enabledad:
        yield host_up
        yield from sandbox.detected(pair, addressed)
    yield from sandbox.routes(pair, addressed)
    if not conf.enabledad:
        yield host_up


# --- the tables -----------------------------------------------------------------------


def _masquerade(conf: BridgeConf, addressed: Result) -> Iterator[Resource]:
    if not conf.ipMasq:
        return
    addresses = [interface_of(ip.address) for ip in addressed.ips]
    for address in addresses:
        yield MasqueradePrefix(family=address.version, length=address.network.prefixlen)
    # Neighbours, so that they are made in one transaction.
    for address in addresses:
        network = address.network
        yield SharedElement(
            set=f"network{network.version}_{network.prefixlen}",
            item=(str(network.network_address),) * 2,
        )
        yield SharedElement(set=f"masquerade{network.version}", item=(str(address.ip),))


def _guard(conf: BridgeConf, pair: Veth, leased: Result) -> Iterator[Resource]:
    if conf.macspoofchk:
        yield Element(set="allowed", item=(pair.name, pair.peer_mac))
        yield Element(set="guarded", item=(pair.name,))
    if conf.ipspoofchk:
        addresses = [interface_of(ip.address).ip for ip in leased.ips]
        for address in (*addresses, link_local(pair.peer_mac)):
            yield Element(set=f"addressed{address.version}", item=(pair.name, str(address)))
        yield Element(set="addressed", item=(pair.name,))
        yield Element(set="bridged", item=(pair.name,))
        for address in () if conf.gateway else addresses:
            yield Element(set=f"confined{address.version}", item=(conf.bridge, str(address)))


def _result(request: Request, seen: Seen, pair: Veth, addressed: Result) -> Result:
    conf: BridgeConf = request.conf
    found = seen[LinkNamed(conf.bridge)]
    bridge = next(r for r in _bridge(request, found) if isinstance(r, BridgeLink))
    mtu = pair.mtu or DEFAULT_MTU
    interfaces = [
        Interface(conf.bridge, mac=bridge.mac, mtu=found.mtu if found else mtu),
        Interface(pair.name, mac=pair.mac, mtu=mtu),
        Interface(pair.peer, mac=pair.peer_mac, mtu=mtu, sandbox=request.netns),
    ]
    if addressed.ips and conf.gateway and conf.vlan:
        interfaces.append(_leg_interface(request, seen, mtu))
    ips = tuple(Address(ip.address, ip.gateway, interface=2) for ip in addressed.ips)
    return replace(addressed, interfaces=tuple(interfaces), ips=ips)


def _leg_interface(request: Request, seen: Seen, mtu: int) -> Interface:
    name = _gateway_link(request.conf)
    others = _others_leg(request, seen)
    if others:
        return Interface(name, mac=others.mac, mtu=others.mtu)
    return Interface(name, mac=_vlan_gateway(request, name).mac, mtu=mtu)
