"""`bridge`: a veth pair from the container to a bridge of the host, with addresses and a way out.

Keys, results and refusals are the reference plugin's. What it leaves out, this does:
DEL needs neither namespace nor configuration, and CHECK sees what ADD made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from msgspec.structs import replace

from ..cni.addresses import interface_of
from ..cni.environment import ADDRESSING
from ..model.errors import ConfigError
from ..model.link_attributes import DEFAULT_MTU
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import AddressesOn, Link, LinkNamed, Query, Seen
from ..model.request import Attachment, Request, bridge_mac
from ..model.resource import Resource
from ..model.resources import (
    AddressLease,
    BridgePort,
    Element,
    GatewayAddress,
    LinkUp,
    Promiscuous,
    SharedElement,
    Sysctl,
    Veth,
)
from ..model.resources import Bridge as BridgeLink
from ..model.result import Address, Interface, Result
from . import sandbox, way_out, zones
from .bridge_config import BridgeConf
from .bridge_gateways import (
    gateway_link,
    leg,
    leg_interface,
    no_advertisements,
    plan_gateways,
    refuse_taken,
    with_gateways,
)
from .delegation import (
    foreign_ipam,
    ipam_questions,
    ipam_status,
    ipam_type,
    mtu_leased,
    plan_addresses,
    pools,
    would_lease,
)
from .forwards import closed, router_questions
from .mac import asked_mac, link_local, unicast_mac
from .way_out import MIN_IPV6_MTU

IPNet = IPv4Interface | IPv6Interface


def host_name(attachment: Attachment) -> str:
    return attachment.host_end


class Bridge(Plugin):
    name = "bridge"
    about = "connects the container to a bridge of the host"
    config = BridgeConf
    arguments = ADDRESSING
    creates_interface = True

    def plan(self, request: Request, seen: Seen) -> Plan:
        # All questions first: until they are answered nothing is worked out in vain, and
        # none is left for the store's transaction, in which the lease is taken.
        seen.together(*_questions(request))
        conf: BridgeConf = request.conf
        if conf.gateway and (mtu := way_out.mtu(conf.mtu, seen)) != conf.mtu:
            conf = conf.replaced(mtu=mtu)
            request = replace(request, conf=conf)
        found = seen[LinkNamed(conf.bridge)]
        foreign_ipam(request, seen)
        _refuse_no_bridge(conf, found)
        pair = _pair(request, asked_mac(request) or request.attachment.mac("container"))
        foreign = _foreign_mac(request, found)
        unadvertised = tuple(no_advertisements(request, seen, found if foreign else None))
        wiring = partial(_wiring, request, found, pair, unadvertised)
        if not ipam_type(request):
            return _layer_2(request, seen, wiring(), pair)
        asks_routers = bool(foreign) or not conf.gateway
        unaddressed = partial(
            sandbox.unaddressed, _end(pair), dad=conf.enabledad, asks_routers=asks_routers
        )
        # Who asks on the link has the port up long before there is a lease: guarded from the start.
        spoof_checked = tuple(_mac_guard(conf, pair))
        leased = plan_addresses(request, seen, lambda: (*spoof_checked, *wiring(), *unaddressed()))
        zone = zones.of_network(request, gateway_link(conf), leased, seen) if conf.gateway else 0
        _refuse_small_mtu(conf, leased.result)
        addressed = with_gateways(conf, leased.result)
        gateways: tuple[Resource, ...] = ()
        if conf.gateway:
            gateways = tuple(plan_gateways(request, seen, addressed, leased, foreign, unadvertised))
        # The tables first, so undone last: a container that runs already, or still, finds no
        # moment in which it is connected and not guarded.
        resources = (
            *zones.of_link(gateway_link(conf), zone),
            *(zones.masqueraded(addressed, zone) if conf.ipMasq else ()),
            *_guard(conf, pair, leased.result),
            *wiring(),
            *leased.resources,
            *gateways,
            *_inside(conf, pair, addressed, asks_routers=asks_routers),
        )
        return Plan(
            resources,
            _result(request, seen, pair, addressed, mtu_leased(leased, pair.mtu)),
            tuple(_takes_routers_address(request, addressed)),
            announcement=sandbox.announcement(_end(pair), leased, seen),
        )

    def status(self, request: Request, seen: Seen) -> None:
        ipam_status(request, seen)
        conf: BridgeConf = request.conf
        _refuse_no_bridge(conf, seen[LinkNamed(conf.bridge)])
        refuse_taken(request, seen, would_lease(request))

    def delegate(self, request: Request, seen: Seen) -> str:
        return foreign_ipam(request, seen)

    def pools(self, request: Request) -> Iterable[AddressLease]:
        return pools(request) if request.conf else ()

    def leftovers(self, request: Request) -> Iterable[Resource]:
        conf: BridgeConf = request.conf or BridgeConf()
        request = replace(request, conf=conf)
        attachment = request.attachment
        pair = _pair(request, attachment.mac("container"))
        yield pair
        # The configuration may have changed since: its guard is looked for all the same, with
        # every MAC it may have had.
        most = {"macspoofchk": True, "ipspoofchk": True, "isGateway": False}
        guarded = conf.replaced(**most, isDefaultGateway=False)
        known = request.prev_result or Result()
        for mac in filter(None, dict.fromkeys((*_told_macs(request), pair.peer_mac))):
            yield from _guard(guarded, replace(pair, peer_mac=mac), known)
        yield from self.pools(request)
        for ip in request.prev_result.ips if request.prev_result else ():
            address = interface_of(ip.address)
            yield SharedElement(set=f"masquerade{address.version}", item=(str(address.ip),))
            if request.conf.gateway and ip.gateway:
                yield GatewayAddress(
                    name=gateway_link(request.conf),
                    address=f"{ip.gateway}/{address.network.prefixlen}",
                )


def _questions(request: Request) -> Iterator[Query[Any]]:
    conf: BridgeConf = request.conf
    yield LinkNamed(conf.bridge)
    yield from ipam_questions(request)
    if conf.gateway:
        yield LinkNamed(gateway_link(conf))
        yield AddressesOn(gateway_link(conf))
        yield zones.question(request, gateway_link(conf))
        yield from way_out.questions(conf.mtu)
        yield from router_questions(request)
        yield closed(leg(conf))


def _told_macs(request: Request) -> Iterator[str]:
    """The container's MACs that prevResult and the configuration tell of."""
    interfaces = request.prev_result.interfaces if request.prev_result else ()
    told = [one.mac for one in interfaces if one.name == request.interface]
    for text in told:
        with suppress(ConfigError):
            yield unicast_mac(text)
    with suppress(ConfigError):
        yield asked_mac(request)


