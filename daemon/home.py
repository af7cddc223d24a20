"""The daemon's place in the file system: its directory, its lock, its socket.

One daemon per state directory: whoever holds the open-file-description lock on
`pynetd.lock`, which the kernel frees at its death. The socket is put in place by rename,
so that a caller finds the old one or the new one and never none.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..store.locks import FileLock

BACKLOG = 1024
_FIRST_ACTIVATED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START


class NotOurs(Exception):
    """The directory can't hold our state: what is wrong with it, and what to do."""


def prepare(state: Path) -> None:
    """`mkdir -p -m 700 STATE`. Raises `NotOurs`, OSError."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = state.stat()
    if status.st_uid != os.geteuid():
        raise NotOurs(f"{state} belongs to uid {status.st_uid}; this is uid {os.geteuid()}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise NotOurs(f"others can write to {state}: chmod 700 {state}")


def lock(state: Path) -> FileLock | None:
    """The daemon's lock, held; None where another daemon holds it. Raises `StoreError`."""
    held = FileLock(state / "pynetd.lock")
    return held if held.try_acquire() else None


@dataclass(frozen=True)
class Listener:
    """A listening socket, and the file that is ours to remove (None: systemd's)."""

    socket: socket.socket
    path: Path | None = None
    inode: int = 0

    @property
    def is_reachable(self) -> bool:
        """Whether a caller that opens the path still comes to us."""
        if self.path is None:
            return True
        try:
            return self.path.lstat().st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """No new caller comes; threads in `accept` come back. systemd's socket is left to it."""
        if self.path is None:
            return
        if self.is_reachable:
            with suppress(OSError):
                self.path.unlink()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


def listen(path: Path) -> Listener:
    """A socket at `path`, mode 0600, in place of whatever is there. Raises OSError."""
    temporary = f".{path.name}.{os.getpid()}"
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # By way of the descriptor: a socket's address holds 107 bytes, a path may be longer.
        address = f"/proc/self/fd/{directory}/{temporary}"
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        server.bind(address)
        os.chmod(temporary, 0o600, dir_fd=directory)
        server.listen(BACKLOG)
        inode = os.stat(temporary, dir_fd=directory, follow_symlinks=False).st_ino
        os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)
    return Listener(server, path, inode)


def activated() -> Listener | None:
    """The socket systemd opened for us (sd_listen_fds(3)); None where it did not."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if not os.environ.get("LISTEN_FDS", "").isdigit() or int(os.environ["LISTEN_FDS"]) < 1:
        return None
    os.set_inheritable(_FIRST_ACTIVATED, False)
    server = socket.socket(fileno=_FIRST_ACTIVATED)
    server.setblocking(True)
    return Listener(server)
