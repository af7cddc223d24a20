"""What is kept comes with *ready*, goes with the record, and is changed under its claim alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.model.resource import Resource
from pynet.model.resources import KeptLease, LinkUp
from pynet.store.keeping import Kept
from pynet.store.records import ClaimLost, Record, Step
from pynet.store.store import Store, Writer

SOURCES = Path(__file__).resolve().parents[2] / "src"
LEASE = KeptLease(keeper="dhcp", parameters=(("client", "c1"),))
NAME = LinkUp(name="veth1", keeper="names")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "state")
    yield store
    store.close()


def pending(tx: Writer, *resources: Resource, container: str = "c1") -> Record:
    record = tx.begin(
        host="h1",
        network="net",
        container=container,
        interface="eth0",
        plugin="bridge",
        digest="d",
        request="{}",
    )
    steps = [Step(at, each, answer="1") for at, each in enumerate(resources)]
    return tx.pend(record, steps)


def ready(store: Store, *resources: Resource, container: str = "c1") -> Record:
    with store.write() as tx:
        record = pending(tx, *resources, container=container)
    with store.write() as tx:
        return tx.ready(record, "{}")


def kept(store: Store, keeper: str = "dhcp") -> list[Kept]:
    with store.read() as tx:
        return tx.kept(keeper)


def rows(store: Store) -> int:
    with store.read() as tx:
        return int(tx._sql.execute("SELECT count(*) FROM kept").fetchone()[0])


def test_ready_inserts_what_is_kept_and_nothing_else(store: Store) -> None:
    with store.write() as tx:
        record = pending(tx, LinkUp(name="veth0"), LEASE, NAME)
    assert kept(store) == [] and rows(store) == 0
    with store.read() as tx:
        assert tx.keepers() == {"dhcp": 1, "names": 1}
        assert tx.asked(record.id, "dhcp", LEASE.key) == Kept("dhcp", record, 1, LEASE, "1")
        assert tx.asked(record.id, "names", LEASE.key) is None
    with store.write() as tx:
        record = tx.ready(record, "{}")
    [lease] = kept(store)
    assert (lease.record, lease.position, lease.resource, lease.answer) == (record, 1, LEASE, "1")
    assert lease.since > 0
    assert [each.resource for each in kept(store, "names")] == [NAME]
    with store.read() as tx:
        assert [tx.is_kept(record, at) for at in range(3)] == [False, True, True]


def test_forgetting_removes_it_and_being_undone_hides_it(store: Store) -> None:
    record, other = ready(store, LEASE), ready(store, LEASE, container="c2")
    with store.write() as tx:
        record = tx.releasing(record)
    assert [each.record for each in kept(store)] == [other]
    with store.write() as tx:
        tx.forget(record)
    assert rows(store) == 1
    with store.read() as tx:
        assert tx.keepers() == {"dhcp": 1}


def test_a_step_that_is_dropped_is_not_kept(store: Store) -> None:
    record = ready(store, LEASE, NAME)
    with store.write() as tx:
        tx.drop(record, [0])
    assert kept(store) == []
    assert len(kept(store, "names")) == 1


def test_one_that_is_made_ready_again_is_kept_once_as_it_was(store: Store) -> None:
    record = ready(store, LEASE)
    with store.write() as tx:
        tx.note(tx.kept("dhcp")[0], "bound")
    before = kept(store)
    with store.write() as tx:
        steps = [*tx.steps(record), Step(1, NAME)]
        tx.ready(tx.pend(record, steps), record.result)
    assert kept(store) == before
    assert len(kept(store, "names")) == 1


def test_a_keeper_renews_the_answer_and_notes_its_state(store: Store) -> None:
    record = ready(store, LinkUp(name="veth0"), LEASE)
    with store.write() as tx:
        [one] = tx.kept("dhcp")
        changed = tx.note(tx.renew(one, '{"count":2}'), "bound")
    assert kept(store) == [changed]
    assert (changed.answer, changed.state) == ('{"count":2}', "bound")
    with store.read() as tx:
        assert [step.answer for step in tx.steps(record)] == ["1", '{"count":2}']


@pytest.mark.parametrize("after", ["releasing", "forgotten", "added anew"])
def test_a_keeper_that_lost_the_claim_changes_nothing(store: Store, after: str) -> None:
    record = ready(store, LEASE)
    [stale] = kept(store)
    with store.write() as tx:
        undone = tx.releasing(record)
        if after != "releasing":
            tx.forget(undone)
    if after == "added anew":
        ready(store, LEASE)
    before = kept(store)
    for attempt in (lambda tx: tx.renew(stale, "2"), lambda tx: tx.note(stale, "bound")):
        with pytest.raises(ClaimLost), store.write() as tx:
            attempt(tx)
    assert kept(store) == before
    with store.read() as tx:
        assert all(step.answer == "1" for step in tx.steps(undone))


WORKER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_store_keeping import LEASE, NAME, pending
from pynet.store.store import Store

point = sys.argv[3]
def reached(here):
    if here == point:
        os.kill(os.getpid(), signal.SIGKILL)

store = Store.open(Path(sys.argv[2]))
with store.write() as tx:
    record = pending(tx, LEASE, NAME)
reached("pending")
with store.write() as tx:
    record = tx.ready(record, "{}")
    reached("in ready")
reached("ready")
with store.write() as tx:
    tx.renew(tx.kept("dhcp")[0], "2")
    reached("in renew")
reached("renewed")
with store.write() as tx:
    record = tx.releasing(record)
reached("releasing")
with store.write() as tx:
    tx.forget(record)
    reached("in forget")
reached("forgotten")
"""

# Where the worker dies, and what is there then: rows, what the keeper sees, the answer.
POINTS = {
    "pending": (0, 0, "1"),
    "in ready": (0, 0, "1"),
    "ready": (2, 1, "1"),
    "in renew": (2, 1, "1"),
    "renewed": (2, 1, "2"),
    "releasing": (2, 0, "2"),
    "in forget": (2, 0, "2"),
    "forgotten": (0, 0, None),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(tmp_path: Path, point: str) -> None:
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, here, str(tmp_path), point],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    there, seen, answer = POINTS[point]
    store = Store.open(tmp_path)
    assert (rows(store), len(kept(store))) == (there, seen)
    with store.read() as tx:
        records = tx.records()
        answers = [tx.steps(record)[0].answer for record in records]
    assert answers == ([] if answer is None else [answer])
    for record in records:
        with store.write() as tx:
            tx.forget(record)
    assert rows(store) == 0
