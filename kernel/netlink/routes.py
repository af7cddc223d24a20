"""Routes over rtnetlink: encoded, parsed, looked for, added and removed."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...model.errors import KernelError
from . import source_rules, vrfs
from .packed import NLM_F_APPEND, NLM_F_CREATE, attribute, attributes, nested
from .rtnl import (
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    Operation,
    address_bytes,
    address_text,
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
_RTA_PREFSRC = 7
_RTA_METRICS = 8
_RTA_MULTIPATH = 9
_RTA_TABLE = 15
_RTAX_MTU = 2
_RTAX_ADVMSS = 8
# What the kernel makes of larger ones, saying nothing (net/ipv4/metrics.c).
_MAX_MTU = 65535 - 15
_MAX_ADVMSS = 65535 - 40
_RT_TABLE_MAIN = 254
_RT_SCOPE_UNIVERSE = 0
_RT_SCOPE_LINK = 253
_RT_SCOPE_NOWHERE = 255
_RTPROT_BOOT = 3
_RTPROT_RA = 9
_RTN_UNICAST = 1
_RTM_F_FIB_MATCH = 0x2000
_RTNH_F_ONLINK = 4

# rtmsg: family, dst length, src length, tos, table, protocol, scope, type, flags
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")  # rtnexthop: length, flags, hops, index


class Route(NamedTuple):
    """A unicast route through the link of index `link`.

    0, b"" and None stand for the kernel's default.
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
    source: bytes = b""
    protocol: int = 0
    onlink: bool = False

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
            and self.source in (b"", found.source)
            and self.protocol in (0, found.protocol)
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
    source: str = "",
    protocol: int = 0,
    onlink: bool = False,
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
        mtu=min(mtu, _MAX_MTU),
        advmss=min(advmss, _MAX_ADVMSS),
        source=address_bytes(source) if source else b"",
        protocol=protocol,
        onlink=onlink,
    )


def prepended(wanted: Route, text: str, *, last: bool = False) -> Operation:
    """`ip route prepend DST [via GW] dev NAME ...`; `text` is what follows the verb.

    Of several IPv4 routes to one destination the last one made is taken, unless it is to be the
    `last` (`ip route append`); IPv6 shares out among their gateways. Both are so with the
    reference plugins.
    """
    scope = wanted.scope
    if scope is None:
        local = not wanted.gateway and wanted.family == socket.AF_INET
        scope = _RT_SCOPE_LINK if local else _RT_SCOPE_UNIVERSE
    return Operation(
        RTM_NEWROUTE,
        NLM_F_CREATE | (NLM_F_APPEND if last else 0),
        _body(wanted, wanted.protocol or _RTPROT_BOOT, scope, _RTN_UNICAST),
        f"ip route {'append' if last else 'prepend'} {text}",
    )


def removed(wanted: Route, text: str) -> Operation:
    """`ip route del DST [via GW] dev NAME ...`"""
    scope = _RT_SCOPE_NOWHERE if wanted.scope is None else wanted.scope
    body = _body(wanted, wanted.protocol, scope, 0)
    return Operation(RTM_DELROUTE, 0, body, f"ip route del {text}")


def _body(wanted: Route, protocol: int, scope: int, kind: int) -> bytes:
    # A table's number may not fit into the header; then it says 0 there.
    table = wanted.table if wanted.table < 256 else 0
    flags = _RTNH_F_ONLINK if wanted.onlink else 0
    header = _RTMSG.pack(wanted.family, wanted.length, 0, 0, table, protocol, scope, kind, flags)
    metrics = [u32(_RTAX_MTU, wanted.mtu)] if wanted.mtu else []
    metrics += [u32(_RTAX_ADVMSS, wanted.advmss)] if wanted.advmss else []
    parts = [u32(_RTA_OIF, wanted.link), u32(_RTA_TABLE, wanted.table)]
    if wanted.length:
        parts.append(attribute(_RTA_DST, wanted.destination))
    if wanted.gateway:
        parts.append(attribute(_RTA_GATEWAY, wanted.gateway))
    if wanted.source:
        parts.append(attribute(_RTA_PREFSRC, wanted.source))
    if wanted.priority:
        parts.append(u32(_RTA_PRIORITY, wanted.priority))
    if metrics:
        parts.append(nested(_RTA_METRICS, *metrics))
    return header + b"".join(parts)


