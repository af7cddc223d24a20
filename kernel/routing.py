"""What is asked about the routing tables of a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from socket import AF_INET, AF_INET6

from ..model.routing import OF_THE_KERNEL, RouteFound, TableUse
from .netlink import links, routes, source_rules, vrfs
from .netlink.rtnl import address_text
from .netlink.rtnl_socket import Socket

_FAMILIES = (AF_INET, AF_INET6)


def routes_on(sock: Socket, name: str) -> Iterator[RouteFound]:
    """Those of the main table through the link NAME."""
    index = links.index(sock, name)
    for family in _FAMILIES if index else ():
        for route in routes.on(sock, index, family):
            yield RouteFound(
                dst=f"{address_text(route.destination)}/{route.length}",
                gw=address_text(route.gateway) if route.gateway else "",
                source=address_text(route.source) if route.source else "",
                priority=route.priority,
                scope=route.scope or 0,
                protocol=route.protocol,
                mtu=route.mtu,
                advmss=route.advmss,
                onlink=route.onlink,
            )


def tables_in_use(sock: Socket) -> Iterator[TableUse]:
    """By VRFs, routes and rules; each user of each table once."""
    for vrf in links.of_kind(sock, "vrf"):
        yield TableUse(vrfs.table_of(sock, vrf.name), vrf=vrf.name)
    used = {
        (table, index)
        for family in _FAMILIES
        for table, index in routes.in_all_tables(sock, family)
        if table not in OF_THE_KERNEL
    }
    names = {index: links.name_of(sock, index) for _, index in used if index}
    for table, index in sorted(used):
        yield TableUse(table, names.get(index, ""))
    asked = {table for family in _FAMILIES for table in source_rules.asked(sock, family)}
    for table in sorted(asked.difference(OF_THE_KERNEL)):
        yield TableUse(table)
