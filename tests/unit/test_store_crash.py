"""A process that is killed, or many that write at once, leave a store that is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pynet.store.records import State
from pynet.store.store import Store

WORKER = """
import os, signal, sys
from pathlib import Path
from pynet.model.resources import AddressLease, LinkUp
from pynet.store.records import Shared, Step
from pynet.store.store import Store
from pynet.ipam import lessor

directory, name, rounds, point = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
lease = AddressLease(pool="net", index=0, ranges=(("10.0.0.2", "10.0.1.250", 23, "10.0.0.1"),))

def reached(here):
    if here == point:
        os.kill(os.getpid(), signal.SIGKILL)

store = Store.open(directory)
for number in range(rounds):
    reached("idle")
    with store.write() as writer:
        record = writer.begin(host="h", network="net", container=f"{name}-{number}",
                              interface="eth0", plugin="bridge", digest="d", request="{}")
        reached("in begin")
    reached("after begin")
    with store.write() as writer:
        leased = lessor.take(writer, lease, record)
        reached("in pend, leased")
        record = writer.pend(record, [Step(0, lease, answer=leased.address),
                                      Step(1, LinkUp(name="veth"))])
        writer.share("h", [(lease, Shared(True, None))])
        reached("in pend")
    reached("after pend")
    with store.write() as writer:
        record = writer.ready(record, "{}")
        reached("in ready")
    reached("after ready")
    if number % 2:
        with store.write() as writer:
            writer.forget(record)
            reached("in forget")
        reached("after forget")
"""

# Where the worker dies in its second round, and what of that round is there then:
# (records in all, addresses held, state of the second record).
POINTS: dict[str, tuple[int, int, State | None]] = {
    "idle": (0, 0, None),
    "in begin": (0, 0, None),
    "after begin": (1, 0, State.INTENT),
    "in pend, leased": (1, 0, State.INTENT),
    "in pend": (1, 0, State.INTENT),
    "after pend": (1, 1, State.PENDING),
    "in ready": (1, 1, State.PENDING),
    "after ready": (1, 1, State.READY),
    "in forget": (2, 2, State.READY),
    "after forget": (1, 1, None),
}


def start(directory: Path, name: str, rounds: int, point: str = "") -> subprocess.Popen[str]:
    source = Path(__file__).resolve().parents[2] / "src"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory), name, str(rounds), point],
        env={**os.environ, "PYTHONPATH": str(source)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(tmp_path: Path, point: str) -> None:
    worker = start(tmp_path, "w", 10, point)
    _, err = worker.communicate(timeout=60)
    assert (worker.returncode, err) == (-signal.SIGKILL, "")
    records, held, state = POINTS[point]
    store = Store.open(tmp_path)
    with store.read() as reader:
        found = reader.records()
        assert len(found) == records
        assert len(reader.leases()) == held
        if state is not None:
            assert found[-1].state is state
        for record in found:
            assert bool(reader.steps(record)) is (record.state is not State.INTENT)
    # And it can be gone on with, by whoever comes next.
    follower = start(tmp_path, "f", 2)
    assert follower.communicate(timeout=60)[1] == ""
    assert follower.returncode == 0
    with store.read() as reader:
        assert len(reader.records()) == records + 1
    _assert_whole(store)


def test_many_processes_at_once(tmp_path: Path) -> None:
    workers = [start(tmp_path, f"w{number}", 25) for number in range(8)]
    for worker in workers:
        assert worker.communicate(timeout=120)[1] == ""
        assert worker.returncode == 0
    store = Store.open(tmp_path)
    with store.read() as reader:
        records, leases = reader.records(), reader.leases()
        assert len(records) == len(leases) == 8 * 13
        assert {record.state for record in records} == {State.READY}
        assert {lease.record for lease in leases} == {record.id for record in records}
        assert len({lease.address for lease in leases}) == len(leases)
        for record in records:
            (lease,) = reader.leases_of("net", record.container, "eth0")
            assert reader.steps(record)[0].answer == f"{lease.address}/23"
    _assert_whole(store)


def _assert_whole(store: Store) -> None:
    with store.read() as reader:
        assert reader._sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
