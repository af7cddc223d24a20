"""What a plan asks: what a question is about is made first, and what has changed is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from others_at_work import PAIR, Elsewhere, Scene

from pynet.cni.config import NetConf
from pynet.model.errors import CniError, KernelError
from pynet.model.forwarding import Blocker, ForwardBlockers, ForwardJump
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import HostEnds, Link, LinkNamed, Query, Seen, SysctlValue
from pynet.model.request import Request
from pynet.model.resource import Resource, Undo
from pynet.model.resources import Element, GatewayAddress, SharedElement
from pynet.model.result import Result
from pynet.model.witness import Bridges
from pynet.store.store import Store


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = Store.open(tmp_path)
    yield Scene(store, Elsewhere(tmp_path))
    store.close()


# --- about what must be made first ----------------------------------------------------------------


class Indexed(Plugin):
    """Uses what the kernel chooses: the number of an interface."""

    name = "indexed"
    config = NetConf
    checks_result = False
    gateway = GatewayAddress(name="v1", address="10.1.0.1/24")
    once_made = LinkNamed("v1", first=(PAIR, gateway))
    then = LinkNamed("v2", first=(SharedElement(set="closed4", item=("10.1.0.3",)),))

    def plan(self, request: Request, seen: Seen) -> Plan:
        number = seen[self.once_made].index
        seen[self.then]
        return Plan((PAIR, Element(set="masquerade4", item=(str(number),))), Result())


class Numbering(Elsewhere):
    def look(self, query: Query[Any]) -> Any:
        self.nobody_waits()
        if isinstance(query, HostEnds | Bridges):
            return ()  # asked of a new store's host
        assert query.after() and all(each in self.standing.values() for each in query.after())
        return Link(7, "v1", "veth", "m", 1500, True)


def test_what_a_question_is_about_is_made_first_and_goes_with_the_record(scene: Scene) -> None:
    scene.world = Numbering(scene.store.path.parent)
    plan = scene.add(Indexed())
    number = Element(set="masquerade4", item=("7",))
    assert number in plan.resources
    # What is not in the plan in the end was made all the same.
    assert set(scene.steps()) == {Indexed.gateway, *Indexed.then.first, PAIR, number}
    assert set(scene.world.standing.values()) == set(scene.steps())
    scene.delete(Indexed())
    assert (scene.standing(), scene.records()) == (set(), [])


def test_what_was_changed_for_a_question_gets_its_old_value_back(scene: Scene) -> None:
    class Setting(Resource):
        kind = "test-setting"
        undo = Undo.RESTORE

    class World(Elsewhere):
        def previous(self, resource: Resource) -> str | None:
            return "before" if resource.key not in self.standing else "changed by us"

        def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
            restored.extend(previous for _, previous in resources)
            super().delete(resources)

    class Asking(Plugin):
        name = "asking"
        config = NetConf
        checks_result = False

        def plan(self, request: Request, seen: Seen) -> Plan:
            seen[SysctlValue("any", first=(Setting(),))]
            return Plan((Setting(),), Result())

    restored: list[str | None] = []
    scene.world = World(scene.store.path.parent)
    scene.add(Asking())
    scene.delete(Asking())
    assert restored == ["before"]


def test_only_an_add_makes_what_a_question_is_about(scene: Scene) -> None:
    engine, *asked = scene.engine(Indexed())
    with pytest.raises(CniError, match="only an ADD can tell"):
        engine.dry_run(*asked)
    assert scene.standing() == set()


def test_a_failure_under_way_takes_back_what_was_made_for_a_question(scene: Scene) -> None:
    class Failing(Indexed):
        name = "failing"

        def plan(self, request: Request, seen: Seen) -> Plan:
            seen[self.once_made]
            raise CniError("no")

    scene.world = Numbering(scene.store.path.parent)
    with pytest.raises(CniError, match=r"^no$"):
        scene.add(Failing())
    assert (scene.standing(), scene.records()) == (set(), [])


# --- what was seen is gone by the time it is needed -----------------------------------------------


class Behind(Plugin):
    """A way through whichever chain there is."""

    name = "behind"
    config = NetConf
    checks_result = False
    planned = 0

    def plan(self, request: Request, seen: Seen) -> Plan:
        blockers = seen[ForwardBlockers()]
        type(self).planned += 1
        mine = Element(set="masquerade4", item=("10.1.0.2",))
        jumps = [ForwardJump(program=one.program, into=one.chain) for one in blockers]
        return Plan((mine, *jumps), Result())


def blocked(chain: str) -> tuple[Blocker, ...]:
    return (Blocker("ip filter FORWARD", 4, "iptables-nft", chain),)


def without(chain: str, then: Callable[[], None]) -> Callable[[str, Resource], None]:
    """Whoever jumps from there is refused, and then something happens."""

    def refuse(what: str, resource: Resource) -> None:
        if what == "create" and isinstance(resource, ForwardJump) and resource.into == chain:
            then()
            raise KernelError(f"there is no chain {chain}")

    return refuse


def test_it_is_planned_again(scene: Scene) -> None:
    scene.world.answers[ForwardBlockers()] = blocked("DOCKER-USER")
    # Docker is stopped and its chains are flushed, but the policy stays.
    gone = {ForwardBlockers(): blocked("FORWARD")}
    scene.world.before = without("DOCKER-USER", lambda: scene.world.answers.update(gone))
    plan = scene.add(Behind())
    assert plan.resources[1:] == (ForwardJump(program="iptables-nft", into="FORWARD"),)
    assert set(scene.world.standing.values()) == set(plan.resources)
    scene.delete(Behind())
    assert (scene.standing(), scene.records()) == (set(), [])


def test_at_most_three_times_and_only_if_something_is_gone(scene: Scene) -> None:
    chains = iter("abcdefgh")
    answers = scene.world.answers
    answers[ForwardBlockers()] = blocked("a")

    def moved(what: str, resource: Resource) -> None:
        if what == "create":
            answers[ForwardBlockers()] = blocked(next(chains) + "2")
            raise KernelError("there is no such chain")

    Behind.planned = 0
    scene.world.before = moved
    with pytest.raises(KernelError, match="no such chain"):
        scene.add(Behind())
    assert Behind.planned == 3
    scene.world.before = without("h2", lambda: None)
    answers[ForwardBlockers()] = blocked("h2")
    with pytest.raises(KernelError, match="no chain h2"):
        scene.add(Behind())
    assert Behind.planned == 4
    assert (scene.standing(), scene.records()) == (set(), [])
