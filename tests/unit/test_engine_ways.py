"""Ways through others' firewalls: made again, noted for who needs them, gone with the last."""

from __future__ import annotations

from recorded import ACCEPT, JUMP, own, record, reload
from recorded import site as site
from recorded import world as world

from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.engine.ways import adapt
from pynet.model.forwarding import Blocker, ForwardAccept, ForwardBlockers, ForwardJump
from pynet.testing import RecordingWorld


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
    assert list(world.standing.values()) == [ACCEPT, admin], "what was asked for comes back"
    adapt(site, {taken: []})
    assert list(world.standing.values()) == [admin]
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
