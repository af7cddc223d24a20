"""Threads, children and processes that share a store's file, or open it at the same moment."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from stores import ENVIRON, add, containers, python, run

from pynet.model.errors import CniError
from pynet.store import schema
from pynet.store.store import Store


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    failed: list[CniError] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                with store.write() as writer:
                    add(writer, f"{name}-{number}")
                with store.read() as reader:
                    assert reader.records(container=f"{name}-{number}")
        except CniError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(containers(store)) == len(set(containers(store))) == 160


def test_a_reader_keeps_its_view(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.read() as reader:
        assert reader.records() == []
        with store.write() as writer:
            add(writer)
        assert reader.records() == []
    assert containers(store) == ["c1"]


def test_a_child_does_not_use_its_parents_connection(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        add(writer, "parent")
    inherited = store._idle[-1]
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            with store.write() as writer:
                add(writer, "child")
            status = 0 if store._idle[-1] is not inherited else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert containers(store) == ["parent", "child"]


AT_ONCE = """
import time
while not Path(sys.argv[4]).exists():
    time.sleep(0.001)
store = Store.open(directory, boot=sys.argv[2])
with store.write() as writer:
    writer.begin(host='h', network='n', container=sys.argv[3], interface='e',
                 plugin='p', digest='d', request='{}')
"""


def test_processes_that_find_another_boots_file_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        with Store.open(tmp_path, boot=f"before-{attempt}").write() as writer:
            add(writer, "old")
        go = tmp_path / f"go-{attempt}"
        children = [
            subprocess.Popen(
                python(AT_ONCE, str(tmp_path), f"now-{attempt}", f"c{number}", str(go)),
                env=ENVIRON,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        time.sleep(0.2)  # they wait for the file, so that all four open at once
        go.touch()
        for child in children:
            _, err = child.communicate(timeout=60)
            assert (child.returncode, err) == (0, "")
        found = containers(Store.open(tmp_path, boot=f"now-{attempt}"))
        assert sorted(found) == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize("moment", ["before it is opened", "while it is looked at"])
def test_another_boots_file_goes_in_the_middle_of_an_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with Store.open(tmp_path, boot="before").write() as writer:
        add(writer, "old")
    look = {
        "before it is opened": (sqlite3, "connect"),
        "while it is looked at": (schema, "version_of"),
    }[moment]
    as_it_is = getattr(*look)

    def once_another_has_been_faster(*arguments: object, **named: object) -> object:
        monkeypatch.undo()
        add_c1 = AT_ONCE.replace("while not Path", "while False and not Path")
        run(python(add_c1, str(tmp_path), "now", "c1", ""))
        return as_it_is(*arguments, **named)

    monkeypatch.setattr(*look, once_another_has_been_faster)
    store = Store.open(tmp_path, boot="now")
    with store.write() as writer:
        add(writer, "c2")
    assert containers(store) == containers(Store.open(tmp_path, boot="now")) == ["c1", "c2"]


def test_another_boots_file_is_away_in_the_middle_of_an_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another has discarded it, and not yet made its own."""
    with Store.open(tmp_path, boot="before").write() as writer:
        add(writer, "old")
    connect = sqlite3.connect

    def once_it_is_gone(*arguments: Any, **named: Any) -> sqlite3.Connection:
        monkeypatch.undo()
        (tmp_path / "pynet.db").unlink()
        return connect(*arguments, **named)

    monkeypatch.setattr(sqlite3, "connect", once_it_is_gone)
    store = Store.open(tmp_path, boot="now")
    with store.write() as writer:
        add(writer, "c1")
    assert containers(store) == ["c1"]
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
