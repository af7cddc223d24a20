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
from errno import EACCES, EAGAIN, EDQUOT, ENOSPC
from pathlib import Path
from types import TracebackType
from typing import Self

from ..model.blake2 import blake2b
from ..model.errors import TryLater
from ..model.request import Attachment
from . import failure, room

# struct flock of a 64-bit off_t: l_type, l_whence, l_start, l_len, l_pid (0 for OFD locks).
_WHOLE_FILE = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_FIRST_SLEEP = 0.0002
_LONGEST_SLEEP = 0.010


class FileLock:
    """One holder at a time of `path`, among threads and processes. Not re-entrant."""

    def __init__(self, path: Path | str, what: str = "") -> None:
        self._file = str(path)
        self._what = what or str(path)
        self._fd = -1
        self._lent: Path | None = None

    @property
    def path(self) -> Path:
        return Path(self._file)

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
                from ..model.shown import shortened

                raise TryLater(
                    f"another call is at work on {shortened(self._what)}; try again later"
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
                if _is_still_at(fd, self._file):
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
        lent, self._lent = self._lent, None
        try:
            if lent is not None:
                room.take_back(self.path, lent)
            else:
                os.unlink(self._file)  # noqa: PTH108 - as in `_is_still_at`
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
            return os.open(self._file, flags, 0o600)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o600)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            self._lent = self._lend()
            return os.open(self.path, flags, 0o600)

    def _lend(self) -> Path | None:
        """A file for the name, of the state directory that holds it or the folder it is in."""
        folders = (self.path.parent, self.path.parent.parent)
        lent = (room.lend(folder, self.path) for folder in folders)
        return next(filter(None, lent), None)


class AttachmentLock(FileLock):
    """Held by whoever works on one attachment, from the intent to the last commit."""

    def __init__(self, state: Path, host: str, attachment: Attachment) -> None:
        name = attachment.digest(f"lock\0{host}", 16).hex()
        super().__init__(
            f"{state}/locks/{name}",
            f"container {attachment.container}, interface {attachment.interface} "
            f"on network {attachment.network}",
        )


class ResourceLock(FileLock):
    """Held by whoever joins, makes or removes what several share and another's program makes."""

    def __init__(self, state: Path, scope: str, key: str, what: str) -> None:
        name = blake2b(f"{scope}\0{key}".encode(), digest_size=16).hexdigest()
        super().__init__(f"{state}/locks/resource-{name}", what)


class TablesLock(FileLock):
    """Held by whoever makes a host's nftables tables, or fills them, from the records."""

    def __init__(self, state: Path, host: str) -> None:
        name = blake2b(host.encode(), digest_size=8).hexdigest()
        super().__init__(f"{state}/tables-{name}.lock", "the nftables tables")


def _lock(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError as error:
        if error.errno in (EAGAIN, EACCES):
            return False
        os.close(fd)
        raise
    return True


def _is_still_at(fd: int, file: str) -> bool:
    try:
        found = os.stat(file)  # noqa: PTH116 - each call on a Path makes it into text again
        return os.path.samestat(os.fstat(fd), found)
    except FileNotFoundError:
        return False
