"""The socket of a DHCPv4 client: opened in the namespace this thread is in, used from anywhere.

Without the address it is a packet socket, for no other is given what is sent to an address that
the interface does not have: packets are ours to build and to check. With it, it is a UDP socket:
the kernel finds the server, checks what comes, puts fragments together, and tells nobody "port
unreachable" who has answered.
"""

from __future__ import annotations

import socket
from array import array
from contextlib import closing
from fcntl import ioctl
from struct import Struct
from time import monotonic, sleep

from ..kernel.checksum import checksum
from ..kernel.netlink import addresses, links
from ..kernel.netlink.rtnl_socket import Socket
from . import packets
from .client import Send
from .opened import Opened

_CLIENT, _SERVER = 68, 67
_EVERYBODY = "255.255.255.255"
_BROADCAST_MAC = b"\xff" * 6
_ETH_P_IP = 0x0800
_LARGEST = 4096
"""Bytes of a message that are read: more than one frame of what we say we take."""
_STEP = 0.001
"""Seconds between looks at whether all has left; nothing tells."""

_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # linux/if_packet.h
_STATUS = Struct("=I")  # the first field of struct tpacket_auxdata
_CHECKSUM_NOT_READY = 1 << 3
_SIOCOUTQ = 0x5411  # linux/sockios.h
_IP_PKTINFO = 8  # linux/in.h
_PKTINFO = Struct("=i4s4s")

_IP = Struct("!BBHHHBBH4s4s")
_UDP = Struct("!HHHH")
_PSEUDO = Struct("!4s4sHH")
_FRAGMENT = 0x3FFF
"""Of the field with flags and offset: one that is whole has none of these bits."""
_LOWDELAY = 0x10  # what DHCP clients have always sent

# linux/filter.h
_LOAD_HALF, _LOAD_BYTE, _LOAD_HEADER_LENGTH = 0x28, 0x30, 0xB1
_LOAD_WORD_IN, _LOAD_HALF_IN, _LOAD_BYTE_IN = 0x40, 0x48, 0x50
_EQUAL, _NO_BIT = (0x15, False), (0x45, True)  # and which answer refuses the packet
_RETURN = 0x06


class Wire4(Opened):
    """What goes to and comes from `interface`.

    `address` is what it has, without prefix length: "" before there is a lease. Where it is not on
    the interface after all (yet, or any more) this is found out. Raises OSError.
    """

    def __init__(self, interface: str, address: str = "") -> None:
        self._address = address if address and _is_on(interface, address) else ""
        self._interface = interface
        self._socket = _udp(interface) if self._address else _raw(interface)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Send) -> None:
        """Raises OSError."""
        to = message.to or _EVERYBODY
        if self._address:
            info = _PKTINFO.pack(0, socket.inet_aton(self._address), bytes(4))
            ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, info)]
            self._socket.sendmsg([message.payload], ancillary, 0, (to, _SERVER))
        else:
            # Whoever gives back an address says so as its owner; others are nobody yet.
            ciaddr = message.payload[12:16]
            packet = datagram(message.payload, ciaddr, socket.inet_aton(to))
            self._socket.sendto(packet, (self._interface, _ETH_P_IP, 0, 0, _BROADCAST_MAC))

    def receive(self) -> bytes | None:
        """The next message to a DHCP client here, None where there is none. Raises OSError."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LARGEST, 256)
            except BlockingIOError:
                return None
            found = data if self._address else payload(data, _is_unfinished(ancillary))
            if found is not None:
                return found

    def flush(self, seconds: float) -> None:
        """Wait until what was sent has left: the way to the server may have to be asked for."""
        waiting, end = array("i", [1]), monotonic() + seconds
        while waiting[0] and monotonic() < end:
            ioctl(self._socket, _SIOCOUTQ, waiting)
            if waiting[0]:
                sleep(_STEP)

    def close(self) -> None:
        if self._address:
            self._socket.close()
        else:
            packets.close(self._socket)


def _is_on(interface: str, address: str) -> bool:
    """To bind to it proves nothing: a namespace that never had an address refuses none."""
    with closing(Socket("the container")) as asking:
        index = links.index(asking, interface)
        found = addresses.on(asking, index, socket.AF_INET) if index else []
    return any(each.address.partition("/")[0] == address for each in found)


def _udp(interface: str) -> socket.socket:
    """Bound to no address: a server that refuses broadcasts it (RFC 2131, 4.3.2)."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        # A client inside the container may have the port too; what comes to the interface is ours.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.bind(("", _CLIENT))
    except BaseException:
        sock.close()
        raise
    return sock


