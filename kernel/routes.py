"""Routes over rtnetlink: encoded, parsed, looked for, added and removed."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..model.errors import KernelError
from .netlink import NLM_F_APPEND, NLM_F_CREATE, attribute, attributes, nested
from .rtnl import (
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    Operation,
    address_bytes,
    number,
    split_prefix,
    u32,
)
from .rtnl_socket import Socket

# linux/rtnetlink.h
_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_PRIORITY = 6
_RTA_METRICS = 8
_RTA_MULTIPATH = 9
_RTA_TABLE = 15
_RTAX_MTU = 2
_RTAX_ADVMSS = 8
_RT_TABLE_MAIN = 254
_RT_SCOPE_UNIVERSE = 0
_RT_SCOPE_LINK = 253
_RT_SCOPE_NOWHERE = 255
_RTPROT_BOOT = 3
_RTN_UNICAST = 1
_RTM_F_FIB_MATCH = 0x2000

# rtmsg: family, dst length, src length, tos, table, protocol, scope, type, flags
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")  # rtnexthop: length, flags, hops, index


class Route(NamedTuple):
    """A unicast route through the link of index `link`.

    0 and None stand for the kernel's default.
    """

    destination: bytes
    length: int
    link: int
    gateway: bytes = b""
    priority: int = 0
    table: int = _RT_TABLE_MAIN
    scope: int | None = None
    mtu: int = 0
    advmss: int = 0

    @property
    def family(self) -> int:
        return socket.AF_INET if len(self.destination) == 4 else socket.AF_INET6

    def satisfied_by(self, found: Route) -> bool:
        """Whether `found` is this route: what is left open here may be anything there."""
        return (
            self[:4] == found[:4]
            and self.table == found.table
            and self.priority in (0, found.priority)
            and self.mtu in (0, found.mtu)
            and self.advmss in (0, found.advmss)
            # IPv6 has no scopes.
            and (self.family == socket.AF_INET6 or self.scope in (None, found.scope))
        )


def route(
    index: int,
    dst: str,
    gw: str = "",
    *,
    priority: int = 0,
    table: int | None = None,
    scope: int | None = None,
    mtu: int = 0,
    advmss: int = 0,
) -> Route:
    """The route `DST [via GW] dev INDEX ...`. Raises ValueError for what is no address."""
    destination, length = split_prefix(dst)
    return Route(
        destination=destination,
        length=length,
        link=index,
        gateway=address_bytes(gw) if gw else b"",
        priority=priority,
        table=table or _RT_TABLE_MAIN,
        scope=scope,
        mtu=mtu,
        advmss=advmss,
    )


def appended(wanted: Route, text: str) -> Operation:
    """`ip route append DST [via GW] dev NAME ...`; `text` is what follows the verb."""
    scope = wanted.scope
    if scope is None:
        local = not wanted.gateway and wanted.family == socket.AF_INET
        scope = _RT_SCOPE_LINK if local else _RT_SCOPE_UNIVERSE
    return Operation(
        RTM_NEWROUTE,
        NLM_F_CREATE | NLM_F_APPEND,
        _body(wanted, _RTPROT_BOOT, scope, _RTN_UNICAST),
        f"ip route append {text}",
    )


def removed(wanted: Route, text: str) -> Operation:
    """`ip route del DST [via GW] dev NAME ...`"""
    scope = _RT_SCOPE_NOWHERE if wanted.scope is None else wanted.scope
    return Operation(RTM_DELROUTE, 0, _body(wanted, 0, scope, 0), f"ip route del {text}")


def _body(wanted: Route, protocol: int, scope: int, kind: int) -> bytes:
    # A table's number may not fit into the header; then it says 0 there.
    table = wanted.table if wanted.table < 256 else 0
    header = _RTMSG.pack(wanted.family, wanted.length, 0, 0, table, protocol, scope, kind, 0)
    metrics = [u32(_RTAX_MTU, wanted.mtu)] if wanted.mtu else []
    metrics += [u32(_RTAX_ADVMSS, wanted.advmss)] if wanted.advmss else []
    parts = [u32(_RTA_OIF, wanted.link), u32(_RTA_TABLE, wanted.table)]
    if wanted.length:
        parts.append(attribute(_RTA_DST, wanted.destination))
    if wanted.gateway:
        parts.append(attribute(_RTA_GATEWAY, wanted.gateway))
    if wanted.priority:
        parts.append(u32(_RTA_PRIORITY, wanted.priority))
    if metrics:
        parts.append(nested(_RTA_METRICS, *metrics))
    return header + b"".join(parts)


def present(sock: Socket, wanted: Route, text: str) -> bool:
    """Whether the kernel has this route: `ip route show ...`

    The kernel is asked first which route it would take to the destination, for that does
    not cost more with many routes; only where another one hides it the table is read.
    """
    return any(map(wanted.satisfied_by, _best(sock, wanted, text))) or any(
        wanted.satisfied_by(found) for found in _through(sock, wanted, text)
    )


def _best(sock: Socket, wanted: Route, text: str) -> Iterator[Route]:
    bits = 8 * len(wanted.destination)
    header = _RTMSG.pack(wanted.family, bits, 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
    body = header + attribute(_RTA_DST, wanted.destination)
    try:
        yield from parse(sock.ask(Operation(RTM_GETROUTE, 0, body, f"ip route get {text}")).body)
    except KernelError as error:
        if error.errno not in _NO_ROUTE:
            raise


def direct(sock: Socket, address: str) -> int:
    """`ip route get ADDRESS`: the link whose neighbour it is; 0 for none, or by a gateway."""
    destination = route(0, f"{address}/{128 if ':' in address else 32}")
    found = next(_best(sock, destination, address), None)
    return found.link if found and not found.gateway else 0


def _through(sock: Socket, wanted: Route, text: str) -> Iterator[Route]:
    header = _RTMSG.pack(wanted.family, 0, 0, 0, 0, 0, 0, _RTN_UNICAST, 0)
    body = header + u32(_RTA_TABLE, wanted.table) + u32(_RTA_OIF, wanted.link)
    try:
        bodies = sock.dump(Operation(RTM_GETROUTE, 0, body, f"ip route show {text}"))
    except KernelError as error:
        if error.errno not in _NO_ROUTE:
            raise
        return
    for each in bodies:
        yield from parse(each)


_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOENT, errno.EACCES, errno.EINVAL)
"""No route, no such table, or one that leads nowhere (unreachable, prohibit, blackhole)."""


def parse(body: bytes) -> Iterator[Route]:
    """The unicast routes an RTM_NEWROUTE tells of, one for each next hop."""
    family, length, _, _, table, _, scope, kind, _ = _RTMSG.unpack_from(body)
    if kind != _RTN_UNICAST:
        return
    found = dict(attributes(body[_RTMSG.size :]))
    metrics = dict(attributes(found.get(_RTA_METRICS, b"")))
    size = 4 if family == socket.AF_INET else 16
    for index, gateway in _hops(found):
        yield Route(
            destination=found.get(_RTA_DST, bytes(size)),
            length=length,
            link=index,
            gateway=gateway,
            priority=number(found.get(_RTA_PRIORITY, b"")),
            table=number(found.get(_RTA_TABLE, b"")) or table,
            scope=scope,
            mtu=number(metrics.get(_RTAX_MTU, b"")),
            advmss=number(metrics.get(_RTAX_ADVMSS, b"")),
        )


def _hops(found: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """(link index, gateway) of each next hop."""
    if _RTA_MULTIPATH not in found:
        yield number(found.get(_RTA_OIF, b"")), found.get(_RTA_GATEWAY, b"")
        return
    data = found[_RTA_MULTIPATH]
    while len(data) >= _NEXTHOP.size:
        length, _, _, index = _NEXTHOP.unpack_from(data)
        if length < _NEXTHOP.size:
            return
        hop = dict(attributes(data[_NEXTHOP.size : length]))
        yield index, hop.get(_RTA_GATEWAY, b"")
        data = data[(length + 3) & ~3 :]
