"""Opening the store's file: made where there is none, discarded where it is another boot's.

Rules that hold here:
- Whoever opens holds the opening lock, so that two who find a file of another boot, or
  none, do not discard what the other has just made.
- The file itself is never opened but by SQLite: closing any other descriptor of it would
  drop SQLite's own locks in this process ("How To Corrupt An SQLite Database File", 2.2).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from ..model.errors import StoreError
from . import failure, schema
from .locks import FileLock


class Database:
    """One connection, and which file it has open."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        found = path.stat()
        self._identity = (found.st_dev, found.st_ino)

    def is_current(self) -> bool:
        """Whether the file it has open is the one that the path names now."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()


def open_database(path: Path, boot: str, patience: float) -> Database:
    """A connection to the store of this boot, waiting `patience` seconds for others at most.

    Raises `StoreError` (`NewerSchema` where a newer pynet of this boot wrote it), `TryLater`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".opening"), f"store {path}") as lock:
            lock.acquire(time.monotonic() + patience)
            return _open_locked(path, boot, patience)
    except sqlite3.Error as error:
        raise failure.from_sqlite(error, path) from error
    except OSError as error:
        raise failure.from_os(error, path) from error


def this_boot() -> str:
    """What tells this boot of the kernel from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError as error:
        raise StoreError(
            "can't tell which boot this is: /proc is not mounted here, or not readable",
            details=str(error),
        ) from error


def _open_locked(path: Path, boot: str, patience: float) -> Database:
    connection = _connect(path, patience)
    try:
        found = schema.boot_of(connection)
        if found is not None and found != boot:
            connection.close()
            _discard(path)
            connection = _connect(path, patience)
            found = None
        version = schema.version_of(connection)
        if version > schema.VERSION:
            raise failure.newer(path, version, schema.VERSION)
        if found is None:
            schema.create(connection, boot)
        return Database(connection, path)
    except BaseException:
        connection.close()
        raise


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    # Made here so that its mode does not depend on the caller's umask; SQLite gives
    # -wal and -shm the mode of the file.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Survives our own death, not a power cut: neither does what it describes.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _discard(path: Path) -> None:
    """Remove the file, last of the three: till then the file left says whose boot it is."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
