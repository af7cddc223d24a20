"""Flows that connection tracking remembers, on a way or of an address that is no longer theirs.

A translation is decided at a flow's first packet. One who sends UDP without a pause would go on
into the void after a port is published, or its container is gone; so its flow is forgotten,
and the next packet is its first again. And what a container has begun others may answer: so with
it ends whatever it had a part in, or the next one that has its address would be answered too.

Rules that hold here:
- The kernel looks for them: a table of a million flows is never read by us. Only where it would
  have to look hundreds of times, and has not that many, all of UDP are listed.
- It goes through its whole table for each port, a tenth of a millisecond; so it is asked first
  whether there are any at all.
- Layouts are those of linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Container, Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from ...model.errors import KernelError
from ...model.resources import PublishedPort
from ..namespaces import entered
from . import packed
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
_CTA_TUPLE_ZONE = 3
_CTA_IP_V4_SRC = 1
_CTA_PROTO_NUM = 1
_CTA_PROTO_DST_PORT = 3

_BY_SOURCE, _BY_PROTOCOL, _BY_PORT = 1 << 0, 1 << 3, 1 << 5
_CTA_IP_V6_SRC = 3

_MANY = 256
"""Ports from which on to list all flows takes less than to go through the table for each."""
_MOST_LISTED = 200_000
_LITTLE = 1000
"""Flows whose text is read in less time than the kernel goes through its table."""
_TEXT = "/proc/thread-self/net/nf_conntrack"

_NO_TRACKING = (errno.EINVAL, errno.EOPNOTSUPP)
"""What nfnetlink answers where connection tracking can't be asked (CONFIG_NF_CT_NETLINK)."""


class Which(NamedTuple):
    """Flows of one IP family; `attributes` say which of them."""

    family: int
    attributes: bytes


