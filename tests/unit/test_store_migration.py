"""Files that older versions wrote: made today's, read, and undone.

The fixtures are what the code of those versions left (`tests/fixtures/write_store.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.model.errors import StoreError
from pynet.model.resource import Lease, Undo, Unknown
from pynet.model.resources import Bridge
from pynet.store import migration, schema
from pynet.store.records import State
from pynet.store.store import FILE, Store
from pynet.testing import RecordingWorld

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
BOOT = "the boot of the fixture"
OLDER = range(1, schema.VERSION)


def lay(version: int, state: Path) -> Path:
    """A store of `version` in `state`: its file."""
    state.mkdir(exist_ok=True)
    with sqlite3.connect(state / FILE) as connection:
        connection.executescript((FIXTURES / f"store-{version}.sql").read_text())
    connection.close()
    return state / FILE


@pytest.fixture(params=OLDER)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return lay(request.param, tmp_path / "state")


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = Store.open(file.parent, boot=BOOT)
    yield store
    store.close()


def shape(path: Path) -> dict[str, object]:
    """All that makes a schema, the order of columns left out: what is added comes last."""
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    query = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)'
    found: dict[str, object] = {
        table: set(connection.execute(query, (table,)).fetchall()) for (table,) in tables
    }
    query = "SELECT name, sql FROM sqlite_master WHERE type <> 'table' AND sql <> ''"
    found |= dict(connection.execute(query).fetchall())
    found["version"] = schema.version_of(connection)
    found["meta"] = {name for (name,) in connection.execute("SELECT name FROM meta")}
    query = "SELECT value FROM meta WHERE name = 'oldest'"
    found["oldest"] = connection.execute(query).fetchone()
    connection.close()
    return found


def contents(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [*connection.iterdump(), str(schema.version_of(connection))]
    connection.close()
    return found


def test_a_migrated_file_is_as_one_made_today(store: Store, tmp_path: Path) -> None:
    Store.open(tmp_path / "fresh").close()
    assert shape(store.path) == shape(tmp_path / "fresh" / FILE)


def test_every_kind_is_read_with_what_stands_beside_it(store: Store) -> None:
    with store.read() as tx:
        steps = [step for record in tx.records() for step in tx.steps(record)]
        (begun,) = [r for r in tx.records() if r.state is State.PENDING]
        assert tx.steps(begun)
    assert not [step for step in steps if isinstance(step.resource, Unknown) or not step.whole]
    connection = sqlite3.connect(store.path)
    rows = connection.execute(
        "SELECT key, inside, place, undo FROM step ORDER BY record, position"
    ).fetchall()
    connection.close()
    assert rows == [
        (one.resource.key, one.resource.inside, one.resource.place, one.resource.undo)
        for one in steps
    ]
    # Of each way of undoing, and of each place, there is one.
    assert {row[3] for row in rows} == set(Undo)
    assert {row[2] for row in rows} == {"host", "sandbox"}
    assert any(row[1] for row in rows)


def test_every_record_is_undone_and_nothing_is_left(store: Store) -> None:
    world = RecordingWorld()
    site = Site(store, world, delegate=lambda binary, command, call: {})
    with store.read() as tx:
        records = tx.records()
        for record in records:
            made = [step.resource for step in tx.steps(record)]
            world.create([one for one in made if not isinstance(one, Lease)])
    assert [failure for record in reversed(records) for failure in undo(site, record)] == []
    with store.read() as tx:
        assert (tx.records(), tx.counts().leases) == ([], {})
    assert {one.undo for one in world.standing.values()} == {Undo.KEEP}


def test_what_was_shared_is_known(store: Store) -> None:
    with store.read() as tx:
        host = tx.records()[0].host
        bridges = [one for one, found in tx.shared_of_kind(host, Bridge.kind) if not found]
    assert {one.name for one in bridges if isinstance(one, Bridge)} == {
        "cni0", "cni1", "cni2", "cni3",
    }  # fmt: skip


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(file)

    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("refused by the test")

    monkeypatch.setitem(migration._BEYOND, schema.VERSION, fail)
    with pytest.raises(StoreError):
        Store.open(file.parent, boot=BOOT)
    assert contents(file) == before
    monkeypatch.undo()
    with Store.open(file.parent, boot=BOOT).read() as tx:
        assert tx.records()


def test_an_older_file_of_another_boot_is_discarded(file: Path) -> None:
    with Store.open(file.parent, boot="another").read() as tx:
        assert tx.records() == []


def test_what_an_older_process_had_open_it_finds_newer(file: Path) -> None:
    """Its next transaction sees the version, and all that was there."""
    older = sqlite3.connect(file, isolation_level=None)
    older.execute("PRAGMA journal_mode = WAL")
    older.execute("BEGIN")
    before = older.execute("SELECT count(*) FROM step").fetchone()
    Store.open(file.parent, boot=BOOT).close()
    assert schema.version_of(older) < schema.VERSION  # it goes on with what it has begun to read
    older.execute("COMMIT")
    older.execute("BEGIN")
    assert schema.version_of(older) == schema.VERSION
    assert older.execute("SELECT count(*) FROM step").fetchone() == before
    older.close()


NEXT = (
    (
        "result    TEXT NOT NULL,\n",
        "result    TEXT NOT NULL,\n    note TEXT NOT NULL DEFAULT '',\n",
    ),
    (
        "-- Directories and files",
        "CREATE TABLE later (record INTEGER PRIMARY KEY, what TEXT);\n"
        "CREATE INDEX later_what ON later (what);\n"
        "CREATE TRIGGER later_goes AFTER DELETE ON record BEGIN\n"
        "    DELETE FROM later WHERE record = old.id;\nEND;\n\n-- Directories and files",
    ),
)
"""What a version after this one may add: a column, and a table whose rows go with a record's."""


def test_what_the_next_version_adds_does_not_lock_this_one_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Store.open(tmp_path)
    with mine.write() as tx:
        first = tx.begin(
            host="h", network="n", container="c1", interface="eth0",
            plugin="p", digest="d", request="{}",
        )  # fmt: skip
    with monkeypatch.context() as patch:
        tables = schema._TABLES
        for old, new in NEXT:
            assert old in tables
            tables = tables.replace(old, new)
        patch.setattr(schema, "_TABLES", tables)
        patch.setattr(schema, "VERSION", schema.VERSION + 1)
        Store.open(tmp_path).close()
    connection = sqlite3.connect(mine.path)
    assert schema.version_of(connection) == schema.VERSION + 1
    connection.execute("INSERT INTO later VALUES (?, 'x')", (first.id,))
    connection.commit()
    with mine.write() as tx:
        assert tx.records() == [first]
        tx.forget(first)
    assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
    connection.close()
