"""The store's file: made, opened again, discarded, refused, deleted underneath."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from pathlib import Path

import pytest
from stores import add, containers

from pynet.model.errors import TryLater
from pynet.store import schema
from pynet.store.failure import NewerSchema
from pynet.store.locks import FileLock
from pynet.store.store import Store


def test_file_and_directory_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store.open(tmp_path / "a" / "state")
        with store.write() as writer:
            add(writer)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700
    found = {path.name: path.stat().st_mode for path in (tmp_path / "a" / "state").iterdir()}
    assert stat.S_IMODE(found.pop("room")) == 0o700
    assert set(found) == {"pynet.db", "pynet.db-wal", "pynet.db-shm"}
    assert {stat.S_IMODE(mode) for mode in found.values()} == {0o600}


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    with Store.open(tmp_path).write() as writer:
        add(writer)
    assert containers(Store.open(tmp_path)) == ["c1"]


def test_a_file_as_it_should_be_is_opened_past_who_holds_the_opening_lock(tmp_path: Path) -> None:
    with Store.open(tmp_path, boot="one").write() as writer:
        add(writer)
    with FileLock(tmp_path / "pynet.opening") as lock:  # a daemon was stopped there
        lock.acquire(time.monotonic())
        assert containers(Store.open(tmp_path, boot="one", patience=0)) == ["c1"]
        with pytest.raises(TryLater, match="another call is at work on"):
            Store.open(tmp_path, boot="two", patience=0)
    assert containers(Store.open(tmp_path, boot="two")) == []


def test_a_file_of_another_boot_is_discarded_whole(tmp_path: Path) -> None:
    with Store.open(tmp_path, boot="one").write() as writer:
        add(writer)
        writer.mark_taken_over("pool", "/x")
    store = Store.open(tmp_path, boot="two")
    assert containers(store) == []
    with store.read() as reader:
        assert not reader.is_taken_over("pool", "/x")


def test_a_newer_file_of_another_boot_is_discarded_too(tmp_path: Path) -> None:
    _set_version(Store.open(tmp_path, boot="one"), schema.VERSION + 1)
    assert containers(Store.open(tmp_path, boot="two")) == []


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    _set_version(store, schema.VERSION + 1, oldest=schema.VERSION + 1)
    with pytest.raises(NewerSchema, match="newer pynet"):
        Store.open(tmp_path)
    # And by who had it open before.
    with pytest.raises(NewerSchema), store.write():
        pass
    with pytest.raises(NewerSchema), store.read():
        pass
    with pytest.raises(NewerSchema):
        store.owner()


def test_a_newer_schema_that_this_version_can_go_on_with(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    _set_version(store, schema.VERSION + 1)
    for each in (store, Store.open(tmp_path)):
        each.owner()
        with each.write() as writer:
            assert writer.schema() == schema.VERSION + 1
            add(writer)
    assert containers(store) == ["c1", "c1"]


def test_a_newer_schema_that_does_not_say_who_may_is_refused(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    _set_version(store, schema.VERSION + 1)
    connection = sqlite3.connect(store.path)
    connection.execute("DELETE FROM meta WHERE name = 'oldest'")
    connection.commit()
    connection.close()
    with pytest.raises(NewerSchema):
        Store.open(tmp_path)


def test_a_deleted_file_is_noticed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state")
    with store.write() as writer:
        add(writer)
    for path in (tmp_path / "state").glob("pynet*"):
        path.unlink()
    assert containers(store) == []
    with store.write() as writer:
        add(writer, "c2")
    assert containers(Store.open(tmp_path / "state")) == ["c2"]
    shutil.rmtree(tmp_path / "state")
    with store.write() as writer:
        add(writer, "c3")
    assert containers(Store.open(tmp_path / "state")) == ["c3"]


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    store, other = Store.open(tmp_path / "a"), Store.open(tmp_path / "b")
    with other.write() as writer:
        add(writer, "other")
    assert containers(store) == []
    other.close()
    store.close()
    (tmp_path / "b" / "pynet.db").replace(tmp_path / "a" / "pynet.db")
    assert containers(store) == ["other"]


def _set_version(store: Store, version: int, oldest: int = schema.OLDEST) -> None:
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'oldest'", (oldest,))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
