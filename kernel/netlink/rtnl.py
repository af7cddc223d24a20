"""rtnetlink's part of the wire format, over `netlink`'s messages and attributes. No I/O.

Constants are those of linux/rtnetlink.h and linux/netlink.h, under their own names.
"""

from __future__ import annotations

import socket
import struct
import sys

from ...model.value import Value
from .packed import NLM_F_REQUEST, NLMSG_ERROR, Message, attribute, attributes, message, padded

NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_SETLINK = 19
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26
RTM_GETVLAN = 114

_LENGTH = struct.Struct("=I")
_ERROR = struct.Struct("=i")
_NETLINK_HEADER = 16


class Operation(Value):
    """One request; `command` is the `ip` command it equals, for the error that may come."""

    type: int
    flags: int
    body: bytes
    command: str

    def pack(self, sequence: int, flags: int) -> bytes:
        return message(self.type, NLM_F_REQUEST | self.flags | flags, sequence, self.body)


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def u16(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def explanation(reply: Message) -> str:
    """The kernel's own words in an acknowledgement or at a dump's end (extack), or ""."""
    if not reply.flags & NLM_F_ACK_TLVS:
        return ""
    offset = _ERROR.size
    if reply.type == NLMSG_ERROR:
        # The request comes back first: its header alone where the answer is capped.
        capped = reply.flags & NLM_F_CAPPED
        length = _NETLINK_HEADER if capped else _LENGTH.unpack_from(reply.body, offset)[0]
        offset += len(padded(bytes(length)))
    return text(dict(attributes(reply.body[offset:])).get(_NLMSGERR_ATTR_MSG, b""))


def status(reply: Message) -> int:
    """The errno that ends a dump: NLMSG_DONE carries one as NLMSG_ERROR does."""
    return -_ERROR.unpack_from(reply.body)[0] if len(reply.body) >= _ERROR.size else 0


def text(payload: bytes) -> str:
    return payload.split(b"\0", 1)[0].decode(errors="replace")


def number(payload: bytes) -> int:
    """An unsigned integer of the payload's size; 0 for an empty one."""
    return int.from_bytes(payload, sys.byteorder)


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(raw: bytes) -> str:
    return raw.hex(":") if raw else ""


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def address_bytes(address: str) -> bytes:
    """Raises ValueError for what is no address."""
    try:
        return socket.inet_pton(family_of(address), address)
    except OSError:
        raise ValueError(f"{address!r} is not an IP address") from None


def address_text(raw: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)


def split_prefix(cidr: str) -> tuple[bytes, int]:
    """The address's bytes and the prefix length; without one, the whole address counts."""
    address, slash, length = cidr.partition("/")
    raw = address_bytes(address)
    return raw, int(length) if slash else 8 * len(raw)
