"""A tap in a container, and the process that has the other end of it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from evidence import entered
from scenes import ip, run

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_OURS, _THEIRS = "10.66.0.2", "10.66.0.1"
_THEIR_MAC = "02:00:00:00:66:01"
_PORT = 5000
_PAYLOAD = 1400
_HEADERS = 42  # Ethernet, IPv4, UDP
_PATIENCE = 20.0


class Tap:
    """`ip tuntap add NAME mode tap`, held open; the container has 10.66.0.2, its process .1."""

    def __init__(self, netns: str, name: str) -> None:
        with entered(netns):
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
            fcntl.ioctl(self.fd, _TUNSETIFF, request)
        self.netns = netns
        for words in (
            f"addr add {_OURS}/24 dev {name}",
            f"link set {name} up",
            f"neigh add {_THEIRS} lladdr {_THEIR_MAC} dev {name}",
        ):
            run(f"ip -n {netns} {words}")
        self.mac = ip(f"link show {name}", netns)[0]["address"]

    def read_rate(self, rate: int) -> float:
        """Bits a second that come out, of as many datagrams as the container can send."""
        with entered(self.netns):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock, _busy(lambda: sock.sendto(bytes(_PAYLOAD), (_THEIRS, _PORT))):
            return _measured(lambda: os.read(self.fd, 2000), rate)

    def write_rate(self, rate: int) -> float:
        """Bits a second that reach the container, of as many frames as can be written."""
        frame = self._frame()
        with entered(self.netns):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((_OURS, _PORT))
        sock.settimeout(_PATIENCE)
        with sock, _busy(lambda: os.write(self.fd, frame)):
            return _measured(lambda: sock.recv(2000) + bytes(_HEADERS), rate)

    def _frame(self) -> bytes:
        def mac(text: str) -> bytes:
            return bytes.fromhex(text.replace(":", ""))

        addresses = socket.inet_aton(_THEIRS) + socket.inet_aton(_OURS)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 28 + _PAYLOAD, 0, 0, 64, 17, 0) + addresses
        total = sum(struct.unpack("!10H", header))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
        header = header[:10] + checksum + header[12:]
        udp = struct.pack("!HHHH", _PORT, _PORT, 8 + _PAYLOAD, 0)
        return mac(self.mac) + mac(_THEIR_MAC) + b"\x08\0" + header + udp + bytes(_PAYLOAD)


@contextmanager
def _busy(send: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            send()

    sending = threading.Thread(target=repeat)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()


def _measured(receive: Callable[[], bytes], rate: int) -> float:
    """Over a second of `rate`, once half a second of it has gone by."""
    for size in (rate // 16, rate // 8):
        begin, got = monotonic(), 0
        while got < size:
            got += len(receive())
        found = 8 * got / (monotonic() - begin)
    return found
