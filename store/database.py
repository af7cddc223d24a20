"""Opening the store's file: made, or brought up to date, or discarded as another boot's.

Rules that hold here:
- A file that is as it should be is opened as it stands, past everybody. Whoever makes,
  discards or migrates one holds the opening lock, so that two who find a file of another
  boot, or none, do not discard what the other has just made, and one of two migrates.
- One that is damaged is kept beside, and a new one made: what is lost with it is found in the
  kernel (`engine/survey.py`), and no DEL waits for a person.
- The file itself is never opened but by SQLite: closing any other descriptor of it would
  drop SQLite's own locks in this process ("How To Corrupt An SQLite Database File", 2.2).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from ..model.errors import CniError, StoreError
from ..model.owner import Owner
from . import failure, location, room, schema
from .locks import FileLock
from .migration import migrate

_SUFFIXES = ("-wal", "-shm", "")


class Database:
    """One connection, and which file it has open."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, identity: tuple[int, int]
    ) -> None:
        self.connection = connection
        self._path = path
        self._file = str(path)
        self._identity = identity
        self._owner: Owner | None = None

    def owner(self) -> Owner:
        """The store it is, as our nftables tables name it. Raises sqlite3.Error."""
        if self._owner is None:
            query = "SELECT name, value FROM meta WHERE name IN ('boot', 'store')"
            told = dict(self.connection.execute(query).fetchall())
            directory = self._path.parent.absolute()
            boot = told["boot"].replace("-", "")
            device = directory.stat().st_dev
            self._owner = Owner(boot, told["store"], str(directory), device)
        return self._owner

    def is_current(self) -> bool:
        """Whether the file it has open is the one that the path names now."""
        try:
            return _identity(self._file) == self._identity
        except OSError:
            return False

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()


def _identity(path: Path | str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - a Path is made into text each time
    return found.st_dev, found.st_ino


def open_database(path: Path, boot: str, patience: float) -> Database:
    """A connection to the store of this boot, waiting `patience` seconds for others at most.

    Raises `StoreError` (`NewerSchema` where a newer pynet of this boot wrote it), `TryLater`.
    """
    try:
        location.prepare(path.parent)
        try:
            database = _open(path, boot, patience)
        except sqlite3.Error as error:
            # To read is to write, where nobody has it open: a log and an index are made.
            lacking = failure.is_full(error) or (
                failure.can_t_open(error) and room.lacks_inodes(path.parent)
            )
            if not (lacking and room.give_files(path.parent)):
                raise
            return _open(path, boot, patience)
        room.keep(path.parent)
        return database
    except sqlite3.Error as error:
        raise failure.from_sqlite(error, path) from error
    except OSError as error:
        raise failure.from_os(error, path) from error


def _open(path: Path, boot: str, patience: float) -> Database:
    connection, database = _as_it_stands(path, boot, patience)
    if database is not None:
        return database
    with FileLock(path.with_suffix(".opening"), f"store {path}") as lock:
        try:
            lock.acquire(time.monotonic() + patience)
        finally:
            # Not before: the last connection to close removes the -wal it knows by name,
            # and by then the name may be that of the next boot's.
            if connection is not None:
                connection.close()
        return _open_locked(path, boot, patience)


def this_boot() -> str:
    """What tells this boot of the kernel from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        if not os.path.ismount("/proc"):
            why = "/proc is not mounted here"
        raise StoreError(f"can't tell which boot this is: {why}", details=str(error)) from error


def _as_it_stands(
    path: Path, boot: str, patience: float
) -> tuple[sqlite3.Connection | None, Database | None]:
    """The file that is there, where nothing of it has to be changed first; and what has it open.

    Not under the lock, whose holder may have been stopped or be slow for reasons of its own. It
    may also discard the file at any moment: what goes amiss is said by who tries under the lock.
    """
    connection = None
    try:
        if path.stat().st_size == 0:  # in the making
            return None, None
        before = _identity(path)
        connection = _connection(path, patience)
        if (schema.boot_of(connection), schema.version_of(connection)) == (boot, schema.VERSION):
            _settle(connection)
            database = Database(connection, path, before)
            if database.is_current():
                return connection, database
    except (sqlite3.Error, OSError):
        pass
    return connection, None


def set_aside_damaged(path: Path, patience: float) -> None:
    """Where the file is damaged, begin a new one; the old one is kept. Raises nothing.

    It is looked at as a whole: one call that failed is no proof.
    """
    with contextlib.suppress(CniError, OSError), FileLock(path.with_suffix(".opening")) as lock:
        lock.acquire(time.monotonic() + patience)
        if _is_damaged(path, patience):
            _set_aside(path)


def _is_damaged(path: Path, patience: float) -> bool:
    try:
        with contextlib.closing(_connection(path, patience)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as error:
        return failure.is_damage(error)


def _open_locked(path: Path, boot: str, patience: float) -> Database:
    try:
        return _opened(path, boot, patience)
    except sqlite3.Error as error:
        if not failure.is_damage(error):
            raise
    _set_aside(path)
    return _opened(path, boot, patience)


def _opened(path: Path, boot: str, patience: float) -> Database:
    connection = _connect(path, patience)
    try:
        found = schema.boot_of(connection)
        if found is not None and found != boot:
            connection.close()
            _discard(path)
            connection = _connect(path, patience)
            found = None
        version = schema.version_of(connection)
        if found is None:
            schema.create(connection, boot)
        elif version < schema.VERSION:
            migrate(connection)
        elif schema.is_closed_to_us(connection, version):
            raise failure.newer(path, version, schema.VERSION)
        return Database(connection, path, _identity(path))
    except BaseException:
        connection.close()
        raise


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    # Made here so that its mode does not depend on the caller's umask; SQLite gives
    # -wal and -shm the mode of the file.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = _connection(path, patience)
    try:
        _settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connection(path: Path, patience: float) -> sqlite3.Connection:
    # Never made by SQLite itself: its mode would be the umask's, and the place whoever's who
    # has just discarded another boot's.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )


def _settle(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # Survives our own death, not a power cut: neither does what it describes.
    connection.execute("PRAGMA synchronous = NORMAL")


def _discard(path: Path) -> None:
    """Remove the file, last of the three: till then the file left says whose boot it is."""
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    """For whoever wants to know what has happened to it."""
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(
                path.with_name(f"{path.name}.damaged{suffix}")
            )
