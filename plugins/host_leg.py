"""`hostAddresses`: the host's own link beside those of its containers on one master.

The kernel lets no packets pass between a macvlan or ipvlan link and its master. By a link of the
same kind the host is one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Any

from msgspec.structs import replace

from ..cni.addresses import interface_of, is_address
from ..cni.section import Unfit
from ..model.errors import ConfigError
from ..model.host_leg import HostLeg, Stacked
from ..model.plan import Plan
from ..model.query import AddressHolders, Link, LinkNamed, Query, Seen
from ..model.ranges import describe, gateways, range_of
from ..model.request import Attachment, Request
from ..model.resource import Resource
from ..model.resources import AddressLease, ContainerLink, GatewayAddress, InterfaceRoute
from ..model.result import Result
from ..model.value import Value
from .container_link import OnParentConf

_MAX_NAME = 15  # linux/if.h, IFNAMSIZ, without the NUL
_SHORT = {"macvlan": "mv", "ipvlan": "iv"}


def host_address(text: str) -> str:
    """For `Annotated`: an address without a prefix length, or with that of a single one."""
    address, slash, length = text.partition("/")
    if not is_address(address) or (slash and length != _length(address)):
        raise Unfit("is not an address, such as 10.1.0.250 or fd00::250")
    found = ip_address(address)
    if found.is_multicast or found.is_unspecified or found.is_loopback or found.is_link_local:
        raise Unfit("is no address of one network that an interface can have")
    return str(found)


class LegConf(OnParentConf):
    """The keys of those on whose master the host may have a leg."""

    hostAddresses: tuple[Annotated[str, host_address], ...] = ()

    def check(self) -> None:
        super().check()
        families = [":" in each for each in self.hostAddresses]
        if len(families) != len(set(families)):
            raise ValueError("hostAddresses: there may be one IPv4 address and one IPv6 address")
        if families and self.linkInContainer:
            raise ValueError("hostAddresses: with linkInContainer the host has no part in it")


class Leg(Value):
    """`link` is the host's, `addresses` those it has there, each without prefix length.

    `routed` where a container has neighbours by its routes alone.
    """

    link: HostLeg
    addresses: tuple[str, ...]
    mtu: int = 0
    routed: bool = False


def joined(plan: Plan, leg: Leg, container: ContainerLink) -> Plan:
    """`plan`, which makes the link `container`, with the host's leg and the ways between both.

    Raises `ConfigError` for an address of the host that is, or may be, a container's, or that this
    container would look for elsewhere.
    """
    if not plan.result.ips:
        raise ConfigError("hostAddresses: needs ipam, for the host goes by the container's address")
    for address in leg.addresses:
        _refuse_leased(address, plan)
    gateways_there = (
        GatewayAddress(name=leg.link.name, address=_alone(address)) for address in leg.addresses
    )
    resources = (leg.link, *gateways_there, *plan.resources, *_ways(leg, container, plan.result))
    return replace(plan, resources=resources)


def _ways(leg: Leg, container: ContainerLink, result: Result) -> Iterator[Resource]:
    for address in leg.addresses:
        if not _is_neighbour(address, result):
            if not leg.routed:
                raise ConfigError(
                    f"hostAddresses: {address} is in no subnet of the container"
                    f" ({', '.join(ip.address for ip in result.ips)}); choose one there"
                )
            yield InterfaceRoute(
                name=container.name, place="sandbox", inside=container.key, dst=_alone(address)
            )
    for address in leg.addresses:
        for ip in result.ips:
            if (":" in ip.address) == (":" in address):
                yield InterfaceRoute(
                    name=leg.link.name,
                    dst=_alone(ip.address.partition("/")[0]),
                    mtu=leg.mtu,
                    source=address,
                )


def questions(conf: LegConf, kind: Stacked) -> Iterator[Query[Any]]:
    """What `leg` will ask, as far as that is known beforehand."""
    if conf.hostAddresses and conf.master:
        yield LinkNamed(leg_name(kind, conf.master))
    for address in conf.hostAddresses:
        yield AddressHolders(address)


def leg(request: Request, seen: Seen, on: Link, kind: Stacked, mode: str) -> Leg | None:
    """What `hostAddresses` asks for on the master `on`; None without that key.

    Raises `ConfigError` where the host has such an address elsewhere, or another link of that name.
    """
    conf: LegConf = request.conf
    if not conf.hostAddresses:
        return None
    name = leg_name(kind, on.name)
    found = seen[LinkNamed(name)]
    if found and (found.kind, found.parent) != (kind, on.index):
        raise ConfigError(
            f"hostAddresses: the host's own link would be {name}, and there is an interface of that"
            f" name which is no {kind} on {on.name}; rename that: `ip link set {name} name NEW`"
        )
    for address in conf.hostAddresses:
        others = [holder for holder in seen[AddressHolders(address)] if holder != name]
        if others:
            raise ConfigError(
                f"hostAddresses: the host has {address} on {others[0]} already; choose an address"
                " that nobody has"
            )
    mac = _own_mac(request, kind, name)
    ours = bool(mac) and (found is None or found.mac == mac)
    if found and mac:
        mac = found.mac
    link = HostLeg(name=name, link=kind, parent=on.name, mode=mode, mac=mac, ours=ours)
    return Leg(link, conf.hostAddresses, conf.mtu, routed=mode in ("l3", "l3s"))


def leg_left(request: Request, kind: Stacked) -> Iterator[Resource]:
    """What tells the leg that an ADD without a record has made, and what it has."""
    conf = request.conf
    if not isinstance(conf, LegConf) or not (conf.hostAddresses and conf.master):
        return
    name = leg_name(kind, conf.master)
    mac = _own_mac(request, kind, name)
    link = HostLeg(name=name, link=kind, parent=conf.master, mode="", mac=mac)
    for ip in request.prev_result.ips if request.prev_result else ():
        yield InterfaceRoute(name=name, dst=_alone(ip.address.partition("/")[0]))
    for address in conf.hostAddresses:
        yield GatewayAddress(name=name, address=_alone(address))
    yield link


def leg_name(kind: Stacked, master: str) -> str:
    """The kind, as "mv-" or "iv-", and the master; where that is too long, digits of a hash."""
    name = f"{_SHORT[kind]}-{master}"
    if len(name.encode()) <= _MAX_NAME:
        return name
    return f"{_SHORT[kind]}-{Attachment('', kind, master).digest('host leg', 6).hex()}"


def _own_mac(request: Request, kind: Stacked, name: str) -> str:
    """By it ours is told from another's of that name; "" of a kind that has its master's."""
    return Attachment(request.host, "host-leg", name).mac("host leg") if kind == "macvlan" else ""


def _refuse_leased(address: str, leased: Plan) -> None:
    if any(interface_of(ip.address).ip == ip_address(address) for ip in leased.result.ips):
        raise ConfigError(
            f"hostAddresses: {address} is the container's; choose another for the host"
        )
    for lease in leased.resources:
        if isinstance(lease, AddressLease) and address not in gateways(lease.ranges):
            found = range_of(lease.ranges, address)
            if found:
                raise ConfigError(
                    f"hostAddresses: a container could be given {address}, which is in the range"
                    f" {describe(found)} of ipam; end or begin the range (rangeEnd, rangeStart) so"
                    " that it is not"
                )


def _is_neighbour(address: str, result: Result) -> bool:
    return any(ip_address(address) in interface_of(ip.address).network for ip in result.ips)


def _alone(address: str) -> str:
    return f"{address}/{_length(address)}"


def _length(address: str) -> str:
    return "128" if ":" in address else "32"
