"""A procfs of the daemon's own, to find /proc/sys/net of ever new namespaces in.

The kernel finds a folder below /proc/sys/net among those of its name that were looked at in any
namespace; with 300 containers the first look of each takes as long as a veth pair. In a mount
that is thrown away after some looks there are few.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on all architectures
_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_LOOKS = 32
"""Until a new one takes its place: throwing one away costs as much as a few hundred looks."""

_libc = ctypes.CDLL(None, use_errno=True)


class Procfs:
    """For any number of threads. Where no procfs may be mounted, /proc is what there is."""

    def __init__(self) -> None:
        self._mount: _Mount | None = None
        self._left = 0

    def folder(self, name: str) -> int:
        """An O_PATH descriptor of /proc/sys/net/NAME, of this thread's network namespace.

        Raises OSError.
        """
        if self._left <= 0:
            self._left = _LOOKS
            self._mount = _mounted()
        self._left -= 1
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        mount = self._mount
        if mount is None:
            return os.open(f"/proc/sys/net/{name}", flags)
        return os.open(f"sys/net/{name}", flags, dir_fd=mount.descriptor)


class _Mount:
    """Closed when the last thread that looks has let go of it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


def _mounted() -> _Mount | None:
    """`mount -t proc`, seen by nobody else (fsmount(2), Linux 5.2); None where it is refused."""
    with suppress(OSError):
        context = _call(_FSOPEN, b"proc", _CLOEXEC)
        try:
            _call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
            return _Mount(_call(_FSMOUNT, context, _CLOEXEC, 0))
        finally:
            os.close(context)
    return None


def _call(number: int, *arguments: bytes | int | None) -> int:
    done = int(_libc.syscall(number, *arguments))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done
