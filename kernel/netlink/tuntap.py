"""/dev/net/tun: Ethernet interfaces whose other end is a program (tuntap.rst).

Rules that hold here:
- An interface comes into being in the namespace of whoever opens the device, and goes when the
  device is closed, unless it was told to stay: killed in between, nobody leaves one.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

from ...model.errors import KernelError
from .. import namespaces

_PATH = "/dev/net/tun"
# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_TUNSETGROUP = 0x400454CE
IFF_TAP = 0x0002
_IFF_MULTI_QUEUE = 0x0100
_IFF_NO_PI = 0x1000
_IFF_TUN_EXCL = 0x8000
_IFREQ = struct.Struct("16sH22x")


@contextmanager
def made(namespace: int, name: str, *, multi_queue: bool) -> Iterator[int]:
    """`ip tuntap add NAME mode tap [multi_queue]` in `namespace`, for as long as this lasts.

    The descriptor of its device. Raises `KernelError`; errno is EBUSY for a tap of that name, and
    EINVAL for another link of that name.
    """
    flags = IFF_TAP | _IFF_NO_PI | _IFF_TUN_EXCL | (_IFF_MULTI_QUEUE if multi_queue else 0)
    with namespaces.entered(namespace):
        try:
            device = os.open(_PATH, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            missing = error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO)
            hint = "; `modprobe tun`, or give this machine or container the device" * missing
            raise _refused(f"{_PATH}", error, hint) from error
    try:
        with _telling(f"ip tuntap add {name} mode tap"):
            ioctl(device, _TUNSETIFF, _IFREQ.pack(name.encode(), flags))
        yield device
    finally:
        os.close(device)


def keep(device: int, name: str, owner: int | None, group: int | None) -> None:
    """`ip tuntap add ... user OWNER group GROUP`: they may open it. It stays from now on.

    Raises `KernelError`.
    """
    with _telling(f"ip tuntap add {name} mode tap user {owner} group {group}"):
        if owner is not None:
            ioctl(device, _TUNSETOWNER, _as_int(owner))
        if group is not None:
            ioctl(device, _TUNSETGROUP, _as_int(group))
        ioctl(device, _TUNSETPERSIST, 1)


def _as_int(number: int) -> int:
    """The `int` of the same 32 bits: ids have no sign, and Python's `ioctl` takes none of 2**31."""
    return number - (1 << 32) if number >> 31 else number


@contextmanager
def _telling(command: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refused(f"`{command}`", error) from error


def _refused(what: str, error: OSError, hint: str = "") -> KernelError:
    return KernelError(f"{what}: {error.strerror}{hint}", errno=error.errno or 0)
