"""What is noted beside another version's steps leaves those as they were written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.engine.ways import adapt
from pynet.model.forwarding import ForwardAccept
from pynet.model.resource import Resource
from pynet.model.resources import SharedElement
from pynet.store.records import ClaimLost, Record, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld

SHARED = SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0"))
WAY = ForwardAccept(program="iptables", interface="cni0")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    store = Store.open(tmp_path)
    yield Site(store, RecordingWorld())
    store.close()


def record(site: Site, container: str, *resources: Resource) -> Record:
    with site.store.write() as tx:
        begun = tx.begin(
            host=site.world.host, network="web", container=container, interface="eth0",
            plugin="firewall", digest="", request='{"environ": {}, "config": {}}',
        )  # fmt: skip
        steps = [Step(n, each) for n, each in enumerate(resources)]
        return tx.ready(tx.pend(begun, steps), "{}")


def make_unreadable(site: Site, of: Record) -> None:
    """Each of its steps as a version would write it that knows a field more."""
    connection = sqlite3.connect(site.store.path)
    for position, body in connection.execute(
        "SELECT position, body FROM step WHERE record = ?", (of.id,)
    ).fetchall():
        later = json.dumps({**json.loads(body), "later": 1})
        connection.execute(
            "UPDATE step SET body = ? WHERE record = ? AND position = ?", (later, of.id, position)
        )
    connection.commit()
    connection.close()


def rows(site: Site, of: Record) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(site.store.path)
    found = connection.execute(
        "SELECT * FROM step WHERE record = ? ORDER BY position", (of.id,)
    ).fetchall()
    connection.close()
    return found


def test_a_way_is_added_and_no_other_step_is_written_anew(site: Site) -> None:
    first = record(site, "c1", SHARED)
    make_unreadable(site, first)
    before = rows(site, first)
    adapt(site, {first: [WAY]})
    assert rows(site, first)[:-1] == before
    with site.store.read() as tx:
        assert [step.resource for step in tx.steps(first)][-1] == WAY


def test_what_is_shared_with_an_unreadable_step_outlives_the_others_del(site: Site) -> None:
    assert isinstance(site.world, RecordingWorld)
    first, second = record(site, "c1", SHARED), record(site, "c2", SHARED)
    site.world.create([SHARED])
    make_unreadable(site, first)
    adapt(site, {first: [WAY]})
    assert undo(site, second) == []
    assert site.world.exists(SHARED)


def test_who_was_overtaken_appends_nothing(site: Site) -> None:
    first = record(site, "c1", SHARED)
    before = rows(site, first)
    with site.store.write() as tx:
        tx.releasing(first)
    with pytest.raises(ClaimLost), site.store.write() as tx:
        tx.append(first, [Step(0, WAY)])
    assert rows(site, first) == before
