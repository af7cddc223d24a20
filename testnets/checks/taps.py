"""Taps on all interfaces of many namespaces: the frames that pass while something is tried.

A tap is a packet socket, which sees what comes in and what goes out; nothing on the way is
changed, and nobody has to be asked.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ...kernel.namespaces import entered

ETH_P_ALL = 3  # linux/if_ether.h

_TIMESTAMPNS = 35  # SO_TIMESTAMPNS and SCM_TIMESTAMPNS, asm-generic/socket.h
_TIMESPEC = struct.Struct("=qq")
_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33
_HEAD = 2048
"""Bytes of a frame that are looked at."""
_PAUSE, _PATIENCE = 0.001, 100
"""Seconds between two looks at whether frames are stamped, and how many of them."""


@dataclass(frozen=True)
class Frame:
    """A frame at an interface of a node; `time` in nanoseconds.

    `foreign`: it came in, but its MAC address is another's (a switch floods it).
    """

    time: int
    node: str
    interface: str
    outgoing: bool
    foreign: bool
    data: bytes


def stamped(tap: socket.socket) -> None:
    """Let the kernel say when it saw each frame, and keep many of them."""
    tap.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    with contextlib.suppress(OSError):  # where it is refused, the usual size will do
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)


def time_of(ancillary: list[tuple[int, int, bytes]]) -> int:
    """When the kernel saw it, in nanoseconds since 1970."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0


class Taps:
    """Taps in the namespaces of these descriptors, by node, from the start of the `with` block."""

    def __init__(self, networks: Mapping[str, int]) -> None:
        self._networks = networks
        self._taps: dict[str, socket.socket] = {}

    def __enter__(self) -> Taps:
        try:
            for node, network in self._networks.items():
                with entered(network):
                    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
                    tap = socket.socket(socket.AF_PACKET, kind, socket.htons(ETH_P_ALL))
                self._taps[node] = tap
                stamped(tap)
            _wait_for_stamps()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The kernel lets a grace period pass for each that is closed: together they share one.
        if self._taps:
            with ThreadPoolExecutor(len(self._taps)) as pool:
                list(pool.map(socket.socket.close, self._taps.values()))

    def frames(self) -> list[Frame]:
        """What has passed so far, in order of time."""
        found = [frame for node, tap in self._taps.items() for frame in _read(node, tap)]
        return sorted(found, key=lambda frame: frame.time)


def _wait_for_stamps() -> None:
    """The kernel begins to stamp a little after it is told to; until then it does when asked.

    Frames of many taps can be put in order only where they were stamped as they passed.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        stamped(own)
        own.bind(("127.0.0.1", 0))
        for _ in range(_PATIENCE):
            own.sendto(b"?", own.getsockname())
            sent = time.time_ns()
            time.sleep(_PAUSE)
            if time_of(own.recvmsg(1, 256)[1]) <= sent:
                return


def _read(node: str, tap: socket.socket) -> Iterator[Frame]:
    while True:
        try:
            data, ancillary, _, address = tap.recvmsg(_HEAD, 256)
        except BlockingIOError:
            return
        except OSError:  # an interface went down, which is told once
            continue
        interface, _, kind, *_ = address
        yield Frame(
            time_of(ancillary),
            node,
            interface,
            kind == socket.PACKET_OUTGOING,
            kind == socket.PACKET_OTHERHOST,
            data,
        )
