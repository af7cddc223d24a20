"""Addresses over rtnetlink."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from . import links
from .packed import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, attribute, attributes, chosen
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
_IFA_CACHEINFO = 6
_IFA_FLAGS = 8
_IFA_F_SECONDARY = 0x01  # of an IPv6 address the same bit is IFA_F_TEMPORARY
_IFA_F_NODAD = 0x02
_IFA_F_OPTIMISTIC = 0x04
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40
_IFA_F_PERMANENT = 0x80
_IFA_F_NOPREFIXROUTE = 0x200

# linux/if_link.h, linux/ipv6.h
_IFLA_INET6_CONF = 2
_DEVCONF_DISABLE_IPV6 = 26

_CACHEINFO = struct.Struct("=IIII")  # ifa_cacheinfo: preferred, valid, and two times
_IFADDR = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index


class Assigned(NamedTuple):
    """An address in CIDR form; `link` is the index of its link, `permanent` one without an end.

    `routed` where the kernel makes the route to its network; `secondary` where it takes an IPv4
    address away with the first of its subnet; `optimistic` where it is used though still tentative
    (RFC 4429).
    """

    link: int
    address: str
    tentative: bool
    duplicate: bool
    permanent: bool
    routed: bool = True
    secondary: bool = False
    optimistic: bool = False

    @property
    def link_local(self) -> bool:
        """Whether it is in fe80::/10."""
        first = self.address.partition(":")[0]
        return len(first) == 4 and first[:3] in ("fe8", "fe9", "fea", "feb")


def on(sock: Socket, index: int, family: int = 0) -> list[Assigned]:
    """`ip addr show dev NAME`; `family` 0 is both."""
    body = _IFADDR.pack(family, 0, 0, 0, index)
    return [parse(each) for each in sock.dump(Operation(RTM_GETADDR, 0, body, "ip addr show"))]


def ipv6_on(sock: Socket, name: str) -> bool:
    """Whether `sysctl net.ipv6.conf.NAME.disable_ipv6` is 0; False without such a link.

    To read that in a container is to enter it, and to open two files that nobody has opened there.
    """
    body = links.raw_by_name(sock, name)
    if body is None:
        return False
    families = chosen(body, len(links.header()), (links.IFLA_AF_SPEC,))
    of_ipv6 = dict(attributes(families.get(links.IFLA_AF_SPEC, b""))).get(socket.AF_INET6, b"")
    settings = dict(attributes(of_ipv6)).get(_IFLA_INET6_CONF, b"")
    disabled = settings[4 * _DEVCONF_DISABLE_IPV6 :][:4]
    return len(disabled) == 4 and number(disabled) == 0


def parse(body: bytes) -> Assigned:
    """The address an RTM_NEWADDR tells of."""
    family, length, flags, _, index = _IFADDR.unpack_from(body)
    found = dict(attributes(body[_IFADDR.size :]))
    # IFA_ADDRESS is the other end's address on a point-to-point link.
    raw = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    flags = number(found[_IFA_FLAGS]) if _IFA_FLAGS in found else flags
    return Assigned(
        link=index,
        address=f"{address_text(raw)}/{length}",
        tentative=bool(flags & _IFA_F_TENTATIVE),
        duplicate=bool(flags & _IFA_F_DADFAILED),
        permanent=bool(flags & _IFA_F_PERMANENT),
        routed=not flags & _IFA_F_NOPREFIXROUTE,
        secondary=family == socket.AF_INET and bool(flags & _IFA_F_SECONDARY),
        optimistic=bool(flags & _IFA_F_OPTIMISTIC),
    )


def canonical(cidr: str) -> str:
    """`cidr` as the kernel would show it: "2001:db8:0::1/64" is "2001:db8::1/64"."""
    raw, length = split_prefix(cidr)
    return f"{address_text(raw)}/{length}"


def added(
    index: int, name: str, cidr: str, *, dad: bool = False, prefix_route: bool = True
) -> Operation:
    """`ip addr add CIDR dev NAME [brd +] [nodad] [noprefixroute]`

    IPv4 gets its broadcast address where the subnet has one, as the reference has it.
    """
    raw, length = split_prefix(cidr)
    extra = b""
    flags = 0 if prefix_route else _IFA_F_NOPREFIXROUTE
    if len(raw) == 4:
        extra = attribute(_IFA_BROADCAST, _broadcast(raw, length)) if length < 31 else b""
    elif not dad:
        flags |= _IFA_F_NODAD
    if flags:
        extra += u32(_IFA_FLAGS, flags)
    return Operation(
        RTM_NEWADDR,
        NLM_F_CREATE | NLM_F_EXCL,
        _address(index, raw, length) + extra,
        f"ip addr add {cidr} dev {name}",
    )


def lasting(index: int, name: str, cidr: str, valid: int, preferred: int) -> Operation:
    """`ip addr change CIDR dev NAME valid_lft VALID preferred_lft PREFERRED`, in seconds."""
    raw, length = split_prefix(cidr)
    limits = attribute(_IFA_CACHEINFO, _CACHEINFO.pack(preferred, valid, 0, 0))
    return Operation(
        RTM_NEWADDR,
        NLM_F_REPLACE,
        _address(index, raw, length) + limits,
        f"ip addr change {cidr} dev {name} valid_lft {valid} preferred_lft {preferred}",
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
