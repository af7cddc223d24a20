"""The tables of iptables-legacy, as far as it can be told whether somebody changed them.

The kernel tells nobody of a change, and counts none. So the rules are read, as iptables does, and
compared. Layouts are those of linux/netfilter_ipv4/ip_tables.h and its twin for IPv6.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from typing import NamedTuple

from ...model.blake2 import blake2b
from ...model.errors import KernelError

_TABLE = b"filter".ljust(32, b"\0")
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO_BYTES = 84
_SIZE_AT = 80
_UNDERFLOW_AT = 56
"""Where of each hook stands which rule is its policy."""
_FORWARD = 2
_TARGET_BYTES = 32
"""Of a target, before its verdict."""
_DROP = -1
"""As a verdict is written: NF_DROP, negative, less one."""
_ENTRIES_AT = 40
_COUNTERS_BYTES = 16
_ATTEMPTS = 5


class _Family(NamedTuple):
    """`level` is the option's. In an entry stand its counters, and the next one's offset."""

    domain: int
    level: int
    next_at: int
    counters_at: int


_FAMILIES = {
    4: _Family(socket.AF_INET, 0, 90, 96),
    6: _Family(socket.AF_INET6, 41, 142, 152),
}


def fingerprint(version: int) -> bytes:
    """Of the filter table of the calling thread's namespace: another for every other set of rules.

    Where there is no such table the kernel makes one. Raises `KernelError`.
    """
    family = _FAMILIES[version]
    try:
        with socket.socket(family.domain, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            rules = bytearray(_entries(sock, family))
    except OSError as error:
        raise _unreadable(error) from error
    offset = 0
    while offset + family.counters_at + _COUNTERS_BYTES <= len(rules):
        (following,) = struct.unpack_from("=H", rules, offset + family.next_at)
        counters = offset + family.counters_at
        rules[counters : counters + _COUNTERS_BYTES] = bytes(_COUNTERS_BYTES)
        if not following:
            break
        offset += following
    return blake2b(rules, digest_size=16).digest()


def drops_forwarded(version: int) -> bool:
    """Whether its policy for what is forwarded is DROP. Raises `KernelError`."""
    family = _FAMILIES[version]
    try:
        with socket.socket(family.domain, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            info = _ask(sock, family, _GET_INFO, _TABLE.ljust(_INFO_BYTES, b"\0"))
            rules = _entries(sock, family)
    except OSError as error:
        raise _unreadable(error) from error
    try:
        (policy,) = struct.unpack_from("=I", info, _UNDERFLOW_AT + 4 * _FORWARD)
        (target,) = struct.unpack_from("=H", rules, policy + family.next_at - 2)
        (verdict,) = struct.unpack_from("=i", rules, policy + target + _TARGET_BYTES)
    except struct.error:  # changed in between
        return drops_forwarded(version)
    return int(verdict) == _DROP


def _unreadable(error: OSError) -> KernelError:
    return KernelError(
        f"iptables-legacy's tables can't be read: {error.strerror}", errno=error.errno or 0
    )


def _entries(sock: socket.socket, family: _Family) -> bytes:
    """Raises OSError."""
    for attempt in range(_ATTEMPTS):
        info = _ask(sock, family, _GET_INFO, _TABLE.ljust(_INFO_BYTES, b"\0"))
        (size,) = struct.unpack_from("=I", info, _SIZE_AT)
        asked = _TABLE + struct.pack("=II", size, 0) + bytes(size)
        try:
            return _ask(sock, family, _GET_ENTRIES, asked)[_ENTRIES_AT:]
        except OSError:  # EAGAIN: somebody changed them in between
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _ask(sock: socket.socket, family: _Family, option: int, asked: bytes) -> bytes:
    """`socket.getsockopt` hands no question in."""
    held = ctypes.create_string_buffer(asked, len(asked))
    length = ctypes.c_uint(len(asked))
    if _getsockopt(sock.fileno(), family.level, option, held, ctypes.byref(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return held.raw


_getsockopt = ctypes.CDLL(None, use_errno=True).getsockopt
