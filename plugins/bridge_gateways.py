"""The gateways of a bridged network: on the bridge itself, or on its leg in the network's VLAN."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Interface, IPv6Interface

from msgspec.structs import replace

from ..cni.addresses import interface_of
from ..model.errors import AddressInTheWay, ConfigError
from ..model.plan import Plan
from ..model.query import AddressesOn, Link, LinkNamed, RouterUplink, Seen
from ..model.request import Attachment, Request, leg_mac
from ..model.resource import Resource
from ..model.resources import (
    AddressLease,
    AddressRemoved,
    GatewayAddress,
    LinkForwarding,
    VlanGateway,
)
from ..model.result import Interface, Result, Route
from .bridge_config import BridgeConf
from .delegation import own_gateways
from .forwards import forwarding, no_advertisement

IPNet = IPv4Interface | IPv6Interface


def with_gateways(conf: BridgeConf, leased: Result) -> Result:
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


def gateway_link(conf: BridgeConf) -> str:
    """Where the gateway address stands: the bridge, or its leg in the network's VLAN."""
    return f"{conf.bridge}.{conf.vlan}" if conf.vlan else conf.bridge


def leg(conf: BridgeConf) -> LinkForwarding:
    """By it the host routes for the containers."""
    return LinkForwarding(name=gateway_link(conf))


def plan_gateways(
    request: Request,
    seen: Seen,
    addressed: Result,
    leased: Plan,
    bridge_mac: str,
    unadvertised: Collection[Resource],
) -> Iterator[Resource]:
    """The gateways of all subnets of the network stand side by side.

    `bridge_mac` is what is to be pinned to the bridge with them, where it isn't ours;
    `unadvertised` are those of `no_advertisements`.
    """
    conf: BridgeConf = request.conf
    link = gateway_link(conf)
    if conf.vlan and not _others_leg(request, seen):
        yield replace(_vlan_gateway(request, link), bridge_mac=bridge_mac)
    present = [interface_of(text) for text in seen[AddressesOn(link)]]
    known = own_gateways(leased)
    pinned = "" if conf.vlan else bridge_mac
    for ip in addressed.ips:
        network = interface_of(ip.address).network
        gateway = interface_of(f"{ip.gateway}/{network.prefixlen}")
        for other in _in_the_way(gateway, present, known):
            if not conf.forceAddress:
                raise _taken(link, gateway, other)
            yield AddressRemoved(name=link, address=str(other))
        yield GatewayAddress(name=link, address=str(gateway), bridge_mac=pinned)
    yield from forwarding(request, seen, addressed, leg(conf), unadvertised)


def refuse_taken(request: Request, seen: Seen, leases: Iterable[AddressLease]) -> None:
    """Raises `AddressInTheWay` where an ADD that is given `leases` would."""
    conf: BridgeConf = request.conf
    link = gateway_link(conf)
    if not conf.gateway or conf.forceAddress:
        return
    present = [interface_of(text) for text in seen[AddressesOn(link)]]
    known = own_gateways(Plan(tuple(leases), Result()))
    for gateway in sorted(known, key=str):
        for other in _in_the_way(gateway, present, known):
            raise _taken(link, gateway, other)


def _taken(link: str, gateway: IPNet, other: IPNet) -> AddressInTheWay:
    return AddressInTheWay(
        f'"{link}" already has an IP address different from {gateway}: {other}',
        "give this network a bridge of its own (forceAddress would take that"
        " address away from this host)",
        GatewayAddress(name=link, address=str(other)).key,
    )


def no_advertisements(request: Request, seen: Seen, found: Link | None) -> Iterator[Resource]:
    """No container makes itself the host's router, by a bridge `found` that we have not made.

    Ours are made so. A bridge by which the host itself is told its routes is left alone.
    """
    conf: BridgeConf = request.conf
    names = [conf.bridge] if found else []
    if conf.gateway and conf.vlan and _others_leg(request, seen):
        names.append(gateway_link(conf))
    for name in names:
        if not seen[RouterUplink(name, conf.bridge)]:
            yield no_advertisement(name)


def _in_the_way(
    gateway: IPNet, present: Collection[IPNet], known: Collection[IPNet]
) -> Iterator[IPNet]:
    """Any other IPv4 address; of IPv6 only one whose subnet overlaps; no other that is `known`."""
    if gateway in present:
        return
    for other in present:
        collides = other.version == gateway.version and (
            gateway.version == 4 or other.network.overlaps(gateway.network)
        )
        if collides and other not in known:
            yield other


def _others_leg(request: Request, seen: Seen) -> Link | None:
    """The leg that an administrator made, or the reference plugin before us: used as it is."""
    name = gateway_link(request.conf)
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
        mac=leg_mac(request.host, name),
        vlan=conf.vlan,
        mtu=conf.mtu,
    )


def leg_interface(request: Request, seen: Seen, mtu: int) -> Interface:
    name = gateway_link(request.conf)
    others = _others_leg(request, seen)
    if others:
        return Interface(name, mac=others.mac, mtu=others.mtu)
    return Interface(name, mac=_vlan_gateway(request, name).mac, mtu=mtu)
