"""The tables, as SQL.

Rules that hold here:
- `meta` with its row `boot` stays as it is in every version: by it a file of another
  boot is told from ours before anything else of it is looked at.
- Tables that differ have another VERSION. A table or a column more, with a default, is all
  that `migration` needs to be told by these tables here; what else changes is written there.
- The row `oldest` of `meta` is the oldest version whose code may still write to the file. It
  stays where it is as long as only tables and columns were added that older code need not
  know: it names the columns it writes, and leaves the others at their defaults. What must go
  with a row that older code removes is removed by a trigger.
- Addresses are 16 bytes in network order (IPv4 mapped into IPv6), so that they sort.
"""

from __future__ import annotations

import os
import sqlite3

VERSION = 2
OLDEST = 2
"""Version 1 did not name the columns it wrote, and read no `oldest`."""

_TABLES = """
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- AUTOINCREMENT: a forgotten record's number is never another's.
CREATE TABLE record (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    host      TEXT NOT NULL,
    network   TEXT NOT NULL,
    container TEXT NOT NULL,
    interface TEXT NOT NULL,
    plugin    TEXT NOT NULL,
    digest    TEXT NOT NULL,
    state     TEXT NOT NULL,
    claim     INTEGER NOT NULL,
    sandbox   TEXT NOT NULL,
    netns     TEXT NOT NULL,
    request   TEXT NOT NULL,
    result    TEXT NOT NULL,
    created   REAL NOT NULL,
    nsid      INTEGER NOT NULL DEFAULT -1,
    format    INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX record_attachment ON record (host, network, container, interface);
CREATE INDEX record_container ON record (container);

CREATE TABLE step (
    record   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    scope    TEXT NOT NULL,
    key      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    previous TEXT,
    answer   TEXT,
    inside   TEXT NOT NULL DEFAULT '',
    place    TEXT NOT NULL DEFAULT 'host',
    undo     TEXT NOT NULL DEFAULT 'delete',
    keeper   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (record, position)
) WITHOUT ROWID;
CREATE INDEX step_key ON step (scope, key);
CREATE INDEX step_keeper ON step (keeper) WHERE keeper <> '';

CREATE TABLE shared (
    scope    TEXT NOT NULL,
    key      TEXT NOT NULL,
    found    INTEGER NOT NULL,
    previous TEXT,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;

-- What a keeper looks after, as long as the step is there; state is the keeper's own.
CREATE TABLE kept (
    keeper   TEXT NOT NULL,
    record   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    state    TEXT NOT NULL DEFAULT '',
    since    REAL NOT NULL,
    PRIMARY KEY (keeper, record, position)
) WITHOUT ROWID;
CREATE INDEX kept_record ON kept (record);

-- record is NULL for a lease that was taken over and not claimed yet; file is where
-- the reference keeps it, '' where it does not.
CREATE TABLE lease (
    pool      TEXT NOT NULL,
    address   BLOB NOT NULL,
    record    INTEGER,
    container TEXT NOT NULL,
    interface TEXT NOT NULL,
    position  INTEGER NOT NULL,
    since     REAL NOT NULL,
    file      TEXT NOT NULL,
    PRIMARY KEY (pool, address)
) WITHOUT ROWID;
CREATE INDEX lease_owner ON lease (pool, container, interface);
CREATE INDEX lease_record ON lease (record);

-- A range and how far into it addresses were handed out for the first time: at is the
-- last one passed (NULL: none yet), up to stop; then, where wrap is not NULL, from
-- first to wrap.
CREATE TABLE cursor (
    id    INTEGER PRIMARY KEY,
    pool  TEXT NOT NULL,
    first BLOB NOT NULL,
    last  BLOB NOT NULL,
    at    BLOB,
    stop  BLOB NOT NULL,
    wrap  BLOB,
    UNIQUE (pool, first, last)
);

-- Released addresses in the order of their release: one row for each known range that
-- holds the address.
CREATE TABLE freed (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    range    INTEGER NOT NULL,
    address  BLOB NOT NULL,
    UNIQUE (range, address)
);
CREATE INDEX freed_order ON freed (range, sequence);

-- Directories and files of the reference's that were read into a pool.
CREATE TABLE taken_over (
    pool TEXT NOT NULL,
    path TEXT NOT NULL,
    at   REAL NOT NULL,
    PRIMARY KEY (pool, path)
) WITHOUT ROWID;
"""


def create(connection: sqlite3.Connection, boot: str) -> None:
    """Make all tables in one transaction, so that a crash leaves all of them or none."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements():
        connection.execute(statement)
    connection.execute("INSERT INTO meta (name, value) VALUES ('boot', ?)", (boot,))
    sign(connection)
    connection.execute("COMMIT")


def statements() -> list[str]:
    """What makes the tables, one by one: executescript() would commit first."""
    made, part = [], ""
    for line in _TABLES.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):  # a trigger holds semicolons of its own
            made.append(part)
            part = ""
    return made


def sign(connection: sqlite3.Connection) -> None:
    """Say whose tables these are, in the transaction that has made them so."""
    connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('store', ?)", (os.urandom(16).hex(),)
    )
    connection.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES ('oldest', ?)", (str(OLDEST),)
    )
    connection.execute(f"PRAGMA user_version = {VERSION}")


def is_closed_to_us(connection: sqlite3.Connection, version: int) -> bool:
    """Whether the file, of `version`, is a later pynet's, which older code must not go on with."""
    if version <= VERSION:
        return False
    row = connection.execute("SELECT value FROM meta WHERE name = 'oldest'").fetchone()
    return row is None or int(row[0]) > VERSION


def version_of(connection: sqlite3.Connection) -> int:
    """0 for a file without tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def boot_of(connection: sqlite3.Connection) -> str | None:
    """The boot the file belongs to; None where it says nothing (it is new, or not ours)."""
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'"
    if not connection.execute(query).fetchone()[0]:
        return None
    row = connection.execute("SELECT value FROM meta WHERE name = 'boot'").fetchone()
    return row[0] if row else None
