"""Room that is kept in the state directory, so that a DEL finds some on a full file system.

Rules that hold here:
- It is files of their own. Emptied, they leave their bytes to who writes next; an inode goes to who
  removes one, or becomes the file of a lock, which comes back when that is let go.
- Only what frees more than it takes may use the bytes.
- It is set aside where there is plenty, and again once there is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILES = 8
_BYTES = 128 << 10
"""Of each. The log holds ten ADDs before it is written to the file, which makes that 200 KiB
larger at most; a DEL adds 100 KiB to the log.
"""
_PLENTY = 2 * FILES * _BYTES
_OF_SQLITE = 2
"""The files that it makes where nobody has the store open: log and index."""


def keep(state: Path) -> None:
    """Set aside what is not there, if there is plenty. Raises nothing."""
    files = _files(state)
    with suppress(OSError):
        if files[-1].stat().st_size == _BYTES:
            return
    with suppress(OSError):
        if _free(state) < _PLENTY:
            return
        files[0].parent.mkdir(mode=0o700, exist_ok=True)
        for file in files:
            _set_aside(file)


def is_short(state: Path | str) -> bool:
    """Whether there is less than a DEL may need."""
    try:
        return _free(state) < 4 * _BYTES
    except OSError:
        return False


def is_full(state: Path) -> bool:
    """Whether an ADD may find no space, or no file for its lock. Raises nothing."""
    try:
        found = os.statvfs(state)
    except OSError:
        return False
    lacks_files = found.f_files > 0 and not found.f_favail
    return lacks_files or found.f_bavail * found.f_frsize < _BYTES


def lacks_inodes(state: Path) -> bool:
    """Whether there are not enough for the files that SQLite makes."""
    try:
        found = os.statvfs(state)
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail < _OF_SQLITE


def give_bytes(state: Path) -> None:
    """To whoever writes next. Raises nothing."""
    for file in _files(state):
        with suppress(OSError):
            os.truncate(file, 0)


def give_files(state: Path) -> bool:
    """With all their bytes, to whoever opens the store; whether there were any. Raises nothing."""
    give_bytes(state)
    given = 0
    for file in _files(state):
        if given < _OF_SQLITE:
            with suppress(OSError):
                file.unlink()
                given += 1
    return given > 0


def lend(state: Path, path: Path) -> Path | None:
    """Make one of the files that of `path`; which it was, to be given back by `take_back`.

    None where there is none, or somebody has made one of that name. (Between the look and the
    renaming he still may. A link would refuse that, but tmpfs counts links as inodes; and what two
    do under one lock the claim of a record keeps apart.)
    """
    for file in _files(state):
        with suppress(OSError):
            if path.exists():
                return None
            file.rename(path)
            return file
    return None


def take_back(path: Path, lent: Path) -> None:
    """Raises OSError."""
    path.rename(lent)


def _files(state: Path) -> list[Path]:
    return [state / "room" / str(number) for number in range(FILES)]


def _free(state: Path | str) -> int:
    found = os.statvfs(state)
    return found.f_bavail * found.f_frsize


def _set_aside(file: Path) -> None:
    """Raises OSError, and it holds no bytes then."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, _BYTES)
    except OSError:
        os.ftruncate(fd, 0)
        raise
    finally:
        os.close(fd)
