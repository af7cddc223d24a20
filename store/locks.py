"""Locks on files, which the kernel frees when their holder dies.

Open-file-description locks (`fcntl` F_OFD_SETLK), not classic record locks: those belong
to a process, so two threads would share one, and closing any descriptor of the file
would drop it. Not `flock` either: over NFS it turns into a record lock.

A lock's file is removed by the holder as it lets go. Who waited for that same file then
holds a lock on a name that is gone; hence the comparison after each success.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable
from errno import EACCES, EAGAIN
from pathlib import Path
from types import TracebackType
from typing import Self

from ..model.errors import TryLater
from ..model.request import Attachment
from . import failure

# struct flock of a 64-bit off_t: l_type, l_whence, l_start, l_len, l_pid (0 for OFD locks).
_WHOLE_FILE = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_FIRST_SLEEP = 0.0002
_LONGEST_SLEEP = 0.010


class FileLock:
    """One holder at a time of `path`, among threads and processes. Not re-entrant."""

    def __init__(self, path: Path, what: str = "") -> None:
        self.path = path
        self._what = what or str(path)
        self._fd = -1

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def acquire(self, deadline: float, given_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until `deadline` (`time.monotonic()` seconds), or until `given_up`.

        Raises `TryLater`, `StoreError`.
        """
        sleep = _FIRST_SLEEP
        while not self.try_acquire():
            if time.monotonic() + sleep > deadline or given_up():
                raise TryLater(
                    f"{self._what} is being worked on by another call; try again later",
                    details=f"lock {self.path}, its holder is unknown",
                )
            time.sleep(sleep)
            sleep = min(sleep * 1.5, _LONGEST_SLEEP)

    def try_acquire(self) -> bool:
        """Take it if it is free now. Raises `StoreError` where the file can't be made."""
        if self.held:
            raise RuntimeError(f"{self.path} is locked through this object already")
        try:
            while True:
                fd = self._open()
                if not _lock(fd):
                    os.close(fd)
                    return False
                if _is_still_at(fd, self.path):
                    self._fd = fd
                    return True
                os.close(fd)
        except OSError as error:
            raise failure.from_os(error, self.path) from error

    def release(self) -> None:
        """Remove the file, then let go: in this order nobody else's file can be removed."""
        if not self.held:
            return
        fd, self._fd = self._fd, -1
        try:
            self.path.unlink()
        except OSError:
            pass  # removed by somebody else: the lock is on the descriptor, not the name
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o600)


class AttachmentLock(FileLock):
    """Held by whoever works on one attachment, from the intent to the last commit."""

    def __init__(self, state: Path, host: str, attachment: Attachment) -> None:
        name = attachment.digest(f"lock\0{host}", 16).hex()
        super().__init__(
            state / "locks" / name,
            f"container {attachment.container}, interface {attachment.interface} "
            f"on network {attachment.network}",
        )


def _lock(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError as error:
        if error.errno in (EAGAIN, EACCES):
            return False
        os.close(fd)
        raise
    return True


def _is_still_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
