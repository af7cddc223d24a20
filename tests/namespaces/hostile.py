"""Frames made by hand, and who gets them: what root in a container can put on its link.

All of it plays inside one fake host, in the process of the test (`scenes.in_host`).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from published import checksum, datagram, ipv4
from scenes import PATIENCE, entered, ip

PORT = 9999
END = b"end"
RESERVED = "01:80:c2:00:00:0e"
"""An address that the bridge keeps for itself (IEEE 802.1Q, table 8-1): LLDP's."""
IPV4, ARP, IPV6, VLAN, SERVICE_VLAN = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
ALL_NODES = "ff02::1"
NONE = "::"

_ICMPV6, _DESTINATION_OPTIONS, _HOP_BY_HOP = 58, 60, 0
TOO_BIG, LISTENER_QUERY = 2, 130
ROUTER_ADVERT, SOLICIT, ADVERT, REDIRECT, MULTICAST_ROUTER = 134, 135, 136, 137, 151
IGMP, IGMP_QUERY, IGMP_ROUTER = 2, 0x11, 0x30


# --- frames -------------------------------------------------------------------------


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(source: str, target: str, packet: bytes, kind: int = 0) -> bytes:
    """An Ethernet frame; IPv4 or IPv6 by the packet's version where no kind is given."""
    kind = kind or {4: IPV4, 6: IPV6}[packet[0] >> 4]
    return mac(target) + mac(source) + struct.pack("!H", kind) + packet


def tagged(plain: bytes, *kinds: int) -> bytes:
    """The frame with tags of VLAN 0, the first one outermost (IEEE 802.1Q, 6.9.1)."""
    tags = b"".join(struct.pack("!HH", kind, 0) for kind in kinds)
    return plain[:12] + tags + plain[12:]


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str]) -> bytes:
    """RFC 826; sender and target are (MAC, address)."""
    pairs = b"".join(mac(one) + IPv4Address(address).packed for one, address in (sender, target))
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + pairs


def udp(
    source: str,
    target: str,
    text: bytes,
    port: int = PORT,
    sender: int = 5555,
    *,
    option: bool = False,
) -> bytes:
    """A datagram in an IPv4 or IPv6 packet; `option`: behind another header of IPv6's."""
    if ":" not in target:
        return datagram(source, target, port, text, sender=sender)
    head = struct.pack("!HHH", sender, port, 8 + len(text))
    return _ipv6(source, target, socket.IPPROTO_UDP, head, text, option=option)


def icmpv6(
    source: str,
    target: str,
    kind: int,
    body: bytes,
    *,
    option: bool = False,
    alert: bool = False,
    code: int = 0,
) -> bytes:
    """With hop limit 255, as neighbour discovery must have; `option`: behind another header.

    `alert`: behind one for routers, with hop limit 1.
    """
    head = struct.pack("!BB", kind, code)
    return _ipv6(source, target, _ICMPV6, head, body, option=option, alert=alert)


def advert(source: str, target: str, claimed: str, at: str, *, option: bool = False) -> bytes:
    """A neighbour advertisement, overriding (RFC 4861, section 4.4)."""
    body = struct.pack("!I", 0x20000000) + IPv6Address(claimed).packed + b"\2\1" + mac(at)
    return icmpv6(source, target, ADVERT, body, option=option)


def solicit(source: str, target: str, asked: str, at: str = "") -> bytes:
    """A neighbour solicitation; with `at` it tells where its source is (section 4.3)."""
    told = b"\1\1" + mac(at) if at else b""
    return icmpv6(source, target, SOLICIT, bytes(4) + IPv6Address(asked).packed + told)


def router_advert(source: str, at: str, *, option: bool = False) -> bytes:
    """To all nodes: a router for half an hour (section 4.2)."""
    body = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + b"\1\1" + mac(at)
    return icmpv6(source, ALL_NODES, ROUTER_ADVERT, body, option=option)


def icmp_redirect(source: str, target: str, better: str, sent: bytes) -> bytes:
    """RFC 792: "for what you have `sent`, `better` is a better gateway"."""
    body = socket.inet_aton(better) + sent[:28]
    check = checksum(struct.pack("!BBH", 5, 1, 0) + body)
    return ipv4(source, target, socket.IPPROTO_ICMP, struct.pack("!BBH", 5, 1, check) + body)


