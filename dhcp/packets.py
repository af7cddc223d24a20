"""Packet sockets, as the clients and probes of both families need them.

They are opened in the namespace this thread is in, keep it alive, and let it go when they are
closed.
"""

from __future__ import annotations

import os
import socket
from array import array
from fcntl import ioctl
from struct import Struct, pack

from ..kernel import threads
from ..model.errors import Exhausted

Program = list[tuple[int, int, int, int]]
"""Instructions (linux/filter.h): what each does, how far to jump if so and if not, its operand."""

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_INSTRUCTION = Struct("=HBBI")
_SIOCGIFHWADDR = 0x8927  # linux/sockios.h
_IFREQ = Struct("16sH6s16x")


def opened(interface: str, protocol: int, program: Program) -> socket.socket:
    """One that receives what comes in on `interface` and `program` lets through, from the network
    header on. Raises OSError.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    try:
        code = array("B", b"".join(_INSTRUCTION.pack(*line) for line in program))
        where, _ = code.buffer_info()
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pack("HP", len(program), where))
        sock.bind((interface, protocol))  # from here on it receives
    except BaseException:
        close(sock)
        raise
    return sock


def close(sock: socket.socket) -> None:
    """Elsewhere: it waits some 20 ms, until no processor can be in it any more."""
    descriptor = sock.detach()
    if descriptor < 0:
        return
    try:
        threads.start(lambda: os.close(descriptor))
    except Exhausted:
        os.close(descriptor)


def mac_of(interface: str) -> str:
    """Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        found = ioctl(asking, _SIOCGIFHWADDR, _IFREQ.pack(interface.encode(), 0, b""))
    mac: bytes = _IFREQ.unpack(found)[2]
    return mac.hex(":")
