"""The container's interface: sysctls, addresses and routes, as resources inside its link.

The order is the kernel's: what an address depends on before it, a route after the link is up.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.plan import Announcement, Plan
from ..model.query import Seen
from ..model.resource import Resource
from ..model.resources import (
    AddressLease,
    ArpNotify,
    InterfaceAddress,
    InterfaceRoute,
    LinkUp,
    Sysctl,
)
from ..model.result import Result
from ..model.value import Value


class End(Value):
    """The interface `name` of the container, inside the resource of that key.

    `port` is its other end on the host, "" where it has none there.
    """

    name: str
    key: str
    port: str = ""


def configure(
    end: End, addressed: Result, *, dad: bool, asks_routers: bool, prefix_route: bool = True
) -> Iterator[Resource]:
    """Sysctls, addresses and `up` of the container's end; with `dad` no IPv6 address yet.

    Without `prefix_route` the kernel makes no routes to the addresses' networks.
    """
    has_6 = any(":" in ip.address for ip in addressed.ips)
    yield from _settings(end, dad=dad, asks_routers=asks_routers, has_6=has_6)
    for ip in addressed.ips:
        if not dad or ":" not in ip.address:
            yield _address(end, ip.address, prefix_route=prefix_route)
    yield _up(end)


def unaddressed(end: End, *, dad: bool, asks_routers: bool) -> Iterator[Resource]:
    """The same without an address: the end as an IPAM needs it that asks others on the link."""
    yield from _settings(end, dad=dad, asks_routers=asks_routers, has_6=False)
    if end.port:
        yield LinkUp(name=end.port, inside=end.key)
    yield _up(end)


def _settings(end: End, *, dad: bool, asks_routers: bool, has_6: bool) -> Iterator[Resource]:
    """What is set while it is down.

    Without `dad` an IPv6 address is usable at once, and so is the link-local one that it has in
    an IPv4 network, too; waiting for duplicate address detection costs a container two seconds.
    Each question that it asks is copied to everybody on the link: not `asks_routers` where there
    is no router to answer it. What one advertises by itself is taken all the same.
    """
    name = end.name
    yield _setting(end, f"ipv6/conf/{name}/accept_dad", "1" if dad else "0")
    if dad:
        yield _setting(end, f"ipv6/conf/{name}/enhanced_dad", "1")
    if not asks_routers:
        yield _setting(end, f"ipv6/conf/{name}/router_solicitations", "0")
    if has_6:
        yield _setting(end, f"ipv6/conf/{name}/disable_ipv6", "0")
        yield _setting(end, f"ipv6/conf/{name}/keep_addr_on_down", "1")
    yield ArpNotify(name=name, place="sandbox", inside=end.key)


def _up(end: End) -> LinkUp:
    return LinkUp(name=end.name, place="sandbox", inside=end.key)


def detected(end: End, addressed: Result) -> Iterator[Resource]:
    """The IPv6 addresses that wait for duplicate address detection, which needs a carrier."""
    for ip in addressed.ips:
        if ":" in ip.address:
            yield _address(end, ip.address, dad=True)


def routes(end: End, addressed: Result) -> Iterator[Resource]:
    """The result's routes; one without `gw` goes by the first gateway of its family."""
    for route in addressed.routes:
        yield InterfaceRoute(
            name=end.name,
            place="sandbox",
            inside=end.key,
            dst=route.dst,
            gw=addressed.next_hop(route),
            mtu=route.mtu,
            advmss=route.advmss,
            priority=route.priority,
            table=route.table,
            scope=route.scope,
        )


def announcement(end: End, leased: Plan, seen: Seen) -> Announcement | None:
    """Of the addresses that somebody may have had before: nobody knows a MAC for the others."""
    leases = [seen[each] for each in leased.resources if isinstance(each, AddressLease)]
    fresh = {lease.address for lease in leases if lease.fresh}
    told = [ip.address.partition("/")[0] for ip in leased.result.ips if ip.address not in fresh]
    return Announcement(end.name, end.port, tuple(told)) if told else None


def _setting(end: End, setting: str, value: str) -> Sysctl:
    return Sysctl(setting=setting, value=value, place="sandbox", optional=True, inside=end.key)


def _address(
    end: End, address: str, *, dad: bool = False, prefix_route: bool = True
) -> InterfaceAddress:
    return InterfaceAddress(
        name=end.name,
        address=address,
        place="sandbox",
        dad=dad,
        prefix_route=prefix_route,
        inside=end.key,
    )
