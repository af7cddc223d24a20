"""`ptp`: a pair of links between the container and the host, which routes for it; no bridge.

Keys, results and refusals are the reference plugin's, but for `device`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Literal

from msgspec.structs import replace

from ..cni.addresses import interface_of
from ..cni.environment import ADDRESSING
from ..cni.net_conf import NetConf
from ..model.errors import ConfigError
from ..model.kernel_kinds import KernelMakes
from ..model.link_attributes import DEFAULT_MTU
from ..model.link_pair import PAIRS
from ..model.place import Place
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import (
    AddressLease,
    InterfaceAddress,
    InterfaceRoute,
    LinkForwarding,
    LinkPair,
    LinkUp,
    SharedElement,
    Sysctl,
)
from ..model.result import Address, Interface, Result
from . import sandbox, way_out, zones
from .container_link import possible_mtu
from .delegation import (
    foreign_ipam,
    ipam_questions,
    ipam_status,
    ipam_type,
    mtu_leased,
    plan_addresses,
    pools,
)
from .forwards import closed, forwarding, router_questions
from .mac import asked_mac

_NETKIT = KernelMakes("link", "netkit")
_LINK_SCOPE = 253  # linux/rtnetlink.h, RT_SCOPE_LINK


class PtpConf(NetConf):
    ipMasq: bool = False
    ipMasqBackend: str = ""
    """Accepted and without effect: there is one table, for every backend."""
    mtu: Annotated[int, possible_mtu] = 0
    device: Literal["", "veth", "netkit"] = ""

    def check(self) -> None:
        if self.ipMasqBackend not in ("", "iptables", "nftables"):
            raise ValueError(f'ipMasqBackend: "{self.ipMasqBackend}" is not iptables or nftables')


class Ptp(Plugin):
    name = "ptp"
    about = "connects the container to the host, which routes for it"
    config = PtpConf
    arguments = ADDRESSING
    creates_interface = True

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: PtpConf = request.conf
        if not ipam_type(request):
            raise ConfigError("ipam: ptp needs one: the host reaches the container by its address")
        mac = asked_mac(request) or request.attachment.mac("container")
        seen.together(
            *ipam_questions(request),
            *way_out.questions(conf.mtu),
            *router_questions(request),
            closed(_leg(_pair("veth", request, mac, 0))),
            *((_NETKIT,) if conf.device == "netkit" else ()),
        )
        foreign_ipam(request, seen)
        lacking = conf.device == "netkit" and not seen[_NETKIT]
        kind = "netkit" if conf.device == "netkit" and not lacking else "veth"
        pair = _pair(kind, request, mac, way_out.mtu(conf.mtu, seen))
        wiring = _wiring(pair)
        end = sandbox.End(pair.peer, pair.key, port=pair.name)
        unaddressed = partial(sandbox.unaddressed, end, dad=False, asks_routers=False)
        leased = plan_addresses(request, seen, lambda: (*wiring, *unaddressed()))
        addressed = _with_gateways(request, leased.result)
        resources = (
            *(zones.masqueraded(addressed, 0) if conf.ipMasq else ()),
            *wiring,
            *leased.resources,
            *forwarding(request, seen, addressed, _leg(pair)),
            *_outside(pair, addressed),
            *_inside(end, addressed),
        )
        interfaces = (
            Interface(pair.name, mac=pair.mac, mtu=pair.mtu),
            Interface(pair.peer, mac=mac, mtu=mtu_leased(leased, pair.mtu), sandbox=request.netns),
        )
        announcement = sandbox.announcement(end, leased, seen)
        note = (
            "device netkit: this kernel was built without (CONFIG_NETKIT, of Linux 6.7 and newer);"
            " this is a veth pair"
        )
        return Plan(
            resources,
            replace(addressed, interfaces=interfaces),
            (note,) if lacking else (),
            announcement,
        )

    def status(self, request: Request, seen: Seen) -> None:
        ipam_status(request, seen)

    def delegate(self, request: Request, seen: Seen) -> str:
        return foreign_ipam(request, seen)

    def pools(self, request: Request) -> Iterable[AddressLease]:
        return pools(request) if request.conf else ()

    def leftovers(self, request: Request) -> Iterable[Resource]:
        request = replace(request, conf=request.conf or PtpConf())
        for kind in PAIRS:
            yield _pair(kind, request, request.attachment.mac("container"), 0)
        yield from self.pools(request)
        for ip in request.prev_result.ips if request.prev_result else ():
            address = interface_of(ip.address)
            yield SharedElement(set=f"masquerade{address.version}", item=(str(address.ip),))


def _pair(kind: str, request: Request, mac: str, mtu: int) -> LinkPair:
    attachment = request.attachment
    return PAIRS[kind](
        name=attachment.host_end,
        mac=attachment.mac("host"),
        peer=request.interface,
        peer_mac=mac,
        mtu=mtu or DEFAULT_MTU,
    )


def _leg(pair: LinkPair) -> LinkForwarding:
    return LinkForwarding(name=pair.name, inside=pair.key)


def _wiring(pair: LinkPair) -> tuple[Resource, ...]:
    """The host takes no routes from the container, and has no doubt of its own address there.

    Until that is known to be nobody else's, which takes seconds, it would send no IPv6 on to it.
    """
    return pair, *(
        Sysctl(setting=f"ipv6/conf/{pair.name}/{key}", value="0", optional=True, inside=pair.key)
        for key in ("accept_ra", "accept_dad")
    )


def _with_gateways(request: Request, leased: Result) -> Result:
    """The addresses of the container's end, each with the host's address that it goes by."""
    for ip in leased.ips:
        if not ip.gateway:
            raise ConfigError(f"ipam: ptp needs a gateway, and {ip.address} comes without one")
    ips = tuple(Address(ip.address, ip.gateway, interface=1) for ip in leased.ips)
    return Result(ips=ips, routes=leased.routes, dns=request.conf.dns.to_dns() or leased.dns)


def _outside(pair: LinkPair, addressed: Result) -> Iterator[Resource]:
    """The gateway on the host's end, for this container alone, and the way to the container."""
    addresses = [interface_of(ip.address) for ip in addressed.ips]
    for ip in addressed.ips:
        host = _alone(ip.gateway)
        yield InterfaceAddress(name=pair.name, address=host, place="host", inside=pair.key)
    yield LinkUp(name=pair.name, inside=pair.key)
    for address in addresses:
        yield _on_link(pair.name, "host", _alone(str(address.ip)), pair.key)


def _inside(end: sandbox.End, addressed: Result) -> Iterator[Resource]:
    """All that the container sends goes by the gateway, to its neighbours, too."""
    yield from sandbox.configure(end, addressed, dad=False, asks_routers=False, prefix_route=False)
    for ip in addressed.ips:
        yield _on_link(end.name, "sandbox", _alone(ip.gateway), end.key)
        yield InterfaceRoute(
            name=end.name,
            place="sandbox",
            inside=end.key,
            dst=str(interface_of(ip.address).network),
            gw=ip.gateway,
        )
    yield from sandbox.routes(end, addressed)


def _on_link(name: str, place: Place, dst: str, inside: str) -> InterfaceRoute:
    scope = None if ":" in dst else _LINK_SCOPE
    return InterfaceRoute(name=name, place=place, inside=inside, dst=dst, scope=scope)


def _alone(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"
