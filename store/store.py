"""The store: one SQLite file per host, read and written in transactions.

    with store.read() as reader: ...     a consistent view, which waits for nobody
    with store.write() as writer: ...    one writer at a time; an exception rolls back

Nothing outside this package knows SQL. Do not begin a `write` inside a `write`: the inner
one waits for the outer one until it is out of patience.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from . import failure, schema
from .database import Database, open_database, this_boot
from .journal import JournalReader, JournalWriter
from .leases import LeaseReader

FILE = "pynet.db"
_KEPT = 16
"""Connections that are kept open when nobody uses them."""


class Reader(JournalReader, LeaseReader):
    """What a transaction may ask."""


class Writer(JournalWriter, Reader):
    """What a transaction may ask and change."""


class Store:
    """May be used by any number of threads, and after a fork."""

    def __init__(self, path: Path, boot: str, patience: float) -> None:
        self.path = path
        self.boot = boot
        self._patience = patience
        self._start()

    @classmethod
    def open(cls, directory: Path, *, boot: str | None = None, patience: float = 5.0) -> Store:
        """The store in `directory`; made where there is none, emptied if it is another boot's.

        `patience` is how many seconds a transaction waits for other writers. Raises
        `StoreError`, its subclass `NewerSchema`, or `TryLater`.
        """
        store = cls(directory / FILE, this_boot() if boot is None else boot, patience)
        with store.read():
            return store

    @contextlib.contextmanager
    def read(self) -> Iterator[Reader]:
        """One consistent view of the store. Raises `StoreError`, `TryLater`."""
        with self._transaction("BEGIN") as connection:
            yield Reader(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[Writer]:
        """Committed at the end, rolled back on an exception. Raises `StoreError`, `TryLater`."""
        self._renew_after_fork()
        # Threads of one process take turns here: SQLite's own way of waiting is to sleep
        # a millisecond and more.
        turn = self._turn
        if not turn.acquire(timeout=self._patience):
            raise failure.busy(self.path, "by another thread of this process")
        try:
            with self._transaction("BEGIN IMMEDIATE") as connection:
                yield Writer(connection)
        finally:
            turn.release()

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        while self._idle:
            self._idle.pop().close()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        database = self._borrow()
        connection = database.connection
        try:
            connection.execute(begin)
            found = schema.version_of(connection)
            if found > schema.VERSION:
                raise failure.newer(self.path, found, schema.VERSION)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise failure.from_sqlite(error, self.path) from error
        finally:
            self._give_back(database)

    def _borrow(self) -> Database:
        """A connection to the file that the path names now: it may have been deleted."""
        self._renew_after_fork()
        while self._idle:
            try:
                database = self._idle.pop()
            except IndexError:
                break  # another thread was faster
            if database.is_current():
                return database
            database.close()
        return open_database(self.path, self.boot, self._patience)

    def _give_back(self, database: Database) -> None:
        with contextlib.suppress(sqlite3.Error):
            database.connection.rollback()
        if database.connection.in_transaction or len(self._idle) >= _KEPT:
            database.close()
        else:
            self._idle.append(database)

    def _start(self) -> None:
        self._idle: deque[Database] = deque()
        self._turn = threading.Lock()
        self._pid = os.getpid()

    def _renew_after_fork(self) -> None:
        """A connection must not be used, nor closed, in a child of who opened it."""
        if os.getpid() != self._pid:
            _not_ours.extend(self._idle)
            self._start()


_not_ours: list[Database] = []
