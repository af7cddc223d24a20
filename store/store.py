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
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from ..model import patience
from ..model.owner import Owner
from . import failure, room, schema
from .database import Database, open_database, set_aside_damaged, this_boot
from .keeping import KeepingReader, KeepingWriter
from .leases import LeaseReader

FILE = "pynet.db"
_KEPT = 16
"""Connections that are kept open when nobody uses them."""


class Reader(KeepingReader, LeaseReader):
    """What a transaction may ask."""


class Writer(KeepingWriter, Reader):
    """What a transaction may ask and change."""


View = TypeVar("View", bound=Reader)


class Transaction(Generic[View]):
    """A `with` block in which a connection does one thing; `view` is what it is seen by.

    `turn` is what writers of one process take turns by: SQLite's own way of waiting is to sleep a
    millisecond and more. `end` is how a block ends that nothing was raised in.
    """

    def __init__(
        self, store: Store, view: type[View], turn: threading.Lock | None, end: str = "COMMIT"
    ) -> None:
        self._store = store
        self._view = view
        self._turn = turn
        self._end = end

    def __enter__(self) -> View:
        turn, store = self._turn, self._store
        if turn is not None and not turn.acquire(timeout=store.patience):
            raise failure.busy(store.path, "by another thread of this process")
        try:
            self._database = store.begin("BEGIN" if self._view is Reader else "BEGIN IMMEDIATE")
        except BaseException:
            if turn is not None:
                turn.release()
            raise
        return self._view(self._database.connection)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._store.end(self._database, self._end, error)
        finally:
            if self._turn is not None:
                self._turn.release()


class _LastResort(threading.local):
    """Whether this thread is in a block that may use the room that is kept."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.depth -= 1


class Store:
    """May be used by any number of threads, and after a fork."""

    def __init__(self, path: Path, boot: str, patience: float) -> None:
        self.path = path
        self.directory = path.parent
        self._place = str(self.directory)
        self.boot = boot
        self.patience = patience
        self._resort = _LastResort()
        self.looked_through: dict[tuple[str, str], bool] = {}
        """(store, host namespace) -> whether there are records that were made up of what stands."""
        self._start()

    @classmethod
    def open(
        cls, directory: Path, *, boot: str | None = None, patience: float = patience.SECONDS
    ) -> Store:
        """The store in `directory`; made where there is none, emptied if it is another boot's.

        `patience` is how many seconds a transaction waits for other writers. Raises
        `StoreError`, its subclass `NewerSchema`, or `TryLater`.
        """
        store = cls(directory / FILE, this_boot() if boot is None else boot, patience)
        with store.read():
            return store

    def read(self) -> Transaction[Reader]:
        """One consistent view of the store. Raises `StoreError`, `TryLater`."""
        self._renew_after_fork()
        return Transaction(self, Reader, None)

    def write(self) -> Transaction[Writer]:
        """Committed at the end, rolled back on an exception. Raises `StoreError`, `TryLater`."""
        self._renew_after_fork()
        return Transaction(self, Writer, self._turn)

    def last_resort(self) -> AbstractContextManager[None]:
        """What this thread writes in there may use the room that is kept: it frees some."""
        return self._resort

    def rehearse(self) -> Transaction[Writer]:
        """As `write`, and nothing of it is kept: to see what would be."""
        self._renew_after_fork()
        return Transaction(self, Writer, None, end="ROLLBACK")

    def refuse_full(self) -> None:
        """Raises `StoreError` where there is not the space that an ADD needs."""
        if room.is_full(self.directory):
            raise failure.full(self.path)

    def owner(self) -> Owner:
        """Which store this is, of which boot, and where; it is asked before any request.

        Raises `StoreError`, `NewerSchema` where this version can't go on with it, `TryLater`.
        """
        self._renew_after_fork()
        database = self._borrow()
        try:
            self._check(database.connection)
            return database.owner()
        except sqlite3.Error as error:
            raise failure.from_sqlite(error, self.path) from error
        except OSError as error:
            raise failure.from_os(error, self.path) from error
        finally:
            self._give_back(database)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        while self._idle:
            self._idle.pop().close()

    def begin(self, statement: str) -> Database:
        """A connection in a transaction that this began, for `end` to be given."""
        database = self._borrow()
        connection = database.connection
        try:
            if statement != "BEGIN" and self._resort.depth and room.is_short(self._place):
                self._make_room(connection)
            connection.execute(statement)
            self._check(connection)
        except BaseException as error:
            self.end(database, "", error)
            raise
        return database

    def end(self, database: Database, statement: str, error: BaseException | None) -> None:
        """End the transaction by `statement`, or undo it for the `error` that was raised in it."""
        try:
            if error is None:
                database.connection.execute(statement)
        except sqlite3.Error as failed:
            error = failed
        finally:
            self._give_back(database)
        if isinstance(error, sqlite3.Error):
            # The next call has it.
            if self._resort.depth and failure.is_full(error):
                room.give_bytes(self.directory)
            if failure.is_damage(error):
                set_aside_damaged(self.path, self.patience)
            raise failure.from_sqlite(error, self.path) from error

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """What the log holds is written to the file, so that the log begins anew and grows no more.

        That may make the file larger, which is what the room is for.
        """
        room.give_bytes(self.directory)
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _check(self, connection: sqlite3.Connection) -> None:
        found = schema.version_of(connection)
        if found > schema.VERSION and schema.is_closed_to_us(connection, found):
            raise failure.newer(self.path, found, schema.VERSION)

    def _borrow(self) -> Database:
        """A connection to the file that the path names now: it may have been deleted."""
        while self._idle:
            try:
                database = self._idle.pop()
            except IndexError:
                break  # another thread was faster
            if database.is_current():
                return database
            database.close()
        return open_database(self.path, self.boot, self.patience)

    def _give_back(self, database: Database) -> None:
        if database.connection.in_transaction:
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
