"""Network namespaces: open one, check it, work inside one, tell one from another.

Rules that hold here:
- A thread that enters a namespace comes back, whatever happens; if it can't, the process
  dies, because anything it did from then on would be done to somebody else's network. The
  journal makes dying safe.
- Descriptors are O_CLOEXEC.
- Namespaces are told apart by cookie: inode numbers are reused at once, and paths lie.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import sleep
from types import TracebackType

from ..model.errors import NamespaceError

CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703  # _IO(NSIO, 3), linux/nsfs.h
_SIOCGSKNS = 0x894C  # linux/sockios.h
_SO_NETNS_COOKIE = 71  # asm-generic/socket.h, Linux 5.14
_CURRENT = Path("/proc/thread-self/ns/net")
_ATTEMPTS = 500
_PAUSE = 0.01
"""Seconds between attempts to come back from a namespace, while there is no memory for it."""
_KINDS = {  # linux/sched.h
    0x00020000: "mount",
    0x02000000: "cgroup",
    0x04000000: "UTS",
    0x08000000: "IPC",
    0x10000000: "user",
    0x20000000: "PID",
    0x00000080: "time",
}
_FILES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a regular file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}

if sys.version_info >= (3, 12):

    def setns(fd: int) -> None:
        """Put this thread into the network namespace `fd`. Raises OSError."""
        os.setns(fd, CLONE_NEWNET)

    def _unshare() -> None:
        os.unshare(CLONE_NEWNET)

else:
    import ctypes

    _libc = ctypes.CDLL(None, use_errno=True)

    def setns(fd: int) -> None:
        """Put this thread into the network namespace `fd`. Raises OSError."""
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def _unshare() -> None:
        if _libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unshare() -> None:
    """`unshare -n`, for this thread. Raises OSError."""
    _unshare()
    _here.forget()


def open_namespace(path: str) -> int:
    """A descriptor of the network namespace at `path`.

    Raises `FileNotFoundError` where nothing is there (whether that is an error depends on
    the command), `NamespaceError` where it is something else or can't be opened.
    """
    try:
        # Opening a pipe or a device could block, or start something.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NamespaceError(f"network namespace {path}: {error.strerror}") from error
    try:
        check(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check(fd: int, path: str) -> None:
    """Raises `NamespaceError` saying what `fd`, opened from `path`, is instead of a netns."""
    try:
        kind = fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        found = _FILES.get(stat.S_IFMT(os.fstat(fd).st_mode), "not a namespace")
        hint = "; was it unmounted?" if found == "a regular file" else ""
        raise NamespaceError(f"{path} is {found}, not a network namespace{hint}") from None
    if kind != CLONE_NEWNET:
        found = _KINDS.get(kind, "different")
        raise NamespaceError(f"{path} is a {found} namespace, not a network namespace")


def own() -> int:
    """A descriptor of the namespace this thread is in."""
    return os.open(_CURRENT, os.O_RDONLY | os.O_CLOEXEC)


def of_socket(sock: socket.socket) -> int:
    """A descriptor of the namespace that `sock` was opened in, by no mount of anybody's.

    Raises OSError.
    """
    fd: int = fcntl.ioctl(sock, _SIOCGSKNS)
    os.set_inheritable(fd, False)
    return fd


def same(one: int, other: int) -> bool:
    """Whether two descriptors, both open now, are of one namespace."""
    return os.path.samestat(os.fstat(one), os.fstat(other))


def identity(fd: int) -> tuple[int, int]:
    """What tells `fd`'s namespace from all others, for as long as something keeps it open."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def is_current(fd: int) -> bool:
    """Whether this thread is in `fd`'s namespace already."""
    status = _CURRENT.stat()
    return identity(fd) == (status.st_dev, status.st_ino)


class _Home:
    """The namespace this thread is in now, open for as long as the thread lives."""

    def __init__(self) -> None:
        self.descriptor = own()

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self.descriptor)


class _Whereabouts(threading.local):
    """Where this thread is: `inside` what it has entered, else at home.

    Home is where it was when it first entered anything. Asking the kernel each time means
    looking up a path in /proc, which costs more than entering.
    """

    inside: int | None = None
    home: _Home | None = None

    def descriptor(self) -> int:
        if self.inside is not None:
            return self.inside
        if self.home is None:
            self.home = _Home()
        return self.home.descriptor

    def forget(self) -> None:
        """Home may be elsewhere by now."""
        self.home = None


_here = _Whereabouts()
# A child of ours may go anywhere before it comes here.
os.register_at_fork(after_in_child=_here.forget)


class entered:
    """This thread works inside the namespace `fd`: `nsenter --net=...`.

    Raises `NamespaceError` where it may not be entered.
    """

    __slots__ = ("_before", "_fd", "_outer")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: int | None = None
        self._outer: int | None = None

    def __enter__(self) -> None:
        fd, before = self._fd, _here.descriptor()
        if same(fd, before):
            return
        try:
            setns(fd)
        except OSError as error:
            needs = "; that needs CAP_SYS_ADMIN here and in the namespace's user namespace"
            hint = needs if error.errno == errno.EPERM else ""
            raise NamespaceError(
                f"can't enter the network namespace: {error.strerror}{hint}"
            ) from error
        self._before = before
        self._outer, _here.inside = _here.inside, fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            _here.inside = self._outer
            _come_back(self._before)


def _come_back(home: int) -> None:
    for left in reversed(range(_ATTEMPTS)):
        try:
            return setns(home)
        except OSError as error:
            if error.errno == errno.ENOMEM and left:
                sleep(_PAUSE)  # there is nothing to lose by waiting
                continue
            with suppress(OSError):
                os.write(2, f"pynet: lost in a foreign namespace: {error}\n".encode())
            os.abort()


def cookie(sock: socket.socket) -> int:
    """The number of the namespace `sock` was opened in, unique until the next boot."""
    raw = sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    return int.from_bytes(raw, sys.byteorder)