# --- wiring ---------------------------------------------------------------------


def _pair(request: Request, mac: str) -> Veth:
    attachment = request.attachment
    return Veth(
        name=host_name(attachment),
        mac=attachment.mac("host"),
        peer=request.interface,
        peer_mac=mac,
        mtu=request.conf.mtu or DEFAULT_MTU,
    )


def _end(pair: Veth) -> sandbox.End:
    return sandbox.End(pair.peer, pair.key, port=pair.name)


def _wiring(
    request: Request, found: Link | None, pair: Veth, unadvertised: tuple[Resource, ...]
) -> tuple[Resource, ...]:
    port = _port(request.conf, pair, _foreign_mac(request, found))
    return (*_bridge(request, found), *unadvertised, pair, *port)


def _bridge(request: Request, found: Link | None) -> Iterator[Resource]:
    conf: BridgeConf = request.conf
    yield BridgeLink(
        name=conf.bridge,
        mac=_mac_of(request, found) if found else _bridge_mac(request),
        mtu=0 if found else conf.mtu,
        vlan_filtering=conf.filters_vlans,
        vlans=conf.vlans_asked(),
    )
    if conf.promiscMode:
        yield Promiscuous(name=conf.bridge)


def _bridge_mac(request: Request) -> str:
    return bridge_mac(request.host, request.conf.bridge)


def _foreign_mac(request: Request, found: Link | None) -> str:
    """The MAC of a bridge that we have not made: it may have been given none."""
    return _mac_of(request, found) if found and found.mac != _bridge_mac(request) else ""


def _mac_of(request: Request, found: Link) -> str:
    """The one it has, or is to have: once its last port has left, the kernel leaves it none.

    It is not the one that tells a bridge of ours.
    """
    if found.mac.strip("0:"):
        return found.mac
    return Attachment(request.host, "bridge", request.conf.bridge).mac("bridge of others")


