"""IPAM as a main plugin sees it: one of ours in process, or somebody else's executable.

CNI spec 1.1.0, section 4, "Plugin delegation". A name of ours runs in process unless the
first binary of that name in CNI_PATH is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any

from msgspec.structs import replace

from ..cni.addresses import interface_of
from ..cni.config import parse_model
from ..cni.keys import get
from ..cni.result import from_json
from ..model.errors import CniError, ConfigError, DelegateFailed
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Answers, PluginBinary, Query, Seen, Unanswered
from ..model.request import Request
from ..model.resource import Lease, Resource
from ..model.resources import AddressLease, DelegatedLease, LinkMtu
from ..model.result import Address, Result
from .registry import SERVED, plugin_named

_MOST_NETWORKS = 16
_SHOWN = 200
"""Characters of an answer that is none."""


def ipam_type(request: Request) -> str:
    """`ipam.type`, "" where the network has no IPAM."""
    kind = get(request.conf.ipam, "type")
    return kind if isinstance(kind, str) else ""


def ipam_questions(request: Request) -> Iterator[Query[Any]]:
    """What `foreign_ipam` will ask."""
    kind = ipam_type(request)
    if kind:
        yield PluginBinary(kind, request.path)


def foreign_ipam(request: Request, seen: Seen) -> str:
    """The path of somebody else's IPAM executable, "" where it is ours or there is none.

    Raises `ConfigError` where neither CNI_PATH nor we have a plugin of that name.
    """
    kind = ipam_type(request)
    if not kind:
        return ""
    binary = seen[PluginBinary(kind, request.path)]
    if binary is None:
        where = ":".join(request.path) or "CNI_PATH, which is empty"
        raise ConfigError(f'failed to find plugin "{kind}" (ipam.type) in {where}')
    return binary


def plan_addresses(
    request: Request, seen: Seen, interface_first: Callable[[], tuple[Resource, ...]]
) -> Plan:
    """What `ipam` leases: the leases, and a result of addresses, routes and DNS.

    `interface_first` tells what an IPAM needs to be there before it is asked that is another's,
    or asks others on the interface's link (DHCP). Raises `DelegateFailed` where it answers without
    an address, `ConfigError` where no interface can have the one that it gives.
    """
    leased = _leased(request, seen, interface_first)
    ips = tuple(map(_possible, leased.result.ips))
    return replace(leased, result=replace(leased.result, ips=ips))


def _possible(ip: Address) -> Address:
    """`ip`, whose gateway is "" where it is 0.0.0.0 or ::, which the kernel takes for none.

    Raises `ConfigError` for an address, or a gateway, that is no single machine's.
    """
    gateway = ip.gateway if ip.gateway.strip("0.:") else ""
    for text in filter(None, (ip.address.partition("/")[0], gateway)):
        address = ip_address(text)
        if address.is_multicast or address.is_unspecified:
            raise ConfigError(f"ipam: {text} is no address that an interface can have")
    return ip if gateway == ip.gateway else replace(ip, gateway=gateway)


def _leased(
    request: Request, seen: Seen, interface_first: Callable[[], tuple[Resource, ...]]
) -> Plan:
    binary = foreign_ipam(request, seen)
    if not binary:
        return _ours(request, seen, interface_first)
    lease = DelegatedLease(
        type=ipam_type(request),
        binary=binary,
        first=interface_first(),
    )
    result = from_json(seen[lease], request.cni_version, f"the result of {binary}")
    if not result.ips:
        raise DelegateFailed(
            f"IPAM plugin {binary} returned no address", details=str(seen[lease])[:_SHOWN]
        )
    return Plan((lease,), result)


def known_networks(request: Request) -> tuple[str, ...]:
    """The subnets that an IPAM of ours gives addresses of, told before one is taken.

    () where that can't be told, or will be an error.
    """
    if "networks" not in request.memo:
        request.memo["networks"] = tuple(dict.fromkeys(_networks(request)))[:_MOST_NETWORKS]
    found: tuple[str, ...] = request.memo["networks"]
    return found


def _networks(request: Request) -> Iterator[str]:
    if ipam_type(request) not in SERVED:
        return
    try:
        ipam, inner = _inner(request)
        plan = ipam.plan(inner, _Leaseless())
    except Unanswered as gap:
        for lease in gap.questions:
            if isinstance(lease, AddressLease):
                for first, _, length, _ in lease.ranges:
                    yield _network(first, length)
    except CniError:
        return
    else:
        yield from networks_of(plan.result)


def would_lease(request: Request) -> list[AddressLease]:
    """What an ADD would ask an IPAM of ours for; [] where that can't be told, or is an error."""
    if ipam_type(request) not in SERVED:
        return []
    try:
        ipam, inner = _inner(request)
        ipam.plan(inner, _Leaseless())
    except Unanswered as gap:
        return [lease for lease in gap.questions if isinstance(lease, AddressLease)]
    except CniError:
        return []
    return []


