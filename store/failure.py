"""SQLite's and the file system's refusals, said with the path and what to do."""

from __future__ import annotations

import sqlite3
from errno import EACCES, EDQUOT, EEXIST, EIO, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path

from ..model.errors import CniError, StoreError, TryLater


class Newer(StoreError):
    """A newer pynet is at work here: whoever runs this version leaves it to that one."""


class NewerSchema(Newer):
    """It has made the file what this version can't go on with."""


class NewerRecord(Newer):
    """It has recorded what this version may not be able to read."""


_RENEW = (
    "so it is kept as pynet.db.damaged, and a new one begins; what stands of running containers is "
    "found again: try again"
)
_FULL = "the file system is full: free some space, then try again"
_READ_ONLY = "it can't be written: make the file and its directory writable for this user"
_NO_DIRECTORY = (
    "the state directory, or one above it, is not a directory: move away what is there, "
    "or set PYNET_STATE_DIR to another one"
)

_SQLITE = {
    sqlite3.SQLITE_CORRUPT: f"it is damaged, {_RENEW}",
    sqlite3.SQLITE_NOTADB: f"it is not a database, {_RENEW}",
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "reading or writing failed: check the file system's space and health",
}
_SHM_SIZE = sqlite3.SQLITE_IOERR | 19 << 8  # SQLITE_IOERR_SHMSIZE
_ERRNO = {
    EACCES: _READ_ONLY,
    EPERM: _READ_ONLY,
    EROFS: "its file system is read-only: remount it, or set PYNET_STATE_DIR to another directory",
    EEXIST: _NO_DIRECTORY,
    ENOTDIR: _NO_DIRECTORY,
    ENOSPC: _FULL,
    EDQUOT: "the disk quota is used up: free some space, then try again",
    EIO: "reading or writing failed: check the file system's space and health",
}


def from_sqlite(error: sqlite3.Error, path: Path) -> CniError:
    """The `CniError` that `error` amounts to; the primary code decides, details keep the rest."""
    code = getattr(error, "sqlite_errorcode", 0)
    details = f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return busy(path, details)
    if primary == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"store {path}: {_why_not_opened(path)}", details=details)
    advice = _SQLITE.get(primary, str(error))
    return StoreError(f"store {path}: {advice}", details=details)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not, or no longer, a database that can be read."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: sqlite3.Error) -> bool:
    """Whether there is no space for what SQLite was about to write."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == _SHM_SIZE


def can_t_open(error: sqlite3.Error) -> bool:
    """Whether it is a file that SQLite could not open, or make."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN


def from_os(error: OSError, path: Path) -> StoreError:
    """`error` of the file system at `path`, or at the file it names itself."""
    advice = _ERRNO.get(error.errno or 0, error.strerror or str(error))
    return StoreError(f"store {error.filename or path}: {advice}", details=str(error))


def full(path: Path) -> StoreError:
    return StoreError(f"store {path}: {_FULL}")


def busy(path: Path, details: str = "") -> TryLater:
    return TryLater(
        f"store {path} is locked by another process; try again, and look who holds it "
        f"(`fuser {path}`) if it stays so",
        details=details,
    )


def newer(path: Path, found: int, ours: int) -> NewerSchema:
    return NewerSchema(
        f"store {path} has schema {found}, this pynet knows {ours}: "
        "use the newer pynet that wrote it, or detach everything with that one first"
    )


def newer_record(plugin: str, container: str, found: int, ours: int) -> NewerRecord:
    from ..model.shown import short_id

    return NewerRecord(
        f"{plugin} of container {short_id(container)} was recorded in format {found}, this pynet"
        f" knows {ours}: it is left to the newer pynet that wrote it"
    )


def _why_not_opened(path: Path) -> str:
    if path.is_dir():
        return "it is a directory: move it away, or set PYNET_STATE_DIR to another one"
    if not path.parent.is_dir():
        return "its directory is gone: try again, or set PYNET_STATE_DIR to another one"
    return f"it can't be opened; {_READ_ONLY}"
