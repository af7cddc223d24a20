"""Netlink messages and attributes as bytes: packing, unpacking, nothing sent.

Layouts are those of linux/netlink.h: all integers in host order, everything padded to
4 bytes. Kept to `struct`, since a general library costs more than the whole change.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")


class Message(NamedTuple):
    """One netlink message; `errno` is 0 for an acknowledgement and for anything not an error."""

    type: int
    flags: int
    sequence: int
    errno: int
    body: bytes


def message(type_: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A whole message: header (port 0, the kernel fills it in) and body."""
    return _HEADER.pack(_HEADER.size + len(body), type_, flags, sequence, 0) + padded(body)


def attribute(type_: int, value: bytes) -> bytes:
    """One attribute: length, type, value, padding."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), type_) + padded(value)


def nested(type_: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(type_ | NLA_F_NESTED, b"".join(attributes))


def string(type_: int, text: str) -> bytes:
    """A text attribute, with the NUL that the kernel expects."""
    return attribute(type_, text.encode() + b"\0")


def padded(value: bytes) -> bytes:
    """`value` filled up with NULs to a multiple of 4 bytes."""
    return value + bytes(-len(value) % 4)


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, type_, flags, sequence, _port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        body = data[offset + _HEADER.size : offset + length]
        told = type_ == NLMSG_ERROR and len(body) >= _ERROR.size
        errno = -_ERROR.unpack_from(body)[0] if told else 0
        yield Message(type_, flags, sequence, errno, body)
        offset += length + -length % 4


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type without flags, value) of each attribute, in order."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield type_ & _NLA_TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4


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
