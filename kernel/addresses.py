"""Addresses over rtnetlink."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from .netlink import NLM_F_CREATE, NLM_F_EXCL, attribute, attributes
from .rtnl import (
    RTM_DELADDR,
    RTM_GETADDR,
    RTM_NEWADDR,
    Operation,
    address_text,
    number,
    split_prefix,
    u32,
)
from .rtnl_socket import Socket

# linux/if_addr.h
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_FLAGS = 8
_IFA_F_NODAD = 0x02
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40

_IFADDR = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index


class Assigned(NamedTuple):
    """An address in CIDR form; `link` is the index of its link."""

    link: int
    address: str
    tentative: bool
    duplicate: bool

    @property
    def link_local(self) -> bool:
        """Whether it is in fe80::/10."""
        first = self.address.partition(":")[0]
        return len(first) == 4 and first[:3] in ("fe8", "fe9", "fea", "feb")


def on(sock: Socket, index: int, family: int = 0) -> list[Assigned]:
    """`ip addr show dev NAME`; `family` 0 is both."""
    body = _IFADDR.pack(family, 0, 0, 0, index)
    return [parse(each) for each in sock.dump(Operation(RTM_GETADDR, 0, body, "ip addr show"))]


def parse(body: bytes) -> Assigned:
    """The address an RTM_NEWADDR tells of."""
    _, length, flags, _, index = _IFADDR.unpack_from(body)
    found = dict(attributes(body[_IFADDR.size :]))
    # IFA_ADDRESS is the other end's address on a point-to-point link.
    raw = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    flags = number(found[_IFA_FLAGS]) if _IFA_FLAGS in found else flags
    return Assigned(
        link=index,
        address=f"{address_text(raw)}/{length}",
        tentative=bool(flags & _IFA_F_TENTATIVE),
        duplicate=bool(flags & _IFA_F_DADFAILED),
    )


def canonical(cidr: str) -> str:
    """`cidr` as the kernel would show it: "2001:db8:0::1/64" is "2001:db8::1/64"."""
    raw, length = split_prefix(cidr)
    return f"{address_text(raw)}/{length}"


def added(index: int, name: str, cidr: str, *, dad: bool = False) -> Operation:
    """`ip addr add CIDR dev NAME [brd +] [nodad]`

    IPv4 gets its broadcast address where the subnet has one, as the reference has it.
    """
    raw, length = split_prefix(cidr)
    if len(raw) == 4:
        extra = attribute(_IFA_BROADCAST, _broadcast(raw, length)) if length < 31 else b""
    else:
        extra = b"" if dad else u32(_IFA_FLAGS, _IFA_F_NODAD)
    return Operation(
        RTM_NEWADDR,
        NLM_F_CREATE | NLM_F_EXCL,
        _address(index, raw, length) + extra,
        f"ip addr add {cidr} dev {name}",
    )


def removed(index: int, name: str, cidr: str) -> Operation:
    """`ip addr del CIDR dev NAME`"""
    raw, length = split_prefix(cidr)
    body = _address(index, raw, length)
    return Operation(RTM_DELADDR, 0, body, f"ip addr del {cidr} dev {name}")


def _address(index: int, raw: bytes, length: int) -> bytes:
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    header = _IFADDR.pack(family, length, 0, 0, index)
    return header + attribute(_IFA_LOCAL, raw) + attribute(_IFA_ADDRESS, raw)


def _broadcast(raw: bytes, length: int) -> bytes:
    hosts = (1 << (32 - length)) - 1
    return (int.from_bytes(raw, "big") | hosts).to_bytes(4, "big")
