"""Writes what passes an interface into a file that tcpdump and Wireshark read.

The file format is libpcap's, with nanoseconds:
https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..lab.forked import LabError
from .taps import ETH_P_ALL, stamped, time_of

if TYPE_CHECKING:
    from ..lab.place import Place

_HEADER = struct.Struct("=IHHiIII")  # magic, version, time zone, accuracy, longest frame, link type
_RECORD = struct.Struct("=IIII")  # seconds, nanoseconds, bytes here, bytes of the frame
_MAGIC = 0xA1B23C4D  # of files with nanoseconds
_ETHERNET = 1  # LINKTYPE_ETHERNET
_LONGEST = 262144

_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # linux/if_packet.h
_AUXDATA = struct.Struct("=IIIHHHH")  # status, lengths, offsets, VLAN tag, its protocol
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_VLAN = 0x8100
_ADDRESSES = 12


class Capture:
    """A capture under way; `packets` says how many it took, once it has ended."""

    def __init__(self) -> None:
        self.packets = 0


@contextmanager
def capture(place: Place, interface: str, path: str | Path) -> Iterator[Capture]:
    """All frames that pass `interface` of `place` in the `with` block, in a file at `path`.

    Raises `OSError` where the file can't be written, `LabError` where there is no such interface.
    """
    taken = Capture()
    with Path(path).open("wb") as file:
        ready, told = socket.socketpair()
        with ready, told:
            writer = place.fork_call(_write, interface, file, told)
            try:
                started = _heard(ready, writer.pid)
                if not started:
                    writer.wait()  # raises what stopped it
                yield taken
            except BaseException:
                with suppress(OSError, LabError):
                    writer.end()
                raise
            ready.send(b"end")
            taken.packets = writer.wait()


def _heard(ready: socket.socket, pid: int) -> bool:
    """Whether the process says that it has begun; it may end instead."""
    process = os.pidfd_open(pid)
    try:
        select.select([ready.fileno(), process], [], [])
        with suppress(BlockingIOError):
            return bool(ready.recv(1, socket.MSG_DONTWAIT))
        return False
    finally:
        os.close(process)


def _write(interface: str, file: BinaryIO, orders: socket.socket) -> int:
    """Write until told to end; how many frames there were."""
    count = 0
    buffer = bytearray(_LONGEST)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as tap:
        stamped(tap)
        tap.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        try:
            tap.bind((interface, ETH_P_ALL))
        except OSError as error:
            there = ", ".join(name for _, name in socket.if_nameindex())
            raise LabError(
                f"nothing can be captured at {interface!r}: {error.strerror}; there is {there}"
            ) from None
        file.write(_HEADER.pack(_MAGIC, 2, 4, 0, 0, _LONGEST, _ETHERNET))
        orders.send(b"!")
        ending = False
        while not ending:
            ending = orders in select.select([tap, orders], [], [])[0]
            for record in _records(tap, buffer):
                file.write(record)
                count += 1
        file.flush()
    return count


def _records(tap: socket.socket, buffer: bytearray) -> Iterator[bytes]:
    while True:
        try:
            size, ancillary, _, _ = tap.recvmsg_into([buffer], 512)
        except BlockingIOError:
            return
        except OSError:  # the interface went down, which is told once
            continue
        frame = _with_tag(bytes(buffer[:size]), ancillary)
        seconds, nanoseconds = divmod(time_of(ancillary), 1_000_000_000)
        yield _RECORD.pack(seconds, nanoseconds, len(frame), len(frame)) + frame


def _with_tag(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The frame with its VLAN tag, which the kernel keeps beside it."""
    for level, kind, about in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tag, protocol = _AUXDATA.unpack_from(about)
            if status & _VLAN_VALID:
                name = protocol if status & _VLAN_TPID_VALID else _VLAN
                middle = struct.pack("!HH", name, tag)
                return data[:_ADDRESSES] + middle + data[_ADDRESSES:]
    return data
