"""Netlink messages and attributes as bytes: packing, unpacking, nothing sent.

Layouts are those of linux/netlink.h: all integers in host order, everything padded to
4 bytes. Kept to `struct`, since a general library costs more than the whole change.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from ...model.value import Value

Item = TypeVar("Item")

PER_SEND = 128
"""Messages that go out together: they fit in a socket's send buffer, and were all of them refused,
the errors fit in its smallest receive buffer.
"""

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_ECHO = 0x08
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
"""By the last two bits of a length: what fills it up to a multiple of 4."""


class Message(Value):
    """One netlink message; `errno` is 0 for an acknowledgement and for anything not an error."""

    type: int
    flags: int
    sequence: int
    errno: int
    body: bytes


def message(type_: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A whole message: header (port 0, the kernel fills it in) and body."""
    size = len(body)
    return _HEADER.pack(16 + size, type_, flags, sequence, 0) + body + _PADDING[size & 3]


def attribute(type_: int, value: bytes) -> bytes:
    """One attribute: length, type, value, padding."""
    size = len(value)
    return _ATTRIBUTE.pack(4 + size, type_) + value + _PADDING[size & 3]


def nested(type_: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    value = b"".join(attributes)  # which are padded, each
    return _ATTRIBUTE.pack(4 + len(value), type_ | NLA_F_NESTED) + value


def string(type_: int, text: str) -> bytes:
    """A text attribute, with the NUL that the kernel expects."""
    value = text.encode() + b"\0"
    size = len(value)
    return _ATTRIBUTE.pack(4 + size, type_) + value + _PADDING[size & 3]


def padded(value: bytes) -> bytes:
    """`value` filled up with NULs to a multiple of 4 bytes."""
    return value + _PADDING[len(value) & 3]


def sends(items: Iterable[Item]) -> Iterator[list[Item]]:
    """`items` in order, so many at a time as go out together: each send is answered first."""
    remaining = iter(items)
    while together := list(islice(remaining, PER_SEND)):
        yield together


def messages(data: bytes) -> list[Message]:
    """The messages of one datagram."""
    found = []
    offset = 0
    end = len(data) - _HEADER.size
    while offset <= end:
        length, type_, flags, sequence, _port = _HEADER.unpack_from(data, offset)
        if length < 16:
            break
        body = data[offset + 16 : offset + length]
        told = type_ == NLMSG_ERROR and len(body) >= 4
        errno = -_ERROR.unpack_from(body)[0] if told else 0
        found.append(Message(type_, flags, sequence, errno, body))
        offset += (length + 3) & ~3
    return found


def attributes(data: bytes) -> list[tuple[int, bytes]]:
    """(type without flags, value) of each attribute, in order."""
    found = []
    offset = 0
    end = len(data) - _ATTRIBUTE.size
    unpack = _ATTRIBUTE.unpack_from
    while offset <= end:
        length, type_ = unpack(data, offset)
        if length < 4:
            break
        found.append((type_ & _NLA_TYPE_MASK, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return found


def chosen(data: bytes, offset: int, wanted: Container[int]) -> dict[int, bytes]:
    """Of the attributes from `offset` on, the values of the wanted types: a link has fifty."""
    found = {}
    end = len(data) - _ATTRIBUTE.size
    unpack = _ATTRIBUTE.unpack_from
    while offset <= end:
        length, type_ = unpack(data, offset)
        if length < 4:
            break
        if (kind := type_ & _NLA_TYPE_MASK) in wanted:
            found[kind] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
