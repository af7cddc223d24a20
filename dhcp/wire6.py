"""The socket of a DHCPv6 client: opened in the namespace this thread is in, used from anywhere.

A socket keeps its namespace alive, and lets it go when it is closed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from . import link_local
from .client import Send
from .opened import Opened

_CLIENT, _SERVER = 546, 547
_ALL_SERVERS = "ff02::1:2"  # RFC 8415, section 7.1: All_DHCP_Relay_Agents_and_Servers
_LARGEST = 4096
"""Bytes of a message that are read: more than two frames."""


class Wire6(Opened):
    """What goes to and comes from `interface`.

    For up to `seconds` it is waited until the link-local address may be used. Raises OSError, and
    what `link_local.wait` raises.
    """

    def __init__(
        self,
        interface: str,
        seconds: float = 0.0,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        own = link_local.wait(interface, seconds, abandoned)
        self._index = socket.if_nametoindex(interface)
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_INET6, kind)
        try:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A client inside the container may have the port, too; what comes to ours is ours.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            self._socket.bind((own, _CLIENT, 0, self._index))
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Send) -> None:
        """Raises OSError."""
        to = message.to or _ALL_SERVERS
        self._socket.sendto(message.payload, (to, _SERVER, 0, self._index))

    def receive(self) -> bytes | None:
        """The next datagram to a DHCPv6 client here, None where there is none. Raises OSError."""
        try:
            return self._socket.recv(_LARGEST)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._socket.close()
