"""What a frame has to do with a probe: it asks, answers, or reports an error. No I/O.

A probe is told by its token in the payload, which no translation of addresses changes, and the
first packet of a TCP connection, which has no payload yet, by its sequence number. Neither asks
for the headers around it, so both are found inside a tunnel too.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from .listeners import backwards
from .taps import Frame

Role = Literal["question", "answer", "error", ""]

_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_ETHERNET = 14
_ICMP, _ICMPV6, _TCP = 1, 58, 6
_ECHO_HEADER = 8
_ECHOES: dict[int, Role] = {8: "question", 128: "question", 0: "answer", 129: "answer"}
_ERRORS = {_ICMP: (3, 11, 12), _ICMPV6: (1, 2, 3, 4)}
_SYN, _ACK = 0x02, 0x10
_SOLICITATION, _ADVERTISEMENT = 135, 136  # RFC 4861
_SEQUENCE = struct.Struct("!I")


class Packet(NamedTuple):
    """An IP packet in a frame; `at` is where its payload begins."""

    protocol: int
    source: str
    destination: str
    at: int


@dataclass(frozen=True)
class Marks:
    """What a probe is known by: a token that comes back backwards, or in an echo as it is."""

    token: bytes = b""
    echo: bytes = b""
    sequences: frozenset[int] = frozenset()

    def role(self, data: bytes) -> Role:
        """What the frame has to do with the probe; "" for nothing."""
        role = self._role(data)
        return "error" if role and _is_error(data) else role

    def with_connections(self, frames: Iterable[Frame], port: int, address: str) -> Marks:
        """These, and the sequence numbers of the connections begun to that port and address."""
        wanted = str(ipaddress.ip_address(address))
        found = {
            number
            for frame in frames
            if (number := _connection(frame.data, port, wanted)) is not None
        }
        return replace(self, sequences=self.sequences | found)

    def _role(self, data: bytes) -> Role:
        if self.echo and (at := data.find(self.echo)) >= _ECHO_HEADER:
            return _ECHOES.get(data[at - _ECHO_HEADER], "")
        if self.token and self.token in data:
            return "question"
        if self.token and backwards(self.token) in data:
            return "answer"
        for number in self.sequences:
            if _has(data, number, 4, _SYN, _ACK):
                return "question"
            if _has(data, number + 1 & 0xFFFFFFFF, 8, _ACK, 0):
                return "answer"
        return ""


def packet(data: bytes) -> Packet | None:
    """The IP packet in an Ethernet frame, if that is what it holds; no options are read."""
    kind = int.from_bytes(data[12:14], "big")
    inner = data[_ETHERNET:]
    if kind == _IPV4 and len(inner) >= 20:
        source, destination = (ipaddress.IPv4Address(inner[at : at + 4]) for at in (12, 16))
        return Packet(inner[9], str(source), str(destination), _ETHERNET + (inner[0] & 15) * 4)
    if kind == _IPV6 and len(inner) >= 40:
        near, far = (ipaddress.IPv6Address(inner[at : at + 16]) for at in (8, 24))
        return Packet(inner[6], str(near), str(far), _ETHERNET + 40)
    return None


def asked_for(data: bytes) -> str:
    """The address whose MAC the frame asks for (ARP, or a neighbour solicitation), or ""."""
    return _resolution(data, 1, _SOLICITATION)


def told_of(data: bytes) -> str:
    """The address whose MAC the frame tells, or ""."""
    return _resolution(data, 2, _ADVERTISEMENT)


def _resolution(data: bytes, operation: int, message: int) -> str:
    if data[12:14] == _ARP.to_bytes(2, "big") and len(data) >= _ETHERNET + 28:
        if int.from_bytes(data[20:22], "big") != operation:
            return ""
        at = 38 if operation == 1 else 28  # the one asked for, or the one who answers
        return str(ipaddress.IPv4Address(data[at : at + 4]))
    found = packet(data)
    if found is None or found.protocol != _ICMPV6 or len(data) < found.at + 24:
        return ""
    if data[found.at] != message:
        return ""
    return str(ipaddress.IPv6Address(data[found.at + 8 : found.at + 24]))


def _is_error(data: bytes) -> bool:
    found = packet(data)
    if found is None or len(data) <= found.at:
        return False
    return data[found.at] in _ERRORS.get(found.protocol, ())


def _connection(data: bytes, port: int, address: str) -> int | None:
    """The sequence number with which it begins a connection there."""
    found = packet(data)
    if found is None or (found.protocol, found.destination) != (_TCP, address):
        return None
    header = data[found.at : found.at + 20]
    if len(header) < 20 or int.from_bytes(header[2:4], "big") != port:
        return None
    number: int = _SEQUENCE.unpack_from(header, 4)[0]
    return number if header[13] & (_SYN | _ACK) == _SYN else None


def _has(data: bytes, number: int, offset: int, wanted: int, unwanted: int) -> bool:
    """Whether there is a TCP header with that number `offset` bytes into it, and these flags."""
    pattern = _SEQUENCE.pack(number)
    at = data.find(pattern, _ETHERNET)
    while at >= 0:
        flags = at - offset + 13
        if flags < len(data) and data[flags] & wanted and not data[flags] & unwanted:
            return True
        at = data.find(pattern, at + 1)
    return False
