"""The tables, as SQL.

Rules that hold here:
- `meta` with its row `boot` stays as it is in every version: by it a file of another
  boot is told from ours before anything else of it is looked at.
- A table of a later version differs in VERSION; no table is changed in place.
- Addresses are 16 bytes in network order (IPv4 mapped into IPv6), so that they sort.
"""

from __future__ import annotations

import sqlite3

VERSION = 1

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
    created   REAL NOT NULL
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
    PRIMARY KEY (record, position)
) WITHOUT ROWID;
CREATE INDEX step_key ON step (scope, key);

CREATE TABLE shared (
    scope    TEXT NOT NULL,
    key      TEXT NOT NULL,
    found    INTEGER NOT NULL,
    previous TEXT,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;

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
    # Not executescript(): that one commits first.
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('boot', ?)", (boot,))
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


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
