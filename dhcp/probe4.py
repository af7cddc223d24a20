"""Whether somebody uses an address already: ARP probes (RFC 5227, 2.1.1)."""

from __future__ import annotations

import socket
from struct import Struct

from . import packets
from .probing import Probing

_ETH_P_ARP = 0x0806
_ARP = Struct("!HHBBH6s4s6s4s")  # RFC 826
_ETHERNET_IPV4 = (1, 0x0800, 6, 4)
_REQUEST = 1
_BROADCAST_MAC = b"\xff" * 6
_ALL: packets.Program = [(0x06, 0, 0, 0xFFFF)]


class ArpProbe(Probing):
    """Probes for `address` on `interface`, from the namespace this thread is in. Raises OSError."""

    def __init__(self, interface: str, address: str, now: float) -> None:
        super().__init__(now)
        self._to = (interface, _ETH_P_ARP, 0, 0, _BROADCAST_MAC)
        self._address = socket.inet_aton(address)
        self._own = bytes.fromhex(packets.mac_of(interface).replace(":", ""))
        self._socket = packets.opened(interface, _ETH_P_ARP, _ALL)

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self) -> None:
        ends = (self._own, bytes(4), bytes(6), self._address)
        self._socket.sendto(_ARP.pack(*_ETHERNET_IPV4, _REQUEST, *ends), self._to)

    def receive(self) -> None:
        """Something has come in. Raises OSError."""
        while not self.done:
            try:
                packet = self._socket.recv(_ARP.size)
            except BlockingIOError:
                return
            self.taken_by = self._user(packet)
            self.done = bool(self.taken_by)

    def _user(self, packet: bytes) -> str:
        """The MAC of who shows by `packet` that he has the address, or is about to; else "".

        He sends from it, or probes for it as we do.
        """
        if len(packet) < _ARP.size:
            return ""
        *kind, operation, mac, sender, _, target = _ARP.unpack_from(packet)
        if tuple(kind) != _ETHERNET_IPV4:
            return ""
        # Neighbours on ipvlan share a MAC: that one of them probes can't be told from our own.
        probes = operation == _REQUEST and not any(sender) and target == self._address
        taken = sender == self._address or (probes and mac != self._own)
        return mac.hex(":") if taken else ""

    def close(self) -> None:
        packets.close(self._socket)
