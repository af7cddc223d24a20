"""Whether a router on the link says that addresses, or all else, are had by DHCPv6.

It says so by the flags M and O of its advertisements (RFC 4861, section 4.2). The kernel keeps
those of the last one that it took. Where it has none, a router is asked, and its answer read from
the wire: a container that takes no advertisements (accept_ra 0) never has any.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing, suppress
from ipaddress import IPv6Address
from struct import Struct
from time import monotonic

from ..kernel import icmpv6
from ..kernel.netlink import links
from ..kernel.netlink.packed import chosen
from ..kernel.netlink.rtnl import number
from ..kernel.netlink.rtnl_socket import Socket
from ..model.value import Value
from . import link_local

_ALL_ROUTERS = "ff02::2"
_MANAGED, _OTHER = 0x80, 0x40
_ADVERTISEMENT = Struct("!BBHBBHII")  # type, code, checksum, hop limit, flags, lifetime, timers
_SOLICITATION = Struct("!BBHI").pack(icmpv6.ROUTER_SOLICITATION, 0, 0, 0)
_RECVHOPLIMIT, _HOPLIMIT = 51, 52  # linux/in6.h
_FILTER, _FILTER_WORDS = 1, Struct("=8I")  # linux/icmpv6.h; a bit is a type that is not wanted
_INTERVAL = 1.0
"""Seconds until a router is asked again; three times are enough for RFC 4861 (6.3.7)."""
_LARGEST = 2048

# linux/if_link.h and net/if_inet6.h
_IFLA_AF_SPEC, _IFLA_INET6_FLAGS = 26, 1
_IF_RA_RCVD, _IF_RA_MANAGED, _IF_RA_OTHERCONF = 0x20, 0x40, 0x80
_IFINFO_SIZE = 16


class Advertised(Value):
    """`managed`: addresses are had by DHCPv6, and the rest with them. `other`: the rest is."""

    managed: bool
    other: bool


def asked(
    interface: str, seconds: float, abandoned: Callable[[], bool] = lambda: False
) -> Advertised | None:
    """What a router says on `interface`, in the namespace this thread is in; None if none does.

    Within `seconds`, of which part may be spent waiting for the link-local address. Raises
    OSError, and what `link_local.wait` raises.
    """
    deadline = monotonic() + seconds
    with closing(Socket("the container")) as asking:
        if (known := kept(asking, interface)) is not None:
            return known
        own = link_local.wait(interface, seconds, abandoned)
        with _opened(interface, own) as routers:
            again = monotonic()
            while (now := monotonic()) < deadline and not abandoned():
                if now >= again:
                    routers.sendto(_SOLICITATION, (_ALL_ROUTERS, 0))
                    again = now + _INTERVAL
                link_local.await_input(routers, min(again, deadline) - now)
                found = _received(routers) or kept(asking, interface)
                if found is not None:
                    return found
    return None


def kept(asking: Socket, interface: str) -> Advertised | None:
    """What the kernel has taken from an advertisement; None where it has taken none.

    `ip -d link` does not show it. Raises `KernelError`.
    """
    found = links.raw_by_name(asking, interface) or bytes(_IFINFO_SIZE)
    families = chosen(found, _IFINFO_SIZE, (_IFLA_AF_SPEC,)).get(_IFLA_AF_SPEC, b"")
    inet6 = chosen(families, 0, (socket.AF_INET6,)).get(socket.AF_INET6, b"")
    flags = number(chosen(inet6, 0, (_IFLA_INET6_FLAGS,)).get(_IFLA_INET6_FLAGS, b""))
    # Those of one that came unasked are kept, too, but that it came is not.
    if not flags & (_IF_RA_RCVD | _IF_RA_MANAGED | _IF_RA_OTHERCONF):
        return None
    return Advertised(bool(flags & _IF_RA_MANAGED), bool(flags & _IF_RA_OTHERCONF))


def read(message: bytes, hops: int, source: str) -> Advertised | None:
    """An ICMPv6 message as a router advertisement that is to be believed (RFC 4861, 6.1.2)."""
    if len(message) < _ADVERTISEMENT.size or hops != icmpv6.HOP_LIMIT:
        return None
    kind, code, _, _, flags, *_ = _ADVERTISEMENT.unpack_from(message)
    link_local_source = IPv6Address(source.partition("%")[0]).is_link_local
    if kind != icmpv6.ROUTER_ADVERTISEMENT or code or not link_local_source:
        return None
    return Advertised(bool(flags & _MANAGED), bool(flags & _OTHER))


def _received(routers: socket.socket) -> Advertised | None:
    with suppress(BlockingIOError):
        while True:
            message, ancillary, _, source = routers.recvmsg(_LARGEST, socket.CMSG_SPACE(4))
            hops = next((number(data) for _, kind, data in ancillary if kind == _HOPLIMIT), 0)
            if (found := read(message, hops, source[0])) is not None:
                return found
    return None


def _opened(interface: str, own: str) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    sock = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6)
    try:
        words = [0xFFFFFFFF] * 8
        words[icmpv6.ROUTER_ADVERTISEMENT >> 5] &= ~(1 << (icmpv6.ROUTER_ADVERTISEMENT & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _FILTER, _FILTER_WORDS.pack(*words))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.setsockopt(socket.IPPROTO_IPV6, _RECVHOPLIMIT, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, icmpv6.HOP_LIMIT)
        sock.bind((own, 0, 0, socket.if_nametoindex(interface)))
    except BaseException:
        sock.close()
        raise
    return sock