class Flows:
    """Those of one host namespace, over a socket that is open anyway. Threads may share it."""

    def __init__(self, sock: NftSocket, namespace: int) -> None:
        self._namespace = namespace
        # One of its own would have to be closed, and that waits, for milliseconds, until the
        # kernel has put away what nftables deleted before.
        self._socket = sock

    def forget_old_ways(self, ports: Iterable[PublishedPort]) -> None:
        """`conntrack -D -p udp --orig-port-dst PORT`, of each port that is now published."""
        listed = list(ports)
        numbers = {port.host_port for port in listed}
        self._forget_udp(
            {_to_port(port.family, port.host_port) for port in listed},
            lambda body: _port_asked(body) in numbers,
        )

    def forget_ways_to(self, ports: Iterable[PublishedPort]) -> None:
        """`conntrack -D -p udp --reply-src ADDRESS`, of each container that was published.

        For IPv6 it goes by the ports: there the kernel's filter takes every address for the one
        asked for but that one (its ctnetlink_filter_match_tuple, still in Linux 6.18).
        """
        listed = list(ports)
        self._forget({_answered_by(port.address) for port in listed if port.family == 4})
        numbers = {port.host_port for port in listed if port.family == 6}
        self._forget_udp(
            {_to_port(6, number) for number in numbers},
            lambda body: _port_asked(body) in numbers,
        )

    def end(self, addresses: Iterable[str], zone: int = 0) -> None:
        """`conntrack -D --orig-src ADDRESS --zone ZONE; conntrack -D --reply-src ADDRESS`.

        What others began has the zone of where they are. For IPv6, where the kernel can't look
        for an address (see above), all of that family are gone through; that takes it ten
        milliseconds, so its own text is looked into first. Where there is little of that, it is
        the quicker way for IPv4, too.
        """
        if not (count := self._count()):
            return
        of_family: dict[int, set[str]] = {4: set(), 6: set()}
        for address in addresses:
            of_family[6 if ":" in address else 4].add(address)
        if count < _LITTLE and not self._mentioned(of_family[4] | of_family[6]):
            return
        wanted = {_begun_by(address, zone) for address in of_family[4]}
        self._forget(
            wanted | {_answered_by(address, any_protocol=True) for address in of_family[4]}
        )
        if of_family[6] and self._mentioned(of_family[6]):
            self._end_listed({socket.inet_pton(socket.AF_INET6, one) for one in of_family[6]}, zone)

    def _end_listed(self, addresses: set[bytes], zone: int) -> None:
        flags = packed.NLM_F_REQUEST | packed.NLM_F_DUMP
        every = Which(socket.AF_INET6, b"")
        found = self._socket.exchange(lambda sequence: _message(_GET, flags, sequence, every))
        bodies = [one.body[4:] for one in found if any(raw in one.body for raw in addresses)]
        ended = (body for body in bodies if _concerns(body, addresses, zone))
        for chunk in packed.sends(Which(socket.AF_INET6, _identity(body)) for body in ended):
            self._delete_all(chunk)

    def _mentioned(self, addresses: Iterable[str]) -> bool:
        """`grep ADDRESS /proc/net/nf_conntrack`; True, too, where the kernel has no such file."""
        try:
            with entered(self._namespace):
                descriptor = os.open(_TEXT, os.O_RDONLY | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                text = file.read()
        except OSError:
            return True
        written = (f"={ip_address(address).exploded} ".encode() for address in addresses)
        return any(each in text for each in written)

    def _count(self) -> int:
        """`conntrack -C`; a great many where it can't be told."""
        answers = self._socket.exchange(
            lambda sequence: _message(_GET_STATS, packed.NLM_F_REQUEST, sequence, Which(0, b""))
        )
        for answer in answers:
            if answer.type == _SUBSYSTEM << 8 | _GET_STATS:
                told = packed.chosen(answer.body, 4, (_CTA_STATS_GLOBAL_ENTRIES,))
                return int.from_bytes(told[_CTA_STATS_GLOBAL_ENTRIES], "big")
        return _LITTLE

    def _forget_udp(self, wanted: set[Which], concerned: Callable[[bytes], bool]) -> None:
        """Those `wanted`; where that is many, all of UDP are listed once, for the `concerned`."""
        if len(wanted) <= _MANY or (count := self._count()) > _MOST_LISTED:
            self._forget(wanted)
            return
        for family in {which.family for which in wanted} if count else ():
            self._forget_listed(_of_udp(family), concerned)

    def _forget(self, wanted: set[Which]) -> None:
        for chunk in packed.sends(sorted(wanted)) if wanted and self._count() else ():
            for each, number in zip(chunk, self._delete(chunk), strict=True):
                if number == errno.EINVAL:  # before Linux 6.8 only a listing could be filtered
                    self._forget_listed(each)
                elif number:
                    raise _refused(number)

    def _delete(self, wanted: Sequence[Which]) -> list[int]:
        """Delete them, in one go; the errno of each, 0 for none."""
        flags = packed.NLM_F_REQUEST | packed.NLM_F_ACK

        def pack(first: int) -> bytes:
            return b"".join(
                _message(_DELETE, flags, sequence, each)
                for sequence, each in enumerate(wanted, first)
            )

        answers = self._socket.exchange(pack, len(wanted))
        acknowledged = [one.errno for one in answers if one.type == packed.NLMSG_ERROR]
        if len(acknowledged) != len(wanted):
            raise _refused(errno.EPROTO)
        return acknowledged

    def _forget_listed(
        self, wanted: Which, concerned: Callable[[bytes], bool] = lambda body: True
    ) -> None:
        """The same, flow by flow, of those the kernel says it is about, and are `concerned`."""
        flags = packed.NLM_F_REQUEST | packed.NLM_F_DUMP
        found = self._socket.exchange(lambda sequence: _message(_GET, flags, sequence, wanted))
        refused = [one.errno for one in found if one.errno]
        if refused and refused[0] not in _NO_TRACKING:
            raise _refused(refused[0])
        control = (packed.NLMSG_ERROR, packed.NLMSG_DONE)
        bodies = [one.body[4:] for one in found if one.type not in control]
        bodies = [body for body in bodies if concerned(body)]
        for chunk in packed.sends(Which(wanted.family, _identity(body)) for body in bodies):
            self._delete_all(chunk)

    def _delete_all(self, flows: Sequence[Which]) -> None:
        for number in self._delete(flows):
            if number not in (0, errno.ENOENT):
                raise _refused(number)


def _to_port(family: int, port: int) -> Which:
    number = packed.attribute(_CTA_PROTO_DST_PORT, struct.pack("!H", port))
    fields = packed.nested(_CTA_TUPLE_PROTO, _udp(), number)
    flags = _filter(_CTA_FILTER_ORIG_FLAGS, _BY_PROTOCOL | _BY_PORT)
    version = socket.AF_INET if family == 4 else socket.AF_INET6
    return Which(version, packed.nested(_CTA_TUPLE_ORIG, fields) + flags)


def _of_udp(version: int) -> Which:
    flags = _filter(_CTA_FILTER_ORIG_FLAGS, _BY_PROTOCOL)
    return Which(
        version, packed.nested(_CTA_TUPLE_ORIG, packed.nested(_CTA_TUPLE_PROTO, _udp())) + flags
    )


def _port_asked(body: bytes) -> int:
    """The port that the flow's first packet was for; 0 for a flow that is not of UDP."""
    for type_ in (_CTA_TUPLE_ORIG, _CTA_TUPLE_PROTO):
        body = packed.chosen(body, 0, (type_,)).get(type_, b"")
    fields = packed.chosen(body, 0, (_CTA_PROTO_NUM, _CTA_PROTO_DST_PORT))
    is_udp = fields.get(_CTA_PROTO_NUM) == bytes([socket.IPPROTO_UDP])
    return int.from_bytes(fields.get(_CTA_PROTO_DST_PORT, b""), "big") if is_udp else 0


def _answered_by(address: str, any_protocol: bool = False) -> Which:
    """By an IPv4 address; of UDP, where not `any_protocol`."""
    source = packed.attribute(_CTA_IP_V4_SRC, socket.inet_aton(address))
    fields, which = packed.nested(_CTA_TUPLE_IP, source), _BY_SOURCE
    if not any_protocol:
        fields, which = fields + packed.nested(_CTA_TUPLE_PROTO, _udp()), which | _BY_PROTOCOL
    flags = _filter(_CTA_FILTER_REPLY_FLAGS, which)
    return Which(socket.AF_INET, packed.nested(_CTA_TUPLE_REPLY, fields) + flags)


def _begun_by(address: str, zone: int) -> Which:
    """By an IPv4 address in that zone."""
    source = packed.attribute(_CTA_IP_V4_SRC, socket.inet_aton(address))
    tuple_ = packed.nested(_CTA_TUPLE_ORIG, packed.nested(_CTA_TUPLE_IP, source))
    zone_ = packed.attribute(_CTA_ZONE, struct.pack("!H", zone))
    return Which(socket.AF_INET, tuple_ + zone_ + _filter(_CTA_FILTER_ORIG_FLAGS, _BY_SOURCE))


def _concerns(body: bytes, addresses: Container[bytes], zone: int) -> bool:
    """Whether one of the IPv6 addresses began it, in that zone, or answers it."""
    told = packed.chosen(body, 0, (_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY))
    begun, answered = (
        dict(packed.attributes(told.get(type_, b"")))
        for type_ in (_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY)
    )
    there = int.from_bytes(begun.get(_CTA_TUPLE_ZONE, b""), "big")
    return _source(answered) in addresses or (_source(begun) in addresses and there == zone)


def _source(tuple_: dict[int, bytes]) -> bytes:
    return dict(packed.attributes(tuple_.get(_CTA_TUPLE_IP, b""))).get(_CTA_IP_V6_SRC, b"")


def _filter(direction: int, flags: int) -> bytes:
    return packed.nested(_CTA_FILTER, packed.attribute(direction, struct.pack("=I", flags)))


def _udp() -> bytes:
    return packed.attribute(_CTA_PROTO_NUM, bytes([socket.IPPROTO_UDP]))


def _identity(body: bytes) -> bytes:
    """What tells this flow from all others, as it came."""
    told = packed.chosen(body, 0, (_CTA_TUPLE_ORIG, _CTA_ZONE, _CTA_ID))
    return b"".join(
        packed.nested(type_, value) if type_ == _CTA_TUPLE_ORIG else packed.attribute(type_, value)
        for type_, value in told.items()
    )


def _message(type_: int, flags: int, sequence: int, which: Which) -> bytes:
    header = struct.pack("!BBH", which.family, 0, 0)
    return packed.message(_SUBSYSTEM << 8 | type_, flags, sequence, header + which.attributes)


def _refused(number: int) -> KernelError:
    return KernelError(f"conntrack -D: {os.strerror(number)}", errno=number)
