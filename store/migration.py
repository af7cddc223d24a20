"""An older version's file, made this version's in one transaction.

Rules that hold here:
- What the tables of today have more, by their own SQL, is added; a version that needs more
  than that has an entry in `_BEYOND`.
- It is done under the opening lock, while others may go on with the file: each of their
  transactions sees the file as it was, or as it is, and its version with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from . import schema


def migrate(connection: sqlite3.Connection) -> None:
    """All of it or, where it fails, nothing. Raises `sqlite3.Error`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = schema.version_of(connection)
        _add_what_is_missing(connection)
        for version, change in _BEYOND.items():
            if found < version:
                change(connection)
        schema.sign(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _add_what_is_missing(connection: sqlite3.Connection) -> None:
    """Tables and columns first, then the indexes over them."""
    wanted = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in schema.statements():
            wanted.execute(statement)
        tables, others = _made(wanted)
        there = {name for made in _made(connection) for name in made}
        for name, statement in tables.items():
            if name not in there:
                connection.execute(statement)
            else:
                _add_columns(connection, name, wanted)
        for name, statement in others.items():
            if name not in there:
                connection.execute(statement)
    finally:
        wanted.close()


def _made(connection: sqlite3.Connection) -> tuple[dict[str, str], dict[str, str]]:
    """The tables, and their indexes and triggers: by name, as SQL."""
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql <> '' AND name NOT LIKE 'sqlite%'"
    for kind, name, statement in connection.execute(query):
        found[kind != "table"][name] = statement
    return found


def _add_columns(connection: sqlite3.Connection, table: str, wanted: sqlite3.Connection) -> None:
    query = f"SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info('{table}')"
    there = {name for name, *_ in connection.execute(query)}
    for name, kind, is_needed, default in wanted.execute(query):
        if name not in there:
            needed = f" NOT NULL DEFAULT {default}" if is_needed else ""
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}{needed}")


# --- what tables alone do not say --------------------------------------------------------


def _fill_steps(connection: sqlite3.Connection) -> None:
    """Version 2: how a step is undone stands beside it, for those who can't read its body."""
    from ..model import resources  # noqa: F401  # the kinds there are
    from ..model.resource import columns

    for column, at in (("inside", 0), ("place", 1), ("undo", 2)):
        connection.create_function(
            f"its_{column}",
            2,
            lambda kind, body, at=at: str(columns(kind, body)[at]),
            deterministic=True,
        )
    connection.execute(
        "UPDATE step SET inside = its_inside(kind, body), place = its_place(kind, body),"
        " undo = its_undo(kind, body)"
    )


_BEYOND: dict[int, Callable[[sqlite3.Connection], None]] = {2: _fill_steps}
