"""Sysctls of a network namespace, through /proc/sys/net.

/proc/sys/net shows the namespace of the thread that opens it, so the thread enters the
namespace for that; nothing of the mount that /proc belongs to matters.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.errors import ConfigError, KernelError
from .namespaces import entered

if TYPE_CHECKING:
    from .procfs import Procfs

_ROOT = "/proc/sys/net"
_SWAPPED = str.maketrans("./", "/.")
_NO_NAMES = {"", ".", ".."}


def path(key: str) -> str:
    """The file of `key`, "ipv4/ip_forward" or "ipv4.ip_forward".

    The first separator decides, as with sysctl(8): after a dot, a slash stands for a dot
    (of a VLAN interface's name). Raises `ConfigError` for what is no key below net.
    """
    dotted = "." in key.partition("/")[0]
    name = key.translate(_SWAPPED) if dotted else key
    parts = name.split("/")
    if len(parts) < 2 or "\0" in name or not _NO_NAMES.isdisjoint(parts):
        raise ConfigError(f"sysctl key {key!r} is not a path below {_ROOT}")
    return f"{_ROOT}/{name}"


class Folders:
    """Folders below /proc/sys/net as one namespace has them, open until `close`.

    To find one by its path takes the kernel longer the more namespaces there are: see `procfs`,
    which a daemon gives here. Threads may share it.
    """

    def __init__(self, procfs: Procfs | None = None) -> None:
        self._open: dict[str, int] = {}
        self._procfs = procfs

    def place(self, file: str) -> tuple[int, str]:
        """`file`, below /proc/sys/net, as a folder's descriptor and the rest. Raises OSError."""
        folder, _, rest = file.removeprefix(f"{_ROOT}/").partition("/")
        found = self._open.get(folder)
        if found is None:
            opened = self._look_up(folder)
            found = self._open.setdefault(folder, opened)
            if found != opened:
                os.close(opened)
        return found, rest

    def _look_up(self, folder: str) -> int:
        if self._procfs is not None:
            return self._procfs.folder(folder)
        return os.open(f"{_ROOT}/{folder}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


def _open(file: str, flags: int, folders: Folders | None) -> int:
    if folders is None:
        return os.open(file, flags | os.O_CLOEXEC)
    folder, rest = folders.place(file)
    return os.open(rest, flags | os.O_CLOEXEC, dir_fd=folder)


def read(namespace: int, key: str, folders: Folders | None = None) -> str | None:
    """`sysctl -n net.KEY` in the namespace; None where the kernel has no such key.

    `folders` are that namespace's.
    """
    file = path(key)
    with entered(namespace):
        try:
            fd = _open(file, os.O_RDONLY, folders)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refusal(f"sysctl net/{key} can't be read", error) from error
        try:
            return os.read(fd, 65536).decode(errors="replace").strip()
        except IsADirectoryError:
            return None
        except OSError as error:
            raise _refusal(f"sysctl net/{key} can't be read", error) from error
        finally:
            os.close(fd)


def write(
    namespace: int,
    key: str,
    value: str,
    *,
    optional: bool = False,
    folders: Folders | None = None,
) -> None:
    """`sysctl -w net.KEY=VALUE` in the namespace.

    With `optional`, a key that is not there or that nobody may write (/proc/sys is
    read-only in many containers) is passed over. Raises `KernelError`.
    """
    file = path(key)
    with entered(namespace):
        try:
            fd = _open(file, os.O_WRONLY, folders)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            if not (optional and error.errno in _PASSED_OVER):
                raise _refusal(f"sysctl net/{key} can't be set to {value!r}", error) from error


def same(one: str, other: str) -> bool:
    """Whether two values are equal but for spacing: "1 2" is "1\\t2"."""
    return one.split() == other.split()


_PASSED_OVER = (errno.ENOENT, errno.ENOTDIR, errno.EROFS)
_REASONS = {
    errno.ENOENT: "the kernel has no such key here",
    errno.EROFS: "/proc/sys is mounted read-only here",
    errno.EINVAL: "the kernel does not accept the value",
}


def _refusal(what: str, error: OSError) -> KernelError:
    code = error.errno or 0
    reason = _REASONS.get(code, error.strerror)
    if code == errno.ENOENT and not Path(_ROOT).is_dir():
        reason = f"there is no {_ROOT} here; is /proc mounted?"
    return KernelError(f"{what}: {reason}", errno=code)
