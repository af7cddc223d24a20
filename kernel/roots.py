"""A caller's root directory: the only way its paths are opened, whatever they mean to us.

Rules that hold here:
- No path, and no link on its way, leads out of the root (`openat2`, RESOLVE_IN_ROOT).
- What is opened may be anything: opening never waits, and makes no terminal ours.
- A thread that goes to another mount namespace never comes back: it ends.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from ..model.errors import CniError, Code
from ..model.exhaustion import is_exhaustion
from ..model.value import Value
from . import threads
from .namespaces import check

CLONE_NEWNS = 0x00020000  # linux/sched.h
_CLONE_FS = 0x00000200
_NS_GET_USERNS = 0xB701  # _IO(NSIO, 1), linux/nsfs.h
_OPENAT2 = 437  # asm-generic/unistd.h: the same on every machine
_RESOLVE_IN_ROOT = 0x10  # linux/openat2.h
_AT_EMPTY_PATH = 0x1000  # linux/fcntl.h
_STATX_WANTED = 0x1101  # linux/stat.h: type, inode, mount
_CAPABILITIES = 1 << 18 | 1 << 21  # linux/capability.h: CAP_SYS_CHROOT, CAP_SYS_ADMIN
_NEVER_WAITING = os.O_NONBLOCK | os.O_NOCTTY
_ATTEMPTS = 100
_LARGEST = 1 << 20
_NULL = os.makedev(1, 3)
"""/dev/null, which stands for an empty file."""
_OURS = "/proc/self/fd"
_ORDER = sys.byteorder

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Found(NamedTuple):
    """What stands at a path: its mode, and the name it has once every link was followed."""

    mode: int
    name: str


class Root(Value):
    """Descriptors of a root directory and, where it is not this process's, its mount namespace.

    Without either it is this process's own root, and paths are opened as they stand.
    """

    directory: int | None = None
    mounts: int | None = None

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of what stands at `path`, to be closed by the caller. Raises OSError."""
        flags |= os.O_CLOEXEC
        if not flags & os.O_PATH:
            flags |= _NEVER_WAITING
        if self.directory is None:
            return os.open(path, flags)
        return _open_below(self.directory, path, flags)

    def find(self, path: str) -> Found | None:
        """None where nothing is, or nothing that can be reached.

        Raises OSError where that can't be told for want of a descriptor.
        """
        try:
            fd = self.open(path, os.O_PATH)
        except (OSError, ValueError) as error:
            if is_exhaustion(error):
                raise
            return None
        try:
            name = os.readlink(f"{_OURS}/{fd}").rpartition("/")[2]  # noqa: PTH115
            return Found(os.fstat(fd).st_mode, name)
        finally:
            os.close(fd)

    def text(self, path: str) -> str:
        """What a file holds. Raises OSError, also for what is no file, or larger than 1 MiB."""
        fd = self.open(path)
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISDIR(mode):
                raise _failure(errno.EISDIR, path)
            if not (stat.S_ISREG(mode) or os.fstat(fd).st_rdev == _NULL):
                raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", path)
            return _read(fd, path).decode(errors="replace")
        finally:
            os.close(fd)

    def remove(self, path: str) -> None:
        """`rm PATH`. Raises OSError."""
        folder = self.open(str(PurePosixPath(path).parent), os.O_PATH | os.O_DIRECTORY)
        try:
            os.unlink(PurePosixPath(path).name, dir_fd=folder)
        finally:
            os.close(folder)

    def network_namespace(self, path: str) -> int:
        """A descriptor of the network namespace at `path`. Raises OSError, `NamespaceError`."""
        fd = self._open_namespace(path)
        try:
            check(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _open_namespace(self, path: str) -> int:
        try:
            return self.open(path)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EXDEV):
                raise
        # /proc/PID/ns/net is no path's end for the kernel, but a jump. It is followed only where
        # it is seen to be one.
        parts = PurePosixPath(path)
        folder = self.open(str(parts.parent), os.O_PATH | os.O_DIRECTORY)
        try:
            if not os.readlink(parts.name, dir_fd=folder).startswith("net:["):
                raise _failure(errno.ELOOP, path)
            return os.open(parts.name, os.O_CLOEXEC | _NEVER_WAITING, dir_fd=folder)
        finally:
            os.close(folder)

    def within(self, start: Callable[[], T]) -> T:
        """`start`, called where what it starts is at home in this root and its mount namespace.

        A thread goes there, and children inherit their thread's place. The road not taken, a
        program between that goes there and becomes the other: it costs an execution, and of what
        fails there only an exit status would come back. Raises what `start` raises; `CniError`
        where this process can't go there.
        """
        if self.directory is None:
            return start()
        results: list[T] = []
        with _opened("/", os.O_PATH | os.O_DIRECTORY) as home:

            def visit() -> None:
                _call(_libc.unshare, _CLONE_FS)  # root and directory, from the other threads
                try:
                    _go(self)
                    results.append(start())
                finally:
                    _let_go(home)

            threads.run(visit)
        return results[0]