def present(sock: Socket, wanted: Route, text: str) -> bool:
    """Whether the kernel has this route: `ip route show ...`

    The kernel is asked first which route it would take to the destination, for that does
    not cost more with many routes; only where another one hides it the table is read. One of the
    main table's may stand where its interface's packets come by before.
    """
    return any(map(wanted.satisfied_by, _best(sock, wanted, text))) or any(
        one.satisfied_by(found)
        for one in _places(sock, wanted)
        for found in _through(sock, one, text)
    )


def _places(sock: Socket, wanted: Route) -> Iterator[Route]:
    """Where `wanted` may stand: a route of the main table also in those that are asked before.

    `sbr` and `vrf` move all of an interface's there, and no result says so: what has the
    container's address goes the way it went.
    """
    yield wanted
    if wanted.table == _RT_TABLE_MAIN:
        for table in _asked_before(sock, wanted.link, wanted.family):
            yield wanted._replace(table=table)


def _asked_before(sock: Socket, index: int, family: int) -> list[int]:
    """The tables that are asked before the main one for what comes by the link `index`."""
    of_vrf = vrfs.table_over(sock, index)
    return [*source_rules.tables(sock, index, family), *([of_vrf] if of_vrf else [])]


def among(sock: Socket, wanted: Sequence[Route]) -> list[bool]:
    """The same of many routes through one link, by one look at all there are."""
    found = _among(sock, wanted)
    lost = [
        one
        for one, there in zip(wanted, found, strict=True)
        if not there and one.table == _RT_TABLE_MAIN
    ]
    tables = {
        family: _asked_before(sock, one.link, family)
        for family, one in {each.family: each for each in lost}.items()
    }
    places = [(one, one._replace(table=table)) for one in lost for table in tables[one.family]]
    there = _among(sock, [place for _, place in places])
    stand = {one for (one, _), stands in zip(places, there, strict=True) if stands}
    return [there or one in stand for one, there in zip(wanted, found, strict=True)]


def _among(sock: Socket, wanted: Sequence[Route]) -> list[bool]:
    there: dict[tuple[bytes, int], list[Route]] = {}
    for one in {(each.family, each.table): each for each in wanted}.values():
        for found in _through(sock, one, ""):
            there.setdefault((found.destination, found.length), []).append(found)
    return [
        any(map(one.satisfied_by, there.get((one.destination, one.length), ()))) for one in wanted
    ]


