"""UDP flows that connection tracking remembers on a way that is no longer theirs.

A translation is decided at a flow's first packet. One who sends without a pause would go on
into the void after a port is published, or its container is gone; so its flow is forgotten,
and the next packet is its first again.

Rules that hold here:
- The kernel looks for them: a table of a million flows is never read by us.
- It goes through its whole table for each port, a tenth of a millisecond; so it is asked first
  whether there are any at all.
- Layouts are those of linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ..model.errors import KernelError
from ..model.resources import PublishedPort
from . import netlink
from .nft_socket import NftSocket

_SUBSYSTEM = 1  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE, _GET_STATS = 1, 2, 5

_CTA_TUPLE_ORIG = 1
_CTA_TUPLE_REPLY = 2
_CTA_ID = 12
_CTA_ZONE = 18
_CTA_FILTER = 25
_CTA_FILTER_ORIG_FLAGS = 1
_CTA_FILTER_REPLY_FLAGS = 2
_CTA_STATS_GLOBAL_ENTRIES = 1
_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_IP_V4_SRC = 1
_CTA_PROTO_NUM = 1
_CTA_PROTO_DST_PORT = 3

_BY_SOURCE, _BY_PROTOCOL, _BY_PORT = 1 << 0, 1 << 3, 1 << 5

_CHUNK = 128

_NO_TRACKING = (errno.EINVAL, errno.EOPNOTSUPP)
"""What nfnetlink answers where connection tracking can't be asked (CONFIG_NF_CT_NETLINK)."""


class Which(NamedTuple):
    """Flows of one IP family; `attributes` say which of them."""

    family: int
    attributes: bytes


class Flows:
    """Those of one host namespace, over a socket that is open anyway. Threads may share it."""

    def __init__(self, sock: NftSocket) -> None:
        # One of its own would have to be closed, and that waits, for milliseconds, until the
        # kernel has put away what nftables deleted before.
        self._socket = sock

    def forget_old_ways(self, ports: Iterable[PublishedPort]) -> None:
        """`conntrack -D -p udp --orig-port-dst PORT`, of each port that is now published."""
        self._forget({_to_port(port.family, port.host_port) for port in ports})

    def forget_ways_to(self, ports: Iterable[PublishedPort]) -> None:
        """`conntrack -D -p udp --reply-src ADDRESS`, of each container that was published.

        For IPv6 it goes by the ports: there the kernel's filter takes every address for the one
        asked for but that one (its ctnetlink_filter_match_tuple, still in Linux 6.18).
        """
        listed = list(ports)
        self._forget({_answered_by(port.address) for port in listed if port.family == 4})
        self._forget({_to_port(6, port.host_port) for port in listed if port.family == 6})

    def _any(self) -> bool:
        """`conntrack -C`; True, too, where it can't be told."""
        answers = self._socket.exchange(
            lambda sequence: _message(_GET_STATS, netlink.NLM_F_REQUEST, sequence, Which(0, b""))
        )
        for answer in answers:
            if answer.type == _SUBSYSTEM << 8 | _GET_STATS:
                told = netlink.chosen(answer.body, 4, (_CTA_STATS_GLOBAL_ENTRIES,))
                return any(told[_CTA_STATS_GLOBAL_ENTRIES])
        return True

    def _forget(self, wanted: set[Which]) -> None:
        for chunk in _chunks(sorted(wanted)) if wanted and self._any() else ():
            for each, number in zip(chunk, self._delete(chunk), strict=True):
                if number == errno.EINVAL:  # before Linux 6.8 only a listing could be filtered
                    self._forget_listed(each)
                elif number:
                    raise _refused(number)

    def _delete(self, wanted: Sequence[Which]) -> list[int]:
        """Delete them, in one go; the errno of each, 0 for none."""
        flags = netlink.NLM_F_REQUEST | netlink.NLM_F_ACK

        def pack(first: int) -> bytes:
            return b"".join(
                _message(_DELETE, flags, sequence, each)
                for sequence, each in enumerate(wanted, first)
            )

        answers = self._socket.exchange(pack, len(wanted))
        acknowledged = [one.errno for one in answers if one.type == netlink.NLMSG_ERROR]
        if len(acknowledged) != len(wanted):
            raise _refused(errno.EPROTO)
        return acknowledged

    def _forget_listed(self, wanted: Which) -> None:
        """The same, flow by flow, of those the kernel says it is about."""
        flags = netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP
        found = self._socket.exchange(lambda sequence: _message(_GET, flags, sequence, wanted))
        refused = [one.errno for one in found if one.errno]
        if refused and refused[0] not in _NO_TRACKING:
            raise _refused(refused[0])
        control = (netlink.NLMSG_ERROR, netlink.NLMSG_DONE)
        bodies = [one.body[4:] for one in found if one.type not in control]
        for chunk in _chunks(Which(wanted.family, _identity(body)) for body in bodies):
            for number in self._delete(chunk):
                if number not in (0, errno.ENOENT):
                    raise _refused(number)


def _to_port(family: int, port: int) -> Which:
    number = netlink.attribute(_CTA_PROTO_DST_PORT, struct.pack("!H", port))
    fields = netlink.nested(_CTA_TUPLE_PROTO, _udp(), number)
    flags = _filter(_CTA_FILTER_ORIG_FLAGS, _BY_PROTOCOL | _BY_PORT)
    version = socket.AF_INET if family == 4 else socket.AF_INET6
    return Which(version, netlink.nested(_CTA_TUPLE_ORIG, fields) + flags)


def _answered_by(address: str) -> Which:
    """By an IPv4 address."""
    source = netlink.attribute(_CTA_IP_V4_SRC, socket.inet_aton(address))
    fields = netlink.nested(_CTA_TUPLE_IP, source) + netlink.nested(_CTA_TUPLE_PROTO, _udp())
    flags = _filter(_CTA_FILTER_REPLY_FLAGS, _BY_SOURCE | _BY_PROTOCOL)
    return Which(socket.AF_INET, netlink.nested(_CTA_TUPLE_REPLY, fields) + flags)


def _filter(direction: int, flags: int) -> bytes:
    return netlink.nested(_CTA_FILTER, netlink.attribute(direction, struct.pack("=I", flags)))


def _udp() -> bytes:
    return netlink.attribute(_CTA_PROTO_NUM, bytes([socket.IPPROTO_UDP]))


def _identity(body: bytes) -> bytes:
    """What tells this flow from all others, as it came."""
    told = netlink.chosen(body, 0, (_CTA_TUPLE_ORIG, _CTA_ZONE, _CTA_ID))
    return b"".join(
        netlink.nested(type_, value)
        if type_ == _CTA_TUPLE_ORIG
        else netlink.attribute(type_, value)
        for type_, value in told.items()
    )


def _chunks(wanted: Iterable[Which]) -> Iterator[list[Which]]:
    """As many as have their acknowledgements in a socket's smallest buffer."""
    remaining = iter(wanted)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def _message(type_: int, flags: int, sequence: int, which: Which) -> bytes:
    header = struct.pack("!BBH", which.family, 0, 0)
    return netlink.message(_SUBSYSTEM << 8 | type_, flags, sequence, header + which.attributes)


def _refused(number: int) -> KernelError:
    return KernelError(f"conntrack -D -p udp: {os.strerror(number)}", errno=number)