OWN = Root()
"""This process's own."""


def _go(root: Root) -> None:
    """This thread, to `root`: `nsenter --mount=... chroot ...`. Raises `CniError`."""
    assert root.directory is not None
    try:
        if root.mounts is not None:
            _call(_libc.setns, root.mounts, CLONE_NEWNS)
        os.fchdir(root.directory)
        os.chroot(".")
    except OSError as error:
        raise CniError(
            f"can't enter the caller's mount namespace and root directory: {error.strerror}; "
            "PYNET_DAEMON=never does without the daemon",
            code=Code.IO_FAILURE,
        ) from error


def _let_go(home: int) -> None:
    """Of the root that this thread is in: it may end a moment after it was waited for.

    Until then what is mounted there could not be unmounted.
    """
    with suppress(OSError):
        os.fchdir(home)
        os.chroot(".")


# --- whose root it is -----------------------------------------------------------------------


class Identity(NamedTuple):
    """What tells a directory from all others, and from itself by way of another mount."""

    device: tuple[int, int]
    inode: int
    mount: int


def identity(fd: int) -> Identity | None:
    """Of the directory `fd`; None where it is none, or the C library can't tell. Raises OSError."""
    if not hasattr(_libc, "statx"):
        return None
    data = ctypes.create_string_buffer(256)  # struct statx
    _call(_libc.statx, fd, b"", _AT_EMPTY_PATH, _STATX_WANTED, data)
    raw = data.raw

    def number(at: int, size: int) -> int:
        return int.from_bytes(raw[at : at + size], _ORDER)

    if not stat.S_ISDIR(number(28, 2)):
        return None
    return Identity((number(136, 4), number(140, 4)), number(32, 8), number(144, 8))


def own_identity() -> Identity | None:
    """Of this process's root. Raises OSError."""
    with _opened("/", os.O_PATH | os.O_DIRECTORY) as fd:
        return identity(fd)


@cache
def can_be_entered() -> bool:
    """Whether this process may open below another root, and go there. Raises OSError for now."""
    try:
        with _opened("/", os.O_PATH | os.O_DIRECTORY) as fd:
            os.close(_open_below(fd, ".", os.O_PATH | os.O_CLOEXEC))
        with open("/proc/self/status") as file:  # noqa: PTH123
            held = next(line for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration) as error:  # a kernel before 5.6, or a filter of system calls
        if is_exhaustion(error):
            raise  # that must not be remembered
        return False
    return int(held.split()[1], 16) & _CAPABILITIES == _CAPABILITIES


def owner(mounts: int) -> int:
    """A descriptor of the user namespace that owns the namespace `mounts`. Raises OSError."""
    fd: int = fcntl.ioctl(mounts, _NS_GET_USERNS)
    os.set_inheritable(fd, False)
    return fd


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


# --- system calls ---------------------------------------------------------------------------


def _open_below(root: int, path: str, flags: int) -> int:
    """`open` as a process with the root `root` would. Raises OSError, `ValueError`."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    how = _How(flags, 0, _RESOLVE_IN_ROOT)
    for _ in range(_ATTEMPTS):
        fd: int = _libc.syscall(_OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):  # something was renamed or mounted meanwhile
            break
    raise _failure(code, path)


def _call(function: Callable[..., int], *arguments: object) -> None:
    """Raises OSError."""
    if function(*arguments) < 0:
        raise _failure(ctypes.get_errno())


def _failure(code: int, path: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), path)


def _read(fd: int, path: str) -> bytes:
    data = bytearray()
    while part := os.read(fd, 1 << 16):
        data += part
        if len(data) > _LARGEST:
            raise _failure(errno.EFBIG, path)
    return bytes(data)
