"""What belongs in our tables is told by records, while others make and undo theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pynet.engine.rebuilding import rebuild_tables, reload
from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.engine.ways import adapt
from pynet.model.forwarding import Blocker, ForwardAccept, ForwardBlockers, ForwardJump
from pynet.model.resource import Resource
from pynet.model.resources import Element, Forwarding, LinkUp, SharedElement
from pynet.store.records import Record, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld


@pytest.fixture
def world() -> RecordingWorld:
    return RecordingWorld()


@pytest.fixture
def site(world: RecordingWorld, tmp_path: Path) -> Iterator[Site]:
    store = Store.open(tmp_path)
    yield Site(store, world)
    store.close()


def record(site: Site, container: str, *resources: Resource, ready: bool = True) -> Record:
    with site.store.write() as tx:
        begun = tx.begin(
            host=site.world.host, network="web", container=container, interface="eth0",
            plugin="bridge", digest="", request='{"environ": {}, "config": {}}',
        )  # fmt: skip
        pending = tx.pend(begun, [Step(n, each) for n, each in enumerate(resources)])
        return tx.ready(pending, "{}") if ready else pending


def own(number: int) -> Element:
    return Element(set="masquerade4", item=(f"10.1.0.{number}",))


SHARED = SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0"))


def during_a_rebuild(
    world: RecordingWorld, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]
) -> None:
    """`work` is done after the records were read, and before anything is put in."""
    rebuild = world.rebuild

    def slow(resources: Sequence[Resource]) -> None:
        work()
        rebuild(resources)

    monkeypatch.setattr(world, "rebuild", slow)


def test_all_that_is_recorded_for_the_tables_is_put_in(site: Site, world: RecordingWorld) -> None:
    record(site, "c1", own(2), SHARED, LinkUp(name="v1"))
    record(site, "c2", own(3), SHARED, ready=False)
    rebuild_tables(site)
    assert set(world.standing.values()) == {own(2), own(3), SHARED}


def test_what_a_failed_del_has_left_is_not(site: Site, world: RecordingWorld) -> None:
    left = record(site, "c1", own(2))
    with site.store.write() as tx:
        tx.releasing(left)
    rebuild_tables(site)
    assert world.standing == {}


def test_what_is_undone_meanwhile_is_not_put_back(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(site, "c1", own(2), SHARED)
    record(site, "c2", own(3), SHARED)
    during_a_rebuild(world, monkeypatch, lambda: undo(site, first))
    rebuild_tables(site)
    assert set(world.standing.values()) == {own(3), SHARED}


def test_what_the_last_user_leaves_meanwhile_is_not_put_back(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = record(site, "c1", own(2), SHARED)
    during_a_rebuild(world, monkeypatch, lambda: undo(site, only))
    rebuild_tables(site)
    assert world.standing == {}


def test_an_address_that_another_is_given_meanwhile_keeps_its_element(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(site, "c1", own(2))

    def change_hands() -> None:
        undo(site, first)
        record(site, "c2", own(2), ready=False)

    during_a_rebuild(world, monkeypatch, change_hands)
    rebuild_tables(site)
    assert list(world.standing.values()) == [own(2)]


def test_a_reload_says_what_it_found_and_sets_forwarding_again(
    site: Site, world: RecordingWorld
) -> None:
    forwarding = Forwarding(family=4)
    record(site, "c1", own(2), forwarding)
    done = reload(site)
    assert done.count == 2
    assert {drift.found for drift in done.wrong} == {"missing"}
    assert len(done.wrong) == 2
    assert done.left == ()
    assert set(world.standing.values()) == {own(2), forwarding}
    assert reload(site).wrong == ()


def test_a_way_through_another_s_chain_is_made_again_while_that_drops(
    site: Site, world: RecordingWorld
) -> None:
    accept = ForwardAccept(program="iptables-nft", interface="cni0")
    record(site, "c1", accept)
    world.answers[ForwardBlockers()] = ()
    assert reload(site).count == 0
    world.answers[ForwardBlockers()] = (Blocker("ip filter FORWARD", 4, "iptables-nft"),)
    assert len(reload(site).wrong) == 1
    assert list(world.standing.values()) == [accept]


# --- ways through others' firewalls -----------------------------------------------------------

JUMP = ForwardJump(program="iptables-nft", into="DOCKER-USER")
ACCEPT = ForwardAccept(program="iptables-nft", interface="cni0")


def test_a_way_noted_later_goes_with_the_last_who_needs_it(
    site: Site, world: RecordingWorld
) -> None:
    first, second = (record(site, name, own(n)) for n, name in ((2, "c1"), (3, "c2")))
    adapt(site, {first: [JUMP, ACCEPT], second: [JUMP, ACCEPT]})
    assert set(world.standing.values()) == {JUMP, ACCEPT}
    with site.store.read() as tx:
        assert [step.resource for step in tx.steps(first)] == [own(2), JUMP, ACCEPT]
        assert tx.record(first.id) == first
    undo(site, first)
    assert set(world.standing.values()) == {JUMP, ACCEPT}
    undo(site, second)
    assert world.standing == {}


def test_ways_that_nobody_needs_any_more_are_taken_back(site: Site, world: RecordingWorld) -> None:
    admin = ForwardJump(program="iptables-nft", into="FORWARD", chain="ADMIN", admin=True)
    taken = record(site, "c1", JUMP, ACCEPT, admin)
    world.create([JUMP])
    world.create([ACCEPT])
    adapt(site, {taken: [ACCEPT]})
    assert list(world.standing.values()) == [ACCEPT]
    adapt(site, {taken: []})
    assert world.standing == {}
    with site.store.read() as tx:
        assert [step.resource for step in tx.steps(taken)] == [admin], "that was asked for"


def test_who_is_being_undone_is_given_no_way(site: Site, world: RecordingWorld) -> None:
    leaving = record(site, "c1", own(2))
    with site.store.write() as tx:
        tx.releasing(leaving)
    adapt(site, {leaving: [JUMP, ACCEPT]})
    assert world.standing == {}


def test_a_way_that_somebody_removed_is_made_again(site: Site, world: RecordingWorld) -> None:
    taken = record(site, "c1", JUMP, ACCEPT)
    adapt(site, {taken: [JUMP, ACCEPT]})
    assert list(world.standing.values()) == [JUMP, ACCEPT]


def test_nothing_is_put_in_where_nothing_is_missed(site: Site, world: RecordingWorld) -> None:
    record(site, "c1", own(2))
    rebuild_tables(site, lambda resource: resource == own(3))
    assert world.standing == {}
    rebuild_tables(site, lambda resource: resource == own(2))
    assert list(world.standing.values()) == [own(2)]