def _raw(interface: str) -> socket.socket:
    mac = bytes.fromhex(packets.mac_of(interface).replace(":", ""))
    sock = packets.opened(interface, _ETH_P_IP, _answers_to(mac))
    sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    return sock


def _answers_to(mac: bytes) -> packets.Program:
    """`udp dst port 68`, not a fragment, a BOOTREPLY for `mac`; the rest is looked at later."""
    tests = (
        (_LOAD_BYTE, 9, _EQUAL, socket.IPPROTO_UDP),
        (_LOAD_HALF, 6, _NO_BIT, _FRAGMENT),
        (_LOAD_HALF_IN, 2, _EQUAL, _CLIENT),
        (_LOAD_BYTE_IN, 8, _EQUAL, 2),
        (_LOAD_WORD_IN, 8 + 28, _EQUAL, int.from_bytes(mac[:4], "big")),
        (_LOAD_HALF_IN, 8 + 32, _EQUAL, int.from_bytes(mac[4:], "big")),
    )
    program = [(_LOAD_HEADER_LENGTH, 0, 0, 0)]
    for number, (load, offset, (test, refused_if), operand) in enumerate(tests):
        refuse = 2 * (len(tests) - number) - 1
        jumps = (refuse, 0) if refused_if else (0, refuse)
        program += [(load, 0, 0, offset), (test, *jumps, operand)]
    return [*program, (_RETURN, 0, 0, 0xFFFF), (_RETURN, 0, 0, 0)]


def _is_unfinished(ancillary: list[tuple[int, int, bytes]]) -> bool:
    """Whether the UDP checksum was left to a card that this packet never came to."""
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            return bool(_STATUS.unpack_from(data)[0] & _CHECKSUM_NOT_READY)
    return False


def datagram(message: bytes, source: bytes, destination: bytes) -> bytes:
    """An IPv4 packet, from the client's port to the server's."""
    length = _UDP.size + len(message)
    pseudo = _PSEUDO.pack(source, destination, socket.IPPROTO_UDP, length)
    total = checksum(pseudo + _UDP.pack(_CLIENT, _SERVER, length, 0) + message) or 0xFFFF
    udp = _UDP.pack(_CLIENT, _SERVER, length, total) + message
    fields = (0x45, _LOWDELAY, _IP.size + length, 0, 0, 64, socket.IPPROTO_UDP)
    header = _IP.pack(*fields, 0, source, destination)
    return _IP.pack(*fields, checksum(header), source, destination) + udp


def payload(packet: bytes, unfinished: bool = False) -> bytes | None:
    """What is for a DHCP client in an IPv4 packet; None for another, or a damaged one.

    `unfinished`: the sender has left the UDP checksum to his card.
    """
    if len(packet) < _IP.size:
        return None
    head, _, total, _, part, _, protocol, _, source, destination = _IP.unpack_from(packet)
    start = (head & 0xF) * 4
    if head >> 4 != 4 or start < _IP.size or not start + _UDP.size <= total <= len(packet):
        return None
    if part & _FRAGMENT or protocol != socket.IPPROTO_UDP or checksum(packet[:start]):
        return None
    source_port, port, length, told = _UDP.unpack_from(packet, start)
    if (source_port, port) != (_SERVER, _CLIENT) or not _UDP.size <= length <= total - start:
        return None
    body = packet[start : start + length]
    pseudo = _PSEUDO.pack(source, destination, socket.IPPROTO_UDP, length)
    if told and not unfinished and checksum(pseudo + body):
        return None
    return body[_UDP.size :]
