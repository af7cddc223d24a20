"""Whether somebody uses an address already: a neighbour solicitation from :: (RFC 4862, 5.4).

The kernel's own detection, which takes a second, finds those who answer after the verdict.
"""

from __future__ import annotations

import socket
import sys
from struct import Struct

from ..kernel import icmpv6
from . import packets
from .probing import Probing

_ETH_P_IPV6 = 0x86DD
_MESSAGE = Struct("!BBHI16s")  # RFC 4861, sections 4.3 and 4.4, without options
_NOBODY = bytes(16)
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")  # RFC 4291, section 2.7.1
_MULTICAST_MAC = b"\x33\x33"  # RFC 2464, section 7
_LARGEST = 2048
_OF_TYPE = icmpv6.HEADER.size
_FILTER: packets.Program = [  # icmp6[0] == 135 or icmp6[0] == 136 (linux/filter.h)
    (0x30, 0, 0, 6),
    (0x15, 0, 4, socket.IPPROTO_ICMPV6),
    (0x30, 0, 0, _OF_TYPE),
    (0x15, 1, 0, icmpv6.NEIGHBOUR_SOLICITATION),
    (0x15, 0, 1, icmpv6.NEIGHBOUR_ADVERTISEMENT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
]


class NeighbourProbe(Probing):
    """Probes for `address` on `interface`, from the namespace this thread is in. Raises OSError."""

    def __init__(self, interface: str, address: str, now: float) -> None:
        super().__init__(now)
        self._address = socket.inet_pton(socket.AF_INET6, address)
        self._group = _SOLICITED_NODE + self._address[-3:]
        self._to = (interface, _ETH_P_IPV6, 0, 0, _MULTICAST_MAC + self._group[-4:])
        self._own = bytes.fromhex(packets.mac_of(interface).replace(":", ""))
        self._member = _joined(self._group, interface)
        try:
            self._socket = packets.opened(interface, _ETH_P_IPV6, _FILTER)
        except BaseException:
            self._member.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self) -> None:
        message = _MESSAGE.pack(icmpv6.NEIGHBOUR_SOLICITATION, 0, 0, 0, self._address)
        self._socket.sendto(icmpv6.packet(_NOBODY, self._group, message), self._to)

    def receive(self) -> None:
        """Something has come in. Raises OSError."""
        while not self.done:
            try:
                packet, (_, _, _, _, mac) = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            if is_claim(packet, mac, self._address, self._own):
                self.taken_by = mac.hex(":")
                self.done = True

    def close(self) -> None:
        self._member.close()
        packets.close(self._socket)


def is_claim(packet: bytes, mac: bytes, address: bytes, own: bytes) -> bool:
    """Whether `packet`, from `mac`, shows that `address` is taken; `own` is our MAC.

    Somebody advertises it, sends from it, or probes for it as we do.
    """
    if len(packet) < icmpv6.HEADER.size + _MESSAGE.size:
        return False
    _, _, _, hops, source, _ = icmpv6.HEADER.unpack_from(packet)
    kind, _, _, _, target = _MESSAGE.unpack_from(packet, icmpv6.HEADER.size)
    if hops != icmpv6.HOP_LIMIT:
        return False
    if kind == icmpv6.NEIGHBOUR_ADVERTISEMENT:
        return bool(target == address)
    # Neighbours on ipvlan share a MAC: that one of them probes can't be told from our own.
    probing = source == _NOBODY and target == address and mac != own
    return probing or bool(source == address)


def _joined(group: bytes, interface: str) -> socket.socket:
    """While it is open, what goes to `group` comes here, past switches and cards that filter."""
    member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        index = socket.if_nametoindex(interface).to_bytes(4, sys.byteorder)
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + index)
    except BaseException:
        member.close()
        raise
    return member
