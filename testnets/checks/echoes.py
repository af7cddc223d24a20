"""ICMP echoes as bytes: what is sent, and what a raw socket hears. No I/O.

RFC 792 and RFC 4443. Each echo carries a token, which tells one round of probes from all others,
and its own number in that round.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import NamedTuple

TOKEN_SIZE = 8

_UNREACHABLE = "unreachable"
_ECHO = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
_NUMBER = struct.Struct("!I")
_BODY = TOKEN_SIZE + _NUMBER.size
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h; a bit that is set blocks its type
_ICMPV6_FILTER = 1
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3  # linux/in.h, linux/in6.h


@dataclass(frozen=True)
class Dialect:
    """ICMP of one IP version, by the numbers of its messages."""

    family: socket.AddressFamily
    protocol: int
    request: int
    reply: int
    errors: dict[int, str]
    header: int  # bytes of IP before the message, where IP has no options

    @property
    def smallest(self) -> int:
        """Bytes of the smallest IP packet that can carry a token and a number."""
        return self.header + _ECHO.size + _BODY

    def has_no_route(self, heard: Heard) -> bool:
        """Whether whoever reports this error knows no way: code 0 is that of "unreachable"."""
        return self.errors.get(heard.type) == _UNREACHABLE and heard.code == 0

    def only_echoes(self, raw: socket.socket) -> None:
        """Let the kernel drop what is neither an echo nor an error."""
        wanted = (self.request, self.reply, *self.errors)
        if self.family == socket.AF_INET:
            blocked = 0xFFFFFFFF & ~sum(1 << kind for kind in wanted)
            raw.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", blocked))
        else:
            words = [0xFFFFFFFF] * 8
            for kind in wanted:
                words[kind >> 5] &= ~(1 << (kind & 31))
            raw.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *words))

    def never_fragment(self, raw: socket.socket) -> None:
        """Refuse what is larger than the first link takes, forbid fragments, trust no memory."""
        if self.family == socket.AF_INET:
            raw.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
        else:
            raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)

    def pack(self, identifier: int, number: int, token: bytes, size: int = 0) -> bytes:
        """A request; `size` is that of the whole IP packet, or 0 for the smallest."""
        filling = bytes(max(0, size - self.smallest))
        body = token + _NUMBER.pack(number) + filling
        message = _ECHO.pack(self.request, 0, 0, identifier, number & 0xFFFF) + body
        if self.family == socket.AF_INET6:
            return message  # the kernel fills the checksum in
        return _ECHO.pack(self.request, 0, checksum(message), identifier, number & 0xFFFF) + body


class Heard(NamedTuple):
    """A message that carries our token; `code` is an error's, `identifier` of no use there."""

    type: int
    code: int
    identifier: int
    sequence: int
    number: int


V4 = Dialect(
    socket.AF_INET,
    socket.IPPROTO_ICMP,
    request=8,
    reply=0,
    errors={3: _UNREACHABLE, 11: "time exceeded"},
    header=20,
)
V6 = Dialect(
    socket.AF_INET6,
    socket.IPPROTO_ICMPV6,
    request=128,
    reply=129,
    errors={1: _UNREACHABLE, 2: "packet too big", 3: "time exceeded"},
    header=40,
)
DIALECTS = {4: V4, 6: V6}


def read(message: bytes | memoryview, token: bytes) -> Heard | None:
    """What a message, from its ICMP header on, says about an echo of this token, if it does.

    An error quotes the packet it is about, so the token is in there too.
    """
    data = bytes(message)
    at = data.find(token)
    if at < _ECHO.size or len(data) < at + _BODY:
        return None
    kind, code = data[0], data[1]
    *_, identifier, sequence = _ECHO.unpack_from(data, at - _ECHO.size)
    (number,) = _NUMBER.unpack_from(data, at + TOKEN_SIZE)
    return Heard(kind, code, identifier, sequence, number)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