def _port(conf: BridgeConf, pair: Veth, bridge_mac: str) -> Iterator[Resource]:
    """The host has no IPv6 on the port itself, where nothing reaches it: a bridge takes it all.

    Each route that it would have there is passed by whenever a link of the host comes or goes.
    """
    for key, value in (("accept_ra", "0"), ("disable_ipv6", "1")):
        setting = f"ipv6/conf/{pair.name}/{key}"
        yield Sysctl(setting=setting, value=value, optional=True, inside=pair.key)
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
    result = _result(request, seen, pair, bare, pair.mtu)
    return Plan((*_guard(conf, pair, bare), *wiring, *ups), result)


# --- addresses --------------------------------------------------------


def _refuse_no_bridge(conf: BridgeConf, found: Link | None) -> None:
    if found and found.kind != "bridge":
        raise ConfigError(
            f'bridge: "{conf.bridge}" already exists but is not a bridge'
            f" (it is {found.kind or 'a plain device'})"
        )


def _refuse_small_mtu(conf: BridgeConf, leased: Result) -> None:
    """RFC 8200, section 5; the kernel would say no more than "invalid argument"."""
    if 0 < conf.mtu < MIN_IPV6_MTU and any(":" in ip.address for ip in leased.ips):
        raise ConfigError(
            f"mtu: {conf.mtu} is under {MIN_IPV6_MTU}, which IPv6 needs,"
            " and the network gives IPv6 addresses"
        )


def _inside(
    conf: BridgeConf, pair: Veth, addressed: Result, *, asks_routers: bool
) -> Iterator[Resource]:
    """The container's end: addresses before it is up, routes after.

    The host's end comes up last: what the new carrier sets off, up to the container's first
    multicasts to all ports, the kernel does by itself then, and nothing here waits for it. But
    duplicate address detection needs the carrier.
    """
    end = _end(pair)
    yield from sandbox.configure(end, addressed, dad=conf.enabledad, asks_routers=asks_routers)
    host_up = LinkUp(name=pair.name, inside=pair.key)
    if conf.enabledad:
        yield host_up
        yield from sandbox.detected(end, addressed)
    yield from sandbox.routes(end, addressed)
    if not conf.enabledad:
        yield host_up


def _takes_routers_address(request: Request, addressed: Result) -> Iterator[str]:
    """The reference does the same: it is no error, and seldom what is meant."""
    gateways = ", ".join(ip.gateway for ip in addressed.ips if ip.gateway)
    if request.conf.gateway and ipam_type(request) == "dhcp" and gateways:
        yield (
            f"isGateway with ipam dhcp: this host has {gateways} on {gateway_link(request.conf)}"
            " now, the address of the router that the DHCP server tells of: leave isGateway out"
        )


# --- the tables -----------------------------------------------------------------------


def _mac_guard(conf: BridgeConf, pair: Veth) -> Iterator[Resource]:
    """The part of the guard that takes no lease to know."""
    if conf.macspoofchk:
        yield Element(set="allowed", item=(pair.name, pair.peer_mac))
        yield Element(set="guarded", item=(pair.name,))


def _guard(conf: BridgeConf, pair: Veth, leased: Result) -> Iterator[Resource]:
    yield from _mac_guard(conf, pair)
    if conf.ipspoofchk:
        addresses = [interface_of(ip.address).ip for ip in leased.ips]
        for address in (*addresses, link_local(pair.peer_mac)):
            yield Element(set=f"addressed{address.version}", item=(pair.name, str(address)))
        yield Element(set="addressed", item=(pair.name,))
        yield Element(set="bridged", item=(pair.name,))
        for address in () if conf.gateway else addresses:
            yield Element(set=f"confined{address.version}", item=(conf.bridge, str(address)))


def _result(request: Request, seen: Seen, pair: Veth, addressed: Result, inner_mtu: int) -> Result:
    conf: BridgeConf = request.conf
    found = seen[LinkNamed(conf.bridge)]
    bridge = next(r for r in _bridge(request, found) if isinstance(r, BridgeLink))
    mtu = pair.mtu
    interfaces = [
        Interface(conf.bridge, mac=bridge.mac, mtu=found.mtu if found else mtu),
        Interface(pair.name, mac=pair.mac, mtu=mtu),
        Interface(pair.peer, mac=pair.peer_mac, mtu=inner_mtu, sandbox=request.netns),
    ]
    if addressed.ips and conf.gateway and conf.vlan:
        interfaces.append(leg_interface(request, seen, mtu))
    ips = tuple(Address(ip.address, ip.gateway, interface=2) for ip in addressed.ips)
    return replace(addressed, interfaces=tuple(interfaces), ips=ips)
