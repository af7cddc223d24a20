"""Listeners that stand in namespaces for the time of a check, and tell callers who they seem to be.

Rules that hold here:
- They live in the process of the check, by sockets that were opened in the namespace; so they
  are gone when it is.
- Where something listens already nothing is put. Where somebody is about to (a container that
  runs a command), it is waited for first.
- Whoever sends a line is answered with the address the line came from, and with the line
  backwards: an answer can be told from a question, and from somebody else's answer. A line of
  HTTP is answered as a web server would, with that address as the body.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...kernel.namespaces import entered
from ...kernel.netlink import listeners as kernel

_LOOK_AGAIN = 0.02
_RECEIVE = 65536
_LINE = 4096
_IP_PKTINFO = 8  # linux/in.h
_PKTINFO = struct.Struct("=I4s4s")  # interface, address to answer from, address it was sent to
_PKTINFO6 = struct.Struct("=16sI")  # address, interface
_ANY = {4: "0.0.0.0", 6: "::"}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_TAKEN = (errno.EADDRINUSE,)
_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ")


@dataclass(frozen=True)
class Stand:
    """Where somebody has to listen: on `port`, in the namespace of the descriptor `network`.

    `patience` is how many seconds somebody else has to begin to.
    """

    network: int
    protocol: Literal["tcp", "udp"]
    family: int
    port: int
    patience: float = 0.0


class Listeners:
    """Ours, beside those that stood there before; they serve when their `selector` is asked."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.heard: set[bytes] = set()
        """The lines that ours have received."""
        self._selector = selector
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def put(self, stands: Sequence[Stand]) -> dict[Stand, bool]:
        """Whether the listener at each is ours. Raises `OSError`."""
        begun = time.monotonic()
        return {stand: not self._is_taken(stand, begun) and self._put(stand) for stand in stands}

    def _is_taken(self, stand: Stand, begun: float) -> bool:
        """Whether somebody who was to be waited for listens by now."""
        while time.monotonic() < begun + stand.patience:
            for found in kernel.on(stand.network, [(stand.protocol, stand.port)]):
                if found.address == "*" or (":" in found.address) == (stand.family == 6):
                    return True
            time.sleep(_LOOK_AGAIN)
        return False

    def _put(self, stand: Stand) -> bool:
        kind = socket.SOCK_STREAM if stand.protocol == "tcp" else socket.SOCK_DGRAM
        with entered(stand.network):
            listener = socket.socket(_FAMILIES[stand.family], kind | socket.SOCK_NONBLOCK)
        self._closing.callback(listener.close)
        if stand.family == 6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            self._start(listener, stand)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def _start(self, listener: socket.socket, stand: Stand) -> None:
        if stand.protocol == "tcp":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_ANY[stand.family], stand.port))
            listener.listen(128)
            serve = self._accept
        else:
            if stand.family == 4:
                listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            else:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            listener.bind((_ANY[stand.family], stand.port))
            serve = self._answer_datagrams
        self._selector.register(listener, selectors.EVENT_READ, lambda: serve(listener))

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # whoever knocked may be gone
            connection, (peer, *_) = listener.accept()
            self._closing.callback(connection.close)
            connection.setblocking(False)
            self._selector.register(
                connection, selectors.EVENT_READ, lambda: self._answer(connection, peer)
            )

    def _answer(self, connection: socket.socket, peer: str) -> None:
        with contextlib.suppress(OSError):
            if said := connection.recv(_LINE):
                connection.sendall(self._reply(said, peer))
        self._selector.unregister(connection)
        connection.close()

    def _answer_datagrams(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            said, about, _, (peer, *rest) = listener.recvmsg(_LINE, 256)
            from_where = [_answering_from(*each) for each in about]
            listener.sendmsg([self._reply(said, peer)], from_where, 0, (peer, *rest))

    def _reply(self, said: bytes, peer: str) -> bytes:
        lines = said.split()
        token = lines[-1] if lines else b""
        self.heard.add(token)
        if not said.startswith(_METHODS):
            return b"%s %s\n" % (peer.encode(), backwards(token))
        body = f"{peer}\n".encode()
        return b"\r\n".join(
            (
                b"HTTP/1.0 200 OK",
                b"Content-Type: text/plain; charset=utf-8",
                b"Content-Length: %d" % len(body),
                b"X-Pynet: " + backwards(token),
                b"",
                b"" if said.startswith(b"HEAD ") else body,
            )
        )


def backwards(token: bytes) -> bytes:
    """What ours say to a token."""
    return token[::-1]


def _answering_from(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """A host has many addresses: an answer comes from the one that was asked."""
    if level == socket.IPPROTO_IP:
        _, local, _ = _PKTINFO.unpack_from(data)
        return level, kind, _PKTINFO.pack(0, local, bytes(4))
    address, _ = _PKTINFO6.unpack_from(data)
    return level, kind, _PKTINFO6.pack(address, 0)
