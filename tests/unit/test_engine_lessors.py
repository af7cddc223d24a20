"""Leases that others give: asked for and given back with no transaction open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from others_at_work import PAIR, Elsewhere, Scene

from pynet.cni.config import NetConf
from pynet.engine.engine import Engine
from pynet.engine.request_record import Call
from pynet.model.errors import CniError, TryLater
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import Query, Seen, SysctlValue
from pynet.model.request import Request
from pynet.model.resource import Lease, Resource
from pynet.model.resources import AddressLease, DelegatedLease, Element
from pynet.model.result import Result
from pynet.store.records import Record, State
from pynet.store.store import Store
from pynet.testing import request


class Ticket(Lease[str]):
    """What somebody else gives out, once its interface is there."""

    kind = "test-ticket"
    identity = ()


TICKET = Ticket(first=(PAIR,))


class Ticketed(Plugin):
    name = "ticketed"
    config = NetConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        number = seen[TICKET]
        return Plan((PAIR, TICKET, Element(set="masquerade4", item=(number,))), Result())


class Office:
    """Gives each attachment its ticket, the same however often it asks."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.given: dict[str, str] = {}
        self.failure: Exception | None = None
        self.seen: list[tuple[State, set[str], list[Resource]]] = []

    def lease(self, lease: Lease[Any], record: Record, call: Call) -> Any:
        self._note()
        number = self.given.setdefault(record.container, str(len(self.given)))
        if self.failure:
            raise self.failure
        return number

    def release(self, lease: Lease[Any], record: Record, call: Call) -> None:
        self._note()
        if self.failure:
            raise self.failure
        self.given.pop(record.container, None)

    def _note(self) -> None:
        self.scene.world.nobody_waits()
        (record,) = self.scene.records()
        self.seen.append((record.state, self.scene.standing(), self.scene.steps()))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = Store.open(tmp_path)
    yield Scene(store, Elsewhere(tmp_path))
    store.close()


@pytest.fixture
def office(scene: Scene) -> Office:
    office = Office(scene)
    scene.lessors = {Ticket.kind: office}
    return office


def test_it_is_asked_with_the_intent_on_record_and_what_it_needs_made(
    scene: Scene, office: Office
) -> None:
    scene.add(Ticketed())
    assert office.seen == [(State.INTENT, {"veth"}, [PAIR, Ticket()])]
    with scene.store.read() as tx:
        steps = tx.steps(scene.records()[0])
    assert [step.answer for step in steps] == [None, '"0"', None]
    scene.delete(Ticketed())
    state, standing, _ = office.seen[-1]
    assert (state, standing) == (State.RELEASING, {"veth"}), "released while its interface stands"
    assert (office.given, scene.records(), scene.standing()) == ({}, [], set())


def test_who_gave_and_then_failed_is_given_it_back(scene: Scene, office: Office) -> None:
    office.failure = CniError("no more today")
    with pytest.raises(ExceptionGroup):  # its release fails, too
        scene.add(Ticketed())
    assert [record.state for record in scene.records()] == [State.RELEASING]
    office.failure = None
    engine, *asked = scene.engine(Ticketed(), valid_attachments=frozenset())
    assert [record.container for record in engine.collect(*asked)] == ["c1"]
    assert (office.given, scene.records(), scene.standing()) == ({}, [], set())


def test_a_release_that_fails_is_tried_again_by_gc(scene: Scene, office: Office) -> None:
    scene.add(Ticketed())
    office.failure = CniError("closed")
    with pytest.raises(ExceptionGroup):
        scene.delete(Ticketed())
    assert office.given == {"c1": "0"}
    assert [record.state for record in scene.records()] == [State.RELEASING]
    office.failure = None
    # The runtime says it is gone, or that it lives, or nothing.
    engine, *asked = scene.engine(Ticketed(), valid_attachments=frozenset({("c1", "eth0")}))
    engine.collect(*asked)
    assert (office.given, scene.records()) == ({}, [])


def test_a_lease_that_nobody_gives_is_a_clear_refusal(scene: Scene) -> None:
    with pytest.raises(CniError, match="nobody here gives a test-ticket"):
        scene.add(Ticketed())
    assert (scene.records(), scene.standing()) == ([], set())
    engine, *asked = scene.engine(Ticketed())
    with pytest.raises(CniError, match="only an ADD can tell"):
        engine.dry_run(*asked)


class Delegated(Plugin):
    name = "delegated"
    config = NetConf
    checks_result = False
    lease = DelegatedLease(type="whereabouts", binary="/opt/whereabouts", first=(PAIR,))

    def plan(self, request: Request, seen: Seen) -> Plan:
        seen[self.lease]
        return Plan((PAIR, self.lease), Result())


def test_what_was_given_to_who_hung_up_is_given_back(scene: Scene) -> None:
    calls: list[str] = []

    def delegate(binary: str, command: str, call: Call) -> dict[str, Any]:
        scene.world.nobody_waits()
        calls.append(command)
        return {}

    asked = request(Delegated(), {})
    engine = Engine(scene.store, scene.world, delegate=delegate, cancelled=lambda: "ADD" in calls)
    with pytest.raises(TryLater):
        engine.add(Delegated(), asked)
    assert calls == ["ADD", "DEL"]
    assert (scene.records(), scene.standing()) == ([], set())


class Late(Plugin):
    """Asks for more once it has its address, where everybody else waits for the answer."""

    name = "late"
    config = NetConf
    checks_result = False
    lease = AddressLease(pool="p", index=0, ranges=(("10.1.0.2", "10.1.0.9", 24, ""),))

    def __init__(self, *more: Query[Any] | Lease[Any]) -> None:
        self.more = more

    def plan(self, request: Request, seen: Seen) -> Plan:
        seen[self.lease]
        for question in self.more:
            seen[question]
        return Plan((self.lease,), Result())


@pytest.mark.parametrize("question", [SysctlValue("ipv4/ip_forward"), TICKET])
def test_in_the_transaction_only_leases_of_ours_are_answered(
    scene: Scene, office: Office, question: Any
) -> None:
    with pytest.raises(CniError, match=r"plugin late asks for .* before its leases"):
        scene.add(Late(question))
    assert (office.seen, scene.records(), scene.standing()) == ([], [], set())
