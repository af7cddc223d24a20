"""The checksum of the internet's protocols (RFC 1071)."""

from __future__ import annotations

import socket
import sys
from array import array


def checksum(data: bytes) -> int:
    """What includes its own is 0."""
    words = array("H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    total = ~total & 0xFFFF
    return socket.htons(total) if sys.byteorder == "little" else total
