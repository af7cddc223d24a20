"""The daemon's and the agent's place in the file system: directory, lock, socket.

One of each per state directory: whoever holds the open-file-description lock on `pynetd.lock`,
or `agent.lock`, which the kernel frees at its death. The socket is put in place by rename, so
that a caller finds the old one or the new one and never none.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from struct import Struct

from ..model.value import Value
from ..store.locks import FileLock

BACKLOG = 1024
_FIRST_ACTIVATED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
_CREDENTIALS = Struct("iII")  # struct ucred: pid, uid, gid


def lock(state: Path, name: str = "pynetd") -> FileLock | None:
    """The lock of `name`, held; None where another process holds it. Raises `StoreError`."""
    held = FileLock(state / f"{name}.lock")
    return held if held.try_acquire() else None


class Listener(Value):
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


def connect(path: Path, seconds: float) -> socket.socket:
    """A connection to who listens at `path`; nothing on it takes longer. Raises OSError."""
    # By way of the directory: a socket's address holds 107 bytes, a path may be longer.
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def peer(connection: socket.socket) -> tuple[int, int]:
    """Pid and uid of who is at the other end, as the kernel says."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


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
