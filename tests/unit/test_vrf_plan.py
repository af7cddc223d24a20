"""vrf's plan: which table, what is made in which order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.model.errors import ConfigError
from pynet.model.query import Link, LinkNamed, SysctlValue
from pynet.model.resource import Resource
from pynet.model.resources import Sysctl
from pynet.model.result import Interface, Result
from pynet.model.routing import MovedRoute, RouteFound, RoutesOn, TablesInUse, TableUse
from pynet.model.vrf import Vrf as VrfLink
from pynet.model.vrf import VrfPort, VrfRules
from pynet.plugins.vrf import Vrf
from pynet.testing import request, seen

BEFORE = Result(interfaces=(Interface("eth0", sandbox="/run/netns/c1"),))
RED = Link(7, "red", "vrf", "02:00:00:00:00:07", 65575, True)


def planned(
    *used: TableUse,
    red: Link | None = None,
    master: int = 0,
    kept: str | None = "0",
    routes: tuple[RouteFound, ...] = (),
    **config: Any,
) -> tuple[Resource, ...]:
    eth0 = Link(2, "eth0", "veth", "02:00:00:00:00:01", 1500, True, master=master)
    answers = {
        LinkNamed("eth0", "sandbox"): eth0,
        LinkNamed("red", "sandbox"): red,
        RoutesOn("eth0"): routes,
        TablesInUse(): used,
        SysctlValue("ipv6/conf/eth0/keep_addr_on_down", "sandbox"): kept,
    }
    given = {"vrfname": "red", **config}
    asked = request(Vrf(), given, prev_result=BEFORE, interface="eth0")
    plan = Vrf().plan(asked, seen(answers))
    assert plan.result == BEFORE
    return plan.resources


def table(resources: tuple[Resource, ...]) -> int:
    (found,) = [one.table for one in resources if isinstance(one, VrfLink)]
    return found


def test_the_table_is_the_first_that_is_free_the_given_one_or_the_vrf_s() -> None:
    used = (TableUse(1, vrf="blue"), TableUse(2, "eth1"), TableUse(3))
    assert table(planned()) == 1
    assert table(planned(*used)) == 4
    assert table(planned(*used, table=500)) == 500
    red = TableUse(9, vrf="red")
    assert table(planned(*used, red, red=RED)) == 9
    assert table(planned(*used, red, TableUse(9, "eth1"), red=RED, table=9)) == 9
    assert table(planned(red, red=RED, master=RED.index)) == 9


def test_ipv6_addresses_are_kept_where_nobody_has_seen_to_it() -> None:
    settings = [
        [one.value for one in planned(kept=kept) if isinstance(one, Sysctl)]
        for kept in ("0", "1", None)
    ]
    assert settings == [["1"], [], []]


def test_routes_stand_at_both_ends_of_the_change() -> None:
    """The kernel's own, to networks, it makes itself."""
    routes = (
        RouteFound("0.0.0.0/0", gw="10.1.0.1"),
        RouteFound("10.1.0.0/24", source="10.1.0.2", scope=253, protocol=2),
        RouteFound("10.5.0.0/16", scope=253),
    )
    shape = [
        (one.dst, one.table, one.stays) if isinstance(one, MovedRoute) else type(one)
        for one in planned(routes=routes)
    ]
    assert shape == [
        Sysctl,
        VrfRules,
        VrfLink,
        ("10.5.0.0/16", 0, False),
        ("0.0.0.0/0", 0, False),
        VrfPort,
        ("10.5.0.0/16", 1, True),
        ("0.0.0.0/0", 1, True),
    ]


@pytest.mark.parametrize(
    ("used", "options", "words"),
    [
        (TableUse(5, vrf="blue"), {"table": 5}, "5 is in use in the container, by VRF blue"),
        (TableUse(5, "eth1"), {"table": 5}, "5 is in use in the container, by routes of eth1"),
        (TableUse(5), {"table": 5}, "5 is in use in the container, by a rule or a route"),
        (TableUse(5, vrf="red"), {"table": 6, "red": RED}, "with table 5, not 6"),
        (TableUse(5), {"red": Link(7, "red", "dummy", "", 1500, True)}, "that is no VRF"),
        (TableUse(5), {"master": 4}, "eth0 is a port of another interface"),
    ],
)
def test_what_can_not_be_is_refused(used: TableUse, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        planned(used, **options)
