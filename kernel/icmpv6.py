"""ICMPv6 messages in packets, as neighbour discovery has them (RFC 4861): hop limit 255."""

from __future__ import annotations

import socket
from struct import Struct

from .checksum import checksum

ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT = 133, 134
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 135, 136
HOP_LIMIT = 255
"""Whoever sees another one knows that the packet came through a router (RFC 4861, 7.1)."""

HEADER = Struct("!IHBB16s16s")
"""RFC 8200, section 3."""
_CHECKSUM = slice(2, 4)


def packet(source: bytes, destination: bytes, message: bytes) -> bytes:
    """`message` with 0 for its checksum, which is filled in."""
    length = len(message)
    pseudo = source + destination + length.to_bytes(4, "big") + bytes(3)
    total = checksum(pseudo + bytes((socket.IPPROTO_ICMPV6,)) + message)
    whole = bytearray(message)
    whole[_CHECKSUM] = total.to_bytes(2, "big")
    fields = 6 << 28, length, socket.IPPROTO_ICMPV6, HOP_LIMIT
    return HEADER.pack(*fields, source, destination) + bytes(whole)