def redirect(source: str, target: str, better: str, far: str) -> bytes:
    """RFC 4861, section 4.5: "for `far`, `better` is a better first hop"."""
    ends = IPv6Address(better).packed + IPv6Address(far).packed
    return icmpv6(source, target, REDIRECT, bytes(4) + ends)


def igmp(source: str, target: str, kind: int) -> bytes:
    """RFC 2236, section 2, and RFC 4286, section 3"""
    body = struct.pack("!BBHI", kind, 100, checksum(struct.pack("!BBHI", kind, 100, 0, 0)), 0)
    return ipv4(source, target, IGMP, body)


def mld(source: str, target: str, kind: int) -> bytes:
    """RFC 2710, section 3: about all groups; behind a router alert, without which it is none."""
    body = struct.pack("!HH", 100, 0) + bytes(16)  # milliseconds to wait, and which group
    return icmpv6(source, target, kind, body, alert=True)


def solicited_node(address: str) -> str:
    """RFC 4291, section 2.7.1"""
    prefix = IPv6Address("ff02::1:ff00:0").packed[:13]
    return str(IPv6Address(prefix + IPv6Address(address).packed[-3:]))


def multicast_mac(address: str) -> str:
    """RFC 1112, section 6.4, and RFC 2464, section 7"""
    if ":" not in address:
        low = IPv4Address(address).packed[-3:]
        return (b"\x01\x00\x5e" + bytes((low[0] & 0x7F,)) + low[1:]).hex(":")
    return (b"\x33\x33" + IPv6Address(address).packed[-4:]).hex(":")


def _ipv6(
    source: str,
    target: str,
    protocol: int,
    head: bytes,
    rest: bytes,
    *,
    option: bool = False,
    alert: bool = False,
) -> bytes:
    """`head` and `rest` have the checksum between them."""
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    payload = head + bytes(2) + rest
    pseudo = ends + struct.pack("!II", len(payload), protocol)
    payload = head + struct.pack("!H", checksum(pseudo + payload) or 0xFFFF) + rest
    if option:
        payload = struct.pack("!BBBB", protocol, 0, 1, 4) + bytes(4) + payload  # PadN
        protocol = _DESTINATION_OPTIONS
    if alert:  # RFC 2711
        payload = struct.pack("!BBBBHBB", protocol, 0, 5, 2, 0, 1, 0) + payload
        protocol = _HOP_BY_HOP
    hops = 1 if alert else 255
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + ends + payload


# --- who sends and who hears --------------------------------------------------------


def link_mac(name: str, netns: str = "") -> str:
    (found,) = ip(f"link show {name}", netns)
    return str(found["address"])


def address_shown(words: str, netns: str, interface: str = "eth0") -> dict[str, Any]:
    """The one address that `ip addr show dev INTERFACE WORDS` lists."""
    (link,) = ip(f"addr show dev {interface} {words}", netns)
    (found,) = filter(None, link["addr_info"])  # what is left out is listed as {}
    assert isinstance(found, dict)
    return found


def send(netns: str, frames: Iterable[bytes]) -> None:
    with entered(netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        for one in frames:
            sock.send(one)


def speak(netns: str, address: str, text: bytes, port: int = PORT, sender: int = 0) -> None:
    """A datagram as the kernel in there sends it, by the routes that its root has set."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with entered(netns), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("", sender))
        sock.sendto(text, (address, port))


class Ear:
    """What comes in somewhere; each says whether `text` has come before END, or by now."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.settimeout(PATIENCE)

    def heard(self, text: bytes = b"") -> bool:
        """Before END, which is waited for."""
        found = False
        with self._sock:
            while END not in (came := self._sock.recv(2000)):
                found |= text in came
        return found

    def holds(self, text: bytes) -> bool:
        """By now: for where END comes to another ear, by the same way."""
        found = False
        self._sock.setblocking(False)
        with self._sock, suppress(BlockingIOError):
            while not found:
                found = text in self._sock.recv(2000)
        return found


def tap(interface: str, netns: str = "") -> Ear:
    """Every frame that comes in at an interface, whatever the kernel makes of it."""
    everything = 0x0003  # ETH_P_ALL
    with entered(netns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything))
        sock.bind((interface, everything))
    return Ear(sock)


def listener(netns: str = "", address: str = "::", port: int = PORT) -> Ear:
    """Every datagram that the kernel takes for its own; `::` is every address, IPv4's too."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with entered(netns):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((address, port))
    return Ear(sock)
