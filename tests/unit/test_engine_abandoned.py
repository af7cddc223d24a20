"""Nobody waits for the answer any more: what is still to be asked is not asked."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.cni.config import NetConf
from pynet.model.errors import TryLater
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import LinkNamed, Query, Seen
from pynet.model.request import Request
from pynet.model.resources import AddressLease
from pynet.model.result import Result
from pynet.testing import RecordingWorld, memory_engine, request

MANY = 5000


class Curious(Plugin):
    """Asks for thousands of links, one after the other, and then for as many addresses."""

    name = "curious"
    config = NetConf
    links = MANY

    def plan(self, request: Request, seen: Seen) -> Plan:
        for number in range(self.links):
            seen[LinkNamed(f"l{number}")]
        leases = [
            AddressLease(pool="net", index=index, ranges=(block(index),)) for index in range(MANY)
        ]
        seen.together(*leases)
        return Plan(tuple(leases), Result())


def block(index: int) -> tuple[str, str, int, str]:
    net = f"10.{index >> 8}.{index & 255}"
    return f"{net}.1", f"{net}.254", 24, f"{net}.1"


class Counting(RecordingWorld):
    asked = 0

    def look(self, query: Query[Any]) -> Any:
        self.asked += 1
        return super().look(query)


def test_who_has_hung_up_ends_the_looking() -> None:
    world = Counting()
    with memory_engine(world, cancelled=lambda: world.asked > 100) as engines:
        asked = request(Curious(), {})
        with pytest.raises(TryLater, match="hung up"):
            engines(asked).add(Curious(), asked)
    assert world.asked < 300


def test_who_has_hung_up_ends_the_leasing_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter(range(MANY))
    monkeypatch.setattr(Curious, "links", 0)
    # The first looks are those before the transaction that leases.
    with memory_engine(cancelled=lambda: next(looks) > MANY // 64 + 5) as engines:
        asked = request(Curious(), {})
        engine = engines(asked)
        with pytest.raises(TryLater, match="hung up"):
            engine.add(Curious(), asked)
        with engine.store.read() as reader:
            assert reader.leases() == []
            assert reader.records() == []
