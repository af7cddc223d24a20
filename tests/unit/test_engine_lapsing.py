"""A lease that lapses is judged by its answer now, and by the clock."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pynet.engine.lapsing import current, lapsing
from pynet.model.resource import Resource
from pynet.model.resources import InterfaceAddress, InterfaceRoute, KeptLease
from pynet.store.records import Step

LEASE = KeptLease(keeper="dhcp", name="ipv4", lapses=True)
ADDRESS = InterfaceAddress(name="eth0", place="sandbox", address="10.6.0.7/24")
ROUTE = InterfaceRoute(name="eth0", place="sandbox", dst="0.0.0.0/0", gw="10.6.0.1", priority=7)
OTHERS: list[Resource] = [
    InterfaceAddress(name="eth0", place="sandbox", address="fd00::7/64"),
    InterfaceAddress(name="lan0", place="host", address="10.6.0.9/24"),
]


def steps(**said: Any) -> list[Step]:
    answer = {
        "address": "10.6.0.7/24",
        "routes": [["0.0.0.0/0", "10.6.0.1"]],
        "lost": "",
        "lease": {"since": time.time(), "lifetime": 7200.0},
        **said,
    }
    made = [Step(0, LEASE, answer=json.dumps(answer))]
    return made + [Step(1 + at, one) for at, one in enumerate([ADDRESS, ROUTE, *OTHERS])]


def test_what_is_held_is_wanted_as_it_was_made() -> None:
    [lease] = lapsing(steps())
    assert not list(lease.drifts())
    assert current([ADDRESS, ROUTE, *OTHERS], [lease]) == [ADDRESS, ROUTE, *OTHERS]


@pytest.mark.parametrize(
    "said",
    [
        {"lost": "the lease of 10.6.0.7 ran out"},
        {"lease": {"since": time.time() - 7300, "lifetime": 7200.0}},
    ],
    ids=["said", "by the clock"],
)
def test_what_is_lost_is_not_wanted(said: dict[str, Any]) -> None:
    [lease] = lapsing(steps(**said))
    [drift] = lease.drifts()
    assert "ran out" in drift.found
    assert current([ADDRESS, ROUTE, *OTHERS], [lease]) == OTHERS


def test_a_lease_without_an_end_does_not_run_out() -> None:
    forever = {"since": 0.0, "lifetime": float(0xFFFFFFFF)}
    [lease] = lapsing(steps(lease=forever))
    assert not list(lease.drifts())


def test_what_came_instead_is_wanted_in_its_place() -> None:
    [lease] = lapsing(steps(address="10.6.0.8/24", routes=[["10.9.0.0/16", "10.6.0.2"]]))
    [drift] = lease.drifts()
    assert "10.6.0.8/24" in drift.found and "10.6.0.7/24" in drift.expected
    other, way, *rest = current([ADDRESS, ROUTE, *OTHERS], [lease])
    assert isinstance(other, InterfaceAddress) and other.address == "10.6.0.8/24"
    assert isinstance(way, InterfaceRoute)
    assert (way.dst, way.gw, way.priority) == ("10.9.0.0/16", "10.6.0.2", 7)
    assert rest == OTHERS
