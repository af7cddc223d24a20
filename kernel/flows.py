"""UDP flows that connection tracking remembers on a way that is no longer theirs.

A translation is decided at a flow's first packet. One who sends without a pause would go on
into the void after a port is published, or its container is gone; so its flow is forgotten,
and the next packet is its first again.

Rules that hold here:
- The kernel looks for them: a table of a million flows is never read by us.
- Layouts are those of linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..model.errors import KernelError
from ..model.resources import PublishedPort
from . import netlink
from .namespaces import entered

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 1  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE = 1, 2

_CTA_TUPLE_ORIG = 1
_CTA_TUPLE_REPLY = 2
_CTA_ID = 12
_CTA_ZONE = 18
_CTA_FILTER = 25
_CTA_FILTER_ORIG_FLAGS = 1
_CTA_FILTER_REPLY_FLAGS = 2
_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_IP_SRC = {socket.AF_INET: 1, socket.AF_INET6: 3}
_CTA_PROTO_NUM = 1
_CTA_PROTO_DST_PORT = 3

_BY_SOURCE, _BY_PROTOCOL, _BY_PORT = 1 << 0, 1 << 3, 1 << 5

_RECEIVE = 65536
_NO_TRACKING = (errno.EINVAL, errno.EOPNOTSUPP)
"""What nfnetlink answers where connection tracking can't be asked (CONFIG_NF_CT_NETLINK)."""


class Filter(NamedTuple):
    """Flows of one IP family whose tuple, `direction`, is `fields` as far as `flags` say."""

    family: int
    direction: int
    fields: bytes
    flags: int

    @property
    def attributes(self) -> bytes:
        which = {_CTA_TUPLE_ORIG: _CTA_FILTER_ORIG_FLAGS, _CTA_TUPLE_REPLY: _CTA_FILTER_REPLY_FLAGS}
        flags = netlink.attribute(which[self.direction], struct.pack("=I", self.flags))
        return netlink.nested(self.direction, self.fields) + netlink.nested(_CTA_FILTER, flags)


def forget_old_ways(namespace: int, ports: Iterable[PublishedPort]) -> None:
    """`conntrack -D -p udp --orig-port-dst PORT`, of each port that is now published."""
    _forget(namespace, {_to_port(port.family, port.host_port) for port in ports})


def forget_ways_to(namespace: int, ports: Iterable[PublishedPort]) -> None:
    """`conntrack -D -p udp --reply-src ADDRESS`, of each container that was published."""
    _forget(namespace, {_answered_by(port.address) for port in ports})


def _to_port(family: int, port: int) -> Filter:
    number = netlink.attribute(_CTA_PROTO_DST_PORT, struct.pack("!H", port))
    fields = netlink.nested(_CTA_TUPLE_PROTO, _udp(), number)
    version = socket.AF_INET if family == 4 else socket.AF_INET6
    return Filter(version, _CTA_TUPLE_ORIG, fields, _BY_PROTOCOL | _BY_PORT)


def _answered_by(address: str) -> Filter:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = netlink.attribute(_CTA_IP_SRC[family], socket.inet_pton(family, address))
    fields = netlink.nested(_CTA_TUPLE_IP, source) + netlink.nested(_CTA_TUPLE_PROTO, _udp())
    return Filter(family, _CTA_TUPLE_REPLY, fields, _BY_SOURCE | _BY_PROTOCOL)


def _udp() -> bytes:
    return netlink.attribute(_CTA_PROTO_NUM, bytes([socket.IPPROTO_UDP]))


def _forget(namespace: int, filters: set[Filter]) -> None:
    if not filters:
        return
    with entered(namespace):
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
    with sock:
        for each in filters:
            number = _delete(sock, each.family, each.attributes)
            if number == errno.EINVAL:  # before Linux 6.8 only a listing could be filtered
                number = _delete_listed(sock, each)
            if number:
                raise _refused(number)


def _delete(sock: socket.socket, family: int, attributes: bytes) -> int:
    """Delete what fits; the errno, 0 for none."""
    flags = netlink.NLM_F_REQUEST | netlink.NLM_F_ACK
    sock.send(_message(_DELETE, flags, family, attributes))
    return next(answer.errno for answer in _answers(sock) if answer.type == netlink.NLMSG_ERROR)


def _delete_listed(sock: socket.socket, wanted: Filter) -> int:
    """The same, flow by flow, of those the kernel says it is about."""
    flags = netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP
    sock.send(_message(_GET, flags, wanted.family, wanted.attributes))
    found = []
    for answer in _answers(sock):
        if answer.type == netlink.NLMSG_ERROR:
            return 0 if answer.errno in _NO_TRACKING else answer.errno
        found.append(answer.body[4:])
    for body in found:
        number = _delete(sock, wanted.family, b"".join(_identity(body)))
        if number not in (0, errno.ENOENT):
            return number
    return 0


def _identity(body: bytes) -> Iterator[bytes]:
    """What tells this flow from all others, as it came."""
    for type_, value in netlink.attributes(body, (_CTA_TUPLE_ORIG, _CTA_ZONE, _CTA_ID)):
        nested = type_ == _CTA_TUPLE_ORIG
        yield netlink.nested(type_, value) if nested else netlink.attribute(type_, value)


def _message(type_: int, flags: int, family: int, attributes: bytes) -> bytes:
    header = struct.pack("!BBH", family, 0, 0)
    return netlink.message(_SUBSYSTEM << 8 | type_, flags, 1, header + attributes)


def _answers(sock: socket.socket) -> Iterator[netlink.Message]:
    """The answers to what was just sent, up to the acknowledgement or the end of the list."""
    while True:
        for answer in netlink.messages(sock.recv(_RECEIVE)):
            if answer.type == netlink.NLMSG_DONE:
                return
            yield answer
            if answer.type == netlink.NLMSG_ERROR:
                return


def _refused(number: int) -> KernelError:
    return KernelError(f"conntrack -D -p udp: {os.strerror(number)}", errno=number)
