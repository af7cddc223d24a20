"""What a later version has on record: carried along, undone as far as this one can, and said."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.cli.findings.words import about
from pynet.engine import collecting
from pynet.engine.judging import Condition, Judge
from pynet.engine.last_word import LastWord
from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.model.resource import Resource, Undo, Unknown
from pynet.model.resources import Bridge, LinkUp, SharedElement, Veth
from pynet.store.records import Record, Shared, State, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld

PAIR = Veth(name="veth1", mac="02:00:00:00:00:01", peer="eth0", peer_mac="02:00:00:00:00:02")
SHARED = SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0"))


def strange(name: str, **fields: object) -> Unknown:
    values = {"unknown_kind": "wormhole", "body": f'{{"to":"{name}"}}', **fields}
    return Unknown(recorded_key=f"wormhole\t{name}", **values)  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield Site(Store.open(tmp_path), RecordingWorld())


@pytest.fixture
def world(site: Site) -> RecordingWorld:
    assert isinstance(site.world, RecordingWorld)
    return site.world


def record(site: Site, *resources: Resource, sandbox: str = "sandbox-1") -> Record:
    with site.store.write() as tx:
        begun = tx.begin(
            host=site.world.host, network="web", container="c1", interface="eth0",
            plugin="bridge", digest="", request='{"environ": {}, "config": {}}', sandbox=sandbox,
        )  # fmt: skip
        steps = [Step(n, each) for n, each in enumerate(resources)]
        made = tx.ready(tx.pend(begun, steps), "{}")
    assert isinstance(site.world, RecordingWorld)
    site.world.standing |= {each.key: each for each in resources}
    return made


def extend(site: Site, kind: str, **fields: object) -> None:
    """The bodies of `kind` get fields that a later version has added."""
    connection = sqlite3.connect(site.store.path)
    for table in ("step", "shared"):
        query = f"SELECT DISTINCT body FROM {table} WHERE kind = ?"
        for (body,) in connection.execute(query, (kind,)).fetchall():
            later = json.dumps({**json.loads(body), **fields})
            connection.execute(f"UPDATE {table} SET body = ? WHERE body = ?", (later, body))
    connection.commit()
    connection.close()


def steps(site: Site, of: Record) -> list[Step]:
    with site.store.read() as tx:
        return tx.steps(of)


# --- kinds of a later version -----------------------------------------------------------


@pytest.mark.parametrize(
    "unknown",
    [
        strange("in the pair", inside=PAIR.key),
        strange("kept", undo=Undo.KEEP),
        strange("in a namespace that is gone", place="sandbox"),
    ],
    ids=lambda one: one.key.partition("\t")[2],
)
def test_a_step_that_goes_or_stays_by_itself_is_in_nobodys_way(
    site: Site, world: RecordingWorld, unknown: Unknown
) -> None:
    world.sandbox = ""
    made = record(site, PAIR, unknown, SHARED, sandbox="")
    assert undo(site, made) == []
    with site.store.read() as tx:
        assert tx.records() == []
    assert set(world.standing) <= {unknown.key}


def test_another_is_reported_and_all_else_is_undone(site: Site, world: RecordingWorld) -> None:
    unknown = strange("mars")
    made = record(site, SHARED, unknown, PAIR, LinkUp(name="veth1", inside=PAIR.key))
    for _ in range(2):
        (failure,) = undo(site, made)
        assert "wormhole (recorded by another version of pynet)" in str(failure)
        assert set(world.standing) == {unknown.key}
        with site.store.read() as tx:
            (made,) = tx.records()
        assert made.state is State.RELEASING
        assert unknown in [step.resource for step in steps(site, made)]


@pytest.mark.parametrize(
    ("left", "condition"),
    [
        (strange("mars"), Condition.NEWER),
        (strange("in a namespace that lives", place="sandbox"), Condition.NEWER),
        (strange("kept", undo=Undo.KEEP), Condition.HALF_DONE),
        (strange("in the pair", inside=PAIR.key), Condition.HALF_DONE),
        (SHARED, Condition.HALF_DONE),
    ],
    ids=lambda one: one.key.partition("\t")[2] if isinstance(one, Resource) else "",
)
def test_who_can_undo_what_is_left_is_said(
    site: Site, left: Resource, condition: Condition
) -> None:
    """GC is no help where only a later version knows what it is."""
    made = record(site, left)
    with site.store.write() as tx:
        made = tx.releasing(made)
    found = Judge(site.store, site.world, lambda record: LastWord("", None)).judge([made])
    assert found is not None and found.condition is condition
    (finding,) = about([made], found)
    assert ("gc" in finding.mend) == (condition is Condition.HALF_DONE)


def test_one_of_a_living_namespace_is_waited_for(site: Site, world: RecordingWorld) -> None:
    made = record(site, strange("in the container", place="sandbox"))
    assert len(undo(site, made)) == 1


def test_one_of_several_users_is_counted_as_before(site: Site, world: RecordingWorld) -> None:
    """Its key stands beside it."""
    made = record(site, strange("shared", undo=Undo.LAST_USER))
    with site.store.read() as tx:
        assert tx.users(made.host, "wormhole\tshared") == 1


def test_a_way_of_undoing_that_only_a_later_version_knows(site: Site) -> None:
    made = record(site, PAIR)
    connection = sqlite3.connect(site.store.path)
    connection.execute("UPDATE step SET undo = 'archive'")
    connection.commit()
    connection.close()
    (step,) = steps(site, made)
    assert isinstance(step.resource, Unknown)
    assert len(undo(site, made)) == 1


# --- fields of a later version ------------------------------------------------------------


def test_a_known_kind_with_a_field_more_is_undone_by_its_key(
    site: Site, world: RecordingWorld
) -> None:
    made = record(site, SHARED, PAIR, LinkUp(name="veth1", inside=PAIR.key))
    for kind in (SHARED.kind, PAIR.kind, LinkUp.kind):
        extend(site, kind, later=["a", {"b": 1}])
    assert [step.whole for step in steps(site, made)] == [False] * 3
    assert undo(site, made) == []
    assert world.standing == {}
    with site.store.read() as tx:
        assert tx.records() == []


def test_one_whose_key_is_another_by_it_is_left_alone(site: Site, world: RecordingWorld) -> None:
    """This version would take away something else."""
    made = record(site, SHARED)
    connection = sqlite3.connect(site.store.path)
    connection.execute("UPDATE step SET key = key || '\tzone 7'")
    connection.commit()
    connection.close()
    extend(site, SHARED.kind, zone=7)
    (step,) = steps(site, made)
    assert isinstance(step.resource, Unknown)
    assert len(undo(site, made)) == 1
    assert world.standing == {SHARED.key: SHARED}


def test_what_it_belongs_to_is_seen_by_whoever_rebuilds(site: Site) -> None:
    """Left out, it would be taken for nobody's."""
    record(site, SHARED)
    extend(site, SHARED.kind, later=1)
    with site.store.read() as tx:
        assert list(tx.resources(site.world.host, [SHARED.kind])) == [SHARED]


def test_an_unused_bridge_is_forgotten_only_where_it_can_be_removed(
    site: Site, world: RecordingWorld
) -> None:
    bridge = Bridge(name="cni0", mac="02:00:00:00:00:09")
    with site.store.write() as tx:
        tx.share(site.world.host, [(bridge, Shared(False, None))])
    world.create([bridge])
    connection = sqlite3.connect(site.store.path)
    connection.execute("UPDATE shared SET key = key || '\tin another'")
    connection.commit()
    assert collecting.remove_unused_bridges(site) == []
    assert connection.execute("SELECT count(*) FROM shared").fetchone() == (1,)
    connection.execute("UPDATE shared SET key = ?", (bridge.key,))
    connection.commit()
    connection.close()
    extend(site, Bridge.kind, later=1)
    assert collecting.remove_unused_bridges(site) == [bridge]
    assert world.standing == {}