@lru_cache(maxsize=256)
def _network(first: str, length: int) -> str:
    return str(ip_network(f"{first}/{length}", strict=False))


def networks_of(result: Result) -> Iterator[str]:
    return (str(interface_of(ip.address).network) for ip in result.ips)


class _Leaseless(Answers):
    """Whatever is asked that is no lease is empty: it changes no address."""

    def __missing__(self, question: Any) -> Any:
        if isinstance(question, Lease):
            raise Unanswered(question)
        return ""

    def together(self, *questions: Any) -> None:
        if leases := [each for each in questions if isinstance(each, Lease)]:
            raise Unanswered(*leases)


def ipam_status(request: Request, seen: Seen) -> None:
    """STATUS of an IPAM of ours; somebody else's is asked by the engine."""
    if ipam_type(request) and not foreign_ipam(request, seen):
        ipam, inner = _inner(request)
        ipam.status(inner, seen)


def pools(request: Request) -> Iterable[AddressLease]:
    """Those of an IPAM of ours."""
    if ipam_type(request) in SERVED:
        try:
            ipam, inner = _inner(request)
        except ConfigError:
            return ()
        return ipam.pools(inner)
    return ()


def own_gateways(leased: Plan) -> frozenset[IPv4Interface | IPv6Interface]:
    """The gateways of all ranges that an IPAM of ours could have leased from, with their prefix."""
    return frozenset(
        interface_of(f"{gateway}/{length}")
        for lease in leased.resources
        if isinstance(lease, AddressLease)
        for _, _, length, gateway in lease.ranges
        if gateway
    )


def mtu_leased(leased: Plan, mtu: int) -> int:
    """The MTU of an interface that was made with `mtu`: the IPAM's network may take less."""
    return next((each.mtu for each in leased.resources if isinstance(each, LinkMtu)), mtu)


def _ours(
    request: Request, seen: Seen, interface_first: Callable[[], tuple[Resource, ...]]
) -> Plan:
    ipam, inner = _inner(request)
    if ipam.needs_interface:
        inner = replace(inner, first=interface_first())
    plan = ipam.plan(inner, seen)
    if not plan.result.ips:
        raise ConfigError(f'ipam: "{ipam.name}" is given no address to hand out')
    return plan


def as_ipam(kind: str) -> Plugin:
    """The plugin of ours of that name. Raises `ConfigError` for one that makes interfaces."""
    plugin = plugin_named(kind)
    if plugin.creates_interface:
        raise ConfigError(
            f'ipam.type: "{kind}" makes interfaces, and gives no addresses:'
            " use host-local, static or dhcp"
        )
    return plugin


def _inner(request: Request) -> tuple[Plugin, Request]:
    if "ipam" not in request.memo:
        ipam = as_ipam(ipam_type(request))
        if "ipam" not in request.common:
            request.common["ipam"] = parse_model(ipam.config, request.config), {}
        conf, common = request.common["ipam"]
        request.memo["ipam"] = ipam, replace(request, conf=conf, memo={}, common=common)
    found: tuple[Plugin, Request] = request.memo["ipam"]
    return found
