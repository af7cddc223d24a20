"""The container's end of a link: sysctls, addresses and routes, as resources inside it.

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
    Veth,
)
from ..model.result import Result


def configure(pair: Veth, addressed: Result, *, dad: bool) -> Iterator[Resource]:
    """Sysctls, addresses and `up` of the container's end; with `dad` no IPv6 address yet.

    Without `dad` such an address is usable at once; waiting for duplicate address detection
    costs a container two seconds.
    """
    name = pair.peer
    if any(":" in ip.address for ip in addressed.ips):
        yield _setting(pair, f"ipv6/conf/{name}/disable_ipv6", "0")
        yield _setting(pair, f"ipv6/conf/{name}/keep_addr_on_down", "1")
        yield _setting(pair, f"ipv6/conf/{name}/accept_dad", "1" if dad else "0")
        if dad:
            yield _setting(pair, f"ipv6/conf/{name}/enhanced_dad", "1")
    yield ArpNotify(name=name, place="sandbox", inside=pair.key)
    for ip in addressed.ips:
        if not dad or ":" not in ip.address:
            yield _address(pair, ip.address)
    yield LinkUp(name=name, place="sandbox", inside=pair.key)


def detected(pair: Veth, addressed: Result) -> Iterator[Resource]:
    """The IPv6 addresses that wait for duplicate address detection, which needs a carrier."""
    for ip in addressed.ips:
        if ":" in ip.address:
            yield _address(pair, ip.address, dad=True)


def routes(pair: Veth, addressed: Result) -> Iterator[Resource]:
    """The result's routes; one without `gw` goes by the first gateway of its family."""
    for route in addressed.routes:
        yield InterfaceRoute(
            name=pair.peer,
            place="sandbox",
            inside=pair.key,
            dst=route.dst,
            gw=addressed.next_hop(route),
            mtu=route.mtu,
            advmss=route.advmss,
            priority=route.priority,
            table=route.table,
            scope=route.scope,
        )


def announcement(pair: Veth, leased: Plan, seen: Seen) -> Announcement | None:
    """Of the addresses that somebody may have had before: nobody knows a MAC for the others."""
    leases = [seen[each] for each in leased.resources if isinstance(each, AddressLease)]
    fresh = {lease.address for lease in leases if lease.fresh}
    told = [ip.address.partition("/")[0] for ip in leased.result.ips if ip.address not in fresh]
    return Announcement(pair.peer, pair.name, tuple(told)) if told else None


def _setting(pair: Veth, setting: str, value: str) -> Sysctl:
    return Sysctl(setting=setting, value=value, place="sandbox", optional=True, inside=pair.key)


def _address(pair: Veth, address: str, *, dad: bool = False) -> InterfaceAddress:
    return InterfaceAddress(
        name=pair.peer, address=address, place="sandbox", dad=dad, inside=pair.key
    )
