"""What CHECK costs: a result is read once, however much its record holds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pynet.engine import checking
from pynet.engine.last_word import Dropped, LastWord
from pynet.model.resources import InterfaceRoute
from pynet.store.records import Record, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld


def test_a_records_result_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Record] = []
    dropped = LastWord.dropped

    def counted(word: LastWord, record: Record) -> Dropped:
        read.append(record)
        return dropped(word, record)

    monkeypatch.setattr(LastWord, "dropped", counted)
    world = RecordingWorld()
    routes = [
        InterfaceRoute(name="eth0", place="sandbox", dst=f"10.{n}.0.0/16", gw="") for n in range(50)
    ]
    with closing(Store.open(tmp_path)) as store, store.write() as tx:
        begun = tx.begin(
            host=world.host, network="web", container="c1", interface="eth0",
            plugin="bridge", digest="", sandbox=world.sandbox, netns="/run/netns/c1",
            request="{}",
        )  # fmt: skip
        pending = tx.pend(begun, [Step(n, each) for n, each in enumerate(routes)])
        record = tx.ready(pending, '{"ips": [], "routes": []}')
        wanted = checking.expected(tx, record)
    word = LastWord("eth0", None)
    assert len(checking.faults(world.verify_all, wanted, word)) == len(routes)
    assert read == [record]
