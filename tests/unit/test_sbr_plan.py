"""sbr's plan: which routes an address's table gets, and what stays in the main table."""

from __future__ import annotations

from typing import Any

from pynet.model.query import Link, LinkNamed
from pynet.model.resource import Resource
from pynet.model.resources import InterfaceRoute
from pynet.model.result import Address, Interface, Result
from pynet.model.routing import MovedRoute, RouteFound, RoutesOn, SourceRule, TablesInUse, TableUse
from pynet.plugins.sbr import Sbr
from pynet.testing import request, seen

ETH0 = Link(2, "eth0", "veth", "02:00:00:00:00:01", 1500, True)
INSIDE = Interface("eth0", mac="02:00:00:00:00:01", sandbox="/run/netns/c1")
OUTSIDE = Interface("eth0", mac="02:00:00:00:00:02")


def planned(
    *addresses: Address,
    routes: tuple[RouteFound, ...] = (),
    used: tuple[TableUse, ...] = (),
    **config: Any,
) -> tuple[Resource, ...]:
    before = Result(interfaces=(OUTSIDE, INSIDE), ips=addresses)
    answers = {
        LinkNamed("eth0", "sandbox"): ETH0,
        RoutesOn("eth0"): routes,
        TablesInUse(): used,
    }
    asked = request(Sbr(), config, prev_result=before, interface="eth0")
    plan = Sbr().plan(asked, seen(answers))
    assert plan.result == before
    return plan.resources


def tables(resources: tuple[Resource, ...]) -> list[tuple[str, int]]:
    return [(one.address, one.table) for one in resources if isinstance(one, SourceRule)]


def moved(resources: tuple[Resource, ...]) -> list[tuple[str, str, int]]:
    return [(one.dst, one.gw, one.table) for one in resources if isinstance(one, MovedRoute)]


ONE = Address("10.1.0.2/24", "10.1.0.1", interface=1)
TWO = Address("10.2.0.2/24", "10.2.0.1", interface=1)
SIX = Address("fd00:1::2/64", "fd00:1::1", interface=1)


def test_each_address_gets_the_next_table_that_is_free() -> None:
    used = (TableUse(100, "eth1"), TableUse(102), TableUse(254))
    assert tables(planned(ONE, SIX, used=used)) == [("10.1.0.2", 101), ("fd00:1::2", 103)]


def test_addresses_of_another_interface_are_not_looked_at() -> None:
    elsewhere = Address("10.9.0.2/24", interface=0)
    unsaid = Address("10.3.0.2/24")
    assert tables(planned(elsewhere, ONE, unsaid)) == [("10.1.0.2", 100), ("10.3.0.2", 101)]


def test_routes_go_to_the_tables_of_those_who_may_send_by_them() -> None:
    routes = (
        RouteFound("0.0.0.0/0", gw="10.1.0.1"),
        RouteFound("10.1.0.0/24", source="10.1.0.2", scope=253),
        RouteFound("10.2.0.0/24", source="10.2.0.2", scope=253),
        RouteFound("172.16.0.0/12", gw="192.0.2.1", onlink=True),
        RouteFound("203.0.113.0/24", scope=253),
    )
    assert moved(planned(ONE, TWO, SIX, routes=routes)) == [
        ("203.0.113.0/24", "", 100),
        ("203.0.113.0/24", "", 101),
        ("10.2.0.0/24", "", 101),
        ("10.1.0.0/24", "", 100),
        ("172.16.0.0/12", "192.0.2.1", 100),
        ("172.16.0.0/12", "192.0.2.1", 101),
        ("0.0.0.0/0", "10.1.0.1", 100),
    ]


def test_a_default_route_that_is_there_is_not_made_again() -> None:
    routes = (RouteFound("0.0.0.0/0", gw="10.1.0.1"),)
    made = [one for one in planned(ONE, TWO, routes=routes) if isinstance(one, InterfaceRoute)]
    assert [(one.dst, one.gw, one.table) for one in made] == [("0.0.0.0/0", "10.2.0.1", 101)]


def test_a_gateway_that_is_given_takes_the_place_of_the_others() -> None:
    routes = (RouteFound("0.0.0.0/0", gw="10.1.0.1"), RouteFound("::/0", gw="fd00:1::1"))
    resources = planned(ONE, SIX, routes=routes, gateways=["10.1.0.9"])
    assert moved(resources) == [("::/0", "fd00:1::1", 101), ("0.0.0.0/0", "10.1.0.1", 0)]
    made = [one for one in resources if isinstance(one, InterfaceRoute)]
    assert [(one.dst, one.gw, one.table) for one in made] == [("0.0.0.0/0", "10.1.0.9", 100)]


def test_link_local_routes_are_copied() -> None:
    resources = planned(SIX, routes=(RouteFound("fe80::/64", priority=256),))
    assert [one.stays for one in resources if isinstance(one, MovedRoute)] == [True]
