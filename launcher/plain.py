"""A file that is read whole, by whoever would otherwise wait for ever: it may be a pipe by now.

Nothing is imported that the launcher in Python can do without.
"""

from __future__ import annotations

import errno
import os
import stat

_NULL = os.makedev(1, 3)
"""/dev/null, which stands for an empty file: a unit of systemd's is masked by a link to it."""


def read(path: str) -> bytes:
    """Raises OSError, also for what is no file."""
    with open(path, "rb", opener=_open) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) and about.st_rdev != _NULL:
            raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", path)
        return file.read()


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