def _best(sock: Socket, wanted: Route, text: str) -> Iterator[Route]:
    bits = 8 * len(wanted.destination)
    header = _RTMSG.pack(wanted.family, bits, 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
    body = header + attribute(_RTA_DST, wanted.destination)
    try:
        yield from parse(sock.ask(Operation(RTM_GETROUTE, 0, body, f"ip route get {text}")).body)
    except KernelError as error:
        if error.errno not in _NO_ROUTE:
            raise


def direct(sock: Socket, address: str, *, alone: bool = False) -> int:
    """`ip route get ADDRESS`: the link whose neighbour it is; 0 for none, or by a gateway.

    With `alone` only by a route to nothing but that address.
    """
    found = taken(sock, address)
    if found is None or found.gateway or (alone and found.length < 8 * len(found.destination)):
        return 0
    return found.link


def taken(sock: Socket, address: str) -> Route | None:
    """`ip route get fibmatch ADDRESS`: the route that is taken there; None for none."""
    destination = route(0, f"{address}/{128 if ':' in address else 32}")
    return next(_best(sock, destination, address), None)


def way_out(sock: Socket, family: int) -> Route | None:
    """`ip route show default`: what is taken to where no other route leads; None for nothing."""
    for prefix in _NOWHERE[family]:
        found = next(_best(sock, route(0, prefix), prefix), None)
        if found is None or not found.length:
            return found
    return None


def is_way_out(sock: Socket, index: int) -> bool:
    """Whether `ip route show default table all dev NAME` shows any, of IPv4 or IPv6."""
    families = ((socket.AF_INET, 4), (socket.AF_INET6, 16))
    return any(
        found.link == index and not found.length
        for family, size in families
        for found in _through(sock, Route(bytes(size), 0, index, table=0), "default table all")
    )


def set_by(sock: Socket, index: int) -> Iterator[tuple[str, str]]:
    """`ip route show dev NAME proto boot`, of both families: each destination, in CIDR form, and
    source, "" without one.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        header = _RTMSG.pack(family, 0, 0, 0, 0, _RTPROT_BOOT, 0, _RTN_UNICAST, 0)
        question = Operation(RTM_GETROUTE, 0, header + u32(_RTA_OIF, index), "ip route show")
        for body in _dumped(sock, question):
            if _RTMSG.unpack_from(body)[5] == _RTPROT_BOOT:
                for one in parse(body):
                    source = address_text(one.source) if one.source else ""
                    yield f"{address_text(one.destination)}/{one.length}", source


def advertised(sock: Socket, index: int) -> bool:
    """Whether `ip -6 route show dev NAME proto ra` shows any."""
    header = _RTMSG.pack(socket.AF_INET6, 0, 0, 0, 0, _RTPROT_RA, 0, _RTN_UNICAST, 0)
    question = Operation(RTM_GETROUTE, 0, header + u32(_RTA_OIF, index), "ip -6 route show")
    return any(_RTMSG.unpack_from(body)[5] == _RTPROT_RA for body in _dumped(sock, question))


def _dumped(sock: Socket, question: Operation) -> Sequence[bytes]:
    """Nothing where the kernel has no such routes, or knows none of that family."""
    try:
        return sock.dump(question)
    except KernelError as error:
        if error.errno not in (*_NO_ROUTE, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
            raise
        return ()


_NOWHERE: dict[int, tuple[str, ...]] = {
    socket.AF_INET: ("192.0.2.1/32", "198.51.100.1/32", "203.0.113.1/32"),
    socket.AF_INET6: ("2001:db8::1/128", "3fff::1/128", "100::1/128"),
}
"""Addresses for documentation (RFC 5737, 3849, 9637) and discarding: nobody has them, so that
hardly ever more than a default route leads there; where one is in use, the next is asked for.
"""


def _through(sock: Socket, wanted: Route, text: str) -> Iterator[Route]:
    for each in _listed(sock, wanted.family, wanted.table, wanted.link, text):
        yield from parse(each)


def on(sock: Socket, index: int, family: int, table: int = _RT_TABLE_MAIN) -> list[Route]:
    """`ip route show dev NAME table TABLE`, in the kernel's order: those by one gateway or none.

    Without what a router advertises.
    """
    listed = [list(parse(each)) for each in _listed(sock, family, table, index, "")]
    return [hops[0] for hops in listed if len(hops) == 1 and hops[0].protocol != _RTPROT_RA]


def in_all_tables(sock: Socket, family: int) -> Iterator[tuple[int, int]]:
    """`ip route show table all`: (table, index of the link or 0) of each, of whatever kind."""
    for body in _listed(sock, family, 0, 0, "table all", kind=0):
        found = dict(attributes(body[_RTMSG.size :]))
        table = number(found.get(_RTA_TABLE, b"")) or _RTMSG.unpack_from(body)[4]
        for index, _ in _hops(found):
            yield table, index


def _listed(
    sock: Socket, family: int, table: int, index: int, text: str, kind: int = _RTN_UNICAST
) -> list[bytes]:
    """The kernel's messages; 0 is for any table, link or kind."""
    body = _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, kind, 0)
    body += u32(_RTA_TABLE, table) if table else b""
    body += u32(_RTA_OIF, index) if index else b""
    try:
        return sock.dump(Operation(RTM_GETROUTE, 0, body, f"ip route show {text}"))
    except KernelError as error:
        if error.errno not in (*_NO_ROUTE, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
            raise
        return []


_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOENT, errno.EACCES, errno.EINVAL)
"""No route, no such table, or one that leads nowhere (unreachable, prohibit, blackhole)."""


def parse(body: bytes) -> Iterator[Route]:
    """The unicast routes an RTM_NEWROUTE tells of, one for each next hop."""
    family, length, _, _, table, protocol, scope, kind, flags = _RTMSG.unpack_from(body)
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
            source=found.get(_RTA_PREFSRC, b""),
            protocol=protocol,
            onlink=bool(flags & _RTNH_F_ONLINK),
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
