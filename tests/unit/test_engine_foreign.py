"""What other people's programs make: they are run with no transaction open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from others_at_work import Elsewhere, Scene

from pynet.cni.config import NetConf
from pynet.engine.site import Site
from pynet.engine.ways import adapt
from pynet.model.forwarding import ForwardAccept, ForwardJump, ZoneInterface
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import Seen
from pynet.model.request import Request
from pynet.model.resource import Resource
from pynet.model.resources import Element
from pynet.model.result import Result
from pynet.store.records import State
from pynet.store.store import Store

JUMP = ForwardJump(program="iptables-nft", into="DOCKER-USER")
ACCEPT = ForwardAccept(program="iptables-nft", interface="cni0")
ZONE = ZoneInterface(zone="trusted", interface="cni0")
WAYS = (JUMP, ACCEPT, ZONE)


class Open(Plugin):
    """Made by others' programs, but for an element."""

    name = "open"
    config = NetConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        mine = Element(set="masquerade4", item=(request.container,))
        ways = WAYS if not request.container.startswith("plain") else ()
        return Plan((mine, *ways), Result())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = Store.open(tmp_path)
    yield Scene(store, Elsewhere(tmp_path))
    store.close()


def test_no_program_is_run_in_a_transaction(scene: Scene) -> None:
    scene.add(Open(), "c1")
    scene.add(Open(), "c2")
    engine, *asked = scene.engine(Open())
    assert engine.check(*asked) == []
    site = Site(scene.store, scene.world)
    scene.world.standing.clear()
    adapt(site, dict.fromkeys(scene.records(), WAYS))
    assert scene.standing() == {way.kind for way in WAYS}
    adapt(site, dict.fromkeys(scene.records()[:1], ()))
    scene.delete(Open(), "c1")
    assert set(WAYS) <= set(scene.world.standing.values()), "another needs them"
    scene.delete(Open(), "c2")
    assert scene.standing() == set()
    done = {run.split()[0] for run in scene.world.runs}
    assert done == {"exists", "create", "verify", "delete"}


def test_what_was_in_a_zone_before_us_stays_there(scene: Scene) -> None:
    scene.world.standing[ZONE.key] = ZONE
    for container in ("c1", "c2"):
        scene.add(Open(), container)
    for container in ("c1", "c2"):
        scene.delete(Open(), container)
    assert list(scene.world.standing.values()) == [ZONE]


@pytest.mark.parametrize("what", ["create", "delete"])
def test_a_slow_program_holds_up_nobody_but_who_needs_it(scene: Scene, what: str) -> None:
    running, go_on = threading.Event(), threading.Event()

    def slow(done: str, resource: Resource) -> None:
        if done == what and resource == ACCEPT and not running.is_set():
            running.set()
            assert go_on.wait(20)

    if what == "delete":
        scene.add(Open(), "c1")
    scene.world.before = slow
    work = partial(scene.add if what == "create" else scene.delete, Open(), "c1")
    first = threading.Thread(target=work)
    first.start()
    assert running.wait(20)
    scene.add(Open(), "plain")  # the same host, the same plugin
    scene.delete(Open(), "plain")
    second = threading.Thread(target=scene.add, args=(Open(), "c2"))
    second.start()
    second.join(0.3)
    assert second.is_alive(), "it shares what is being made or removed"
    go_on.set()
    for thread in (first, second):
        thread.join(20)
    assert {record.container for record in scene.records()} >= {"c2"}
    assert set(WAYS) <= set(scene.world.standing.values()), "nobody shares what is going"


def test_who_dies_between_removing_and_saying_so_leaves_nothing(scene: Scene) -> None:
    scene.add(Open(), "c1")

    def dies(what: str, resource: Resource) -> None:
        if what == "delete" and resource == JUMP:
            del scene.world.standing[JUMP.key]
            raise KeyboardInterrupt("as good as killed")

    scene.world.before = dies
    with pytest.raises(KeyboardInterrupt):
        scene.delete(Open(), "c1")
    assert [record.state for record in scene.records()] == [State.RELEASING]
    scene.world.before = lambda what, resource: None
    scene.delete(Open(), "c1")
    assert (scene.standing(), scene.records()) == (set(), [])
