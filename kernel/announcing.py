"""Tells an attachment's neighbours where its addresses are now.

Who was asked for one of them by the MAC of an earlier container would go on for half a minute;
a gratuitous ARP (RFC 5227, section 3) and an unsolicited neighbour advertisement (RFC 4861,
section 7.2.6) end that. The kernel's own (`arp_notify`) is sent when the interface comes up,
which is before its port forwards, and lost.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from struct import Struct
from time import sleep

from ..model.plan import Announcement
from . import icmpv6
from .namespaces import entered, of_socket
from .netlink import links
from .netlink.rtnl import address_bytes
from .places import Places

_BROADCAST = b"\xff" * 6
_ALL_NODES = address_bytes("ff02::1")
_ALL_NODES_MAC = bytes.fromhex("333300000001")

_ETHERNET = Struct("!6s6sH")
_ARP = Struct("!HHBBH6s4s6s4s")  # RFC 826
_ADVERTISEMENT = Struct("!BBHI16sBB6s")  # RFC 4861, section 4.4, with the target's MAC
_OVERRIDE = 1 << 29

_ATTEMPTS = 20
_STEP = 0.002
"""Seconds between looks; a bridge that runs STP forwards half a minute later, so we give up."""


def announce(at: Places, announcement: Announcement) -> None:
    """Once the port forwards, or after 40 ms; by sockets alone. Raises OSError, `CniError`."""
    _wait_until_connected(at, announcement)
    with _opened_inside(at) as raw:
        raw.bind((announcement.interface, 0))
        mac = raw.getsockname()[4]
        for frame in frames(mac, announcement.addresses):
            raw.send(frame)


def _opened_inside(at: Places) -> socket.socket:
    """By way of the socket there: whoever called has its answer, and may unmount what it gave."""
    namespace = of_socket(at.socket("sandbox").raw)
    try:
        with entered(namespace):
            return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    finally:
        os.close(namespace)


def _wait_until_connected(at: Places, announcement: Announcement) -> None:
    # Since Linux 6.8 the kernel acts upon a new carrier when it is looked at, if not before.
    for _ in range(_ATTEMPTS):
        inside = links.is_operational(at.socket("sandbox"), announcement.interface)
        port = announcement.port
        outside = not port or links.is_operational(at.socket("host"), port)
        if inside and outside:
            return
        sleep(_STEP)


def frames(mac: bytes, addresses: Iterable[str]) -> Iterator[bytes]:
    """What tells everybody on the link that these addresses ("10.1.0.2") are at `mac`."""
    for text in addresses:
        address = address_bytes(text)
        if len(address) == 4:
            request = _ARP.pack(1, 0x0800, 6, 4, 1, mac, address, bytes(6), address)
            yield _ETHERNET.pack(_BROADCAST, mac, 0x0806) + request
        else:
            yield _ETHERNET.pack(_ALL_NODES_MAC, mac, 0x86DD) + _advertisement(mac, address)


def _advertisement(mac: bytes, address: bytes) -> bytes:
    head = icmpv6.NEIGHBOUR_ADVERTISEMENT, 0, 0
    message = _ADVERTISEMENT.pack(*head, _OVERRIDE, address, 2, 1, mac)
    return icmpv6.packet(address, _ALL_NODES, message)
