"""Another store than ours: whether it is still there.

Rules that hold here:
- What can't be seen from here is taken for there: somebody's containers may live by it. So a
  directory counts as gone only where the file system that it was on is seen on the way to it;
  in another mount namespace the same path is another's.
- Its file is opened by SQLite alone, and only to read.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ..model.owner import Owner

_FILE = "pynet.db"


def is_gone(other: Owner, mine: Owner) -> bool:
    """Whether the store `other` provably no longer exists: removed, hidden, or replaced."""
    if other.boot != mine.boot:
        return True
    directory = Path(other.directory)
    devices = [_device(path) for path in (directory, *directory.parents)]
    if other.device not in devices:
        return False
    if devices[0] != other.device:
        return True  # it was removed, or something has been mounted over it
    file = directory / _FILE
    return not file.exists() or _is_another(file, other)


def _device(path: Path) -> int | None:
    """The file system that a directory is on; None where there is none to be seen."""
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _is_another(file: Path, other: Owner) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            row = database.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
    except sqlite3.Error:
        return False
    return row is not None and row[0] != other.store
