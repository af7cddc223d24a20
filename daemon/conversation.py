"""One caller on one connection: what it asks, what it sent along, and whether it still waits.

What the caller says of itself is believed only where the kernel says it too: its uid is
the socket's, its namespaces are descriptors. A caller that this daemon can't stand in
for is `Declined`, always before any effect.
"""

from __future__ import annotations

import os
import select
import socket
from array import array
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct

from ..model.errors import Declined
from . import token, wire
from .call import Call, Reply
from .descriptors import NETWORK, USERS, Standing
from .installed import Replaced

RECEIVE_SECONDS = 5.0
"""How long the caller may take to send its request, or to take the answer."""
_FIRST_READ = 1 << 16  # a request is a few KiB: one system call
_CREDENTIALS = Struct("iII")  # struct ucred: pid, uid, gid
_INT = 4
_MOST = wire.DESCRIPTORS + 1
_ANCILLARY = socket.CMSG_SPACE(_MOST * _INT)
_POLLRDHUP = 0x2000


class Conversation:
    """The connection, and every descriptor that came with it until there is an answer."""

    def __init__(self, connection: socket.socket, standing: Standing) -> None:
        self._socket = connection
        self._standing = standing
        self._descriptors: list[int] = []
        self._token = -1
        self._is_taken = False
        self.is_accepted = False

    def hear(self) -> Call:
        """The request, once it is whole and one of ours to serve. Raises `Declined`.

        `Replaced` where the launcher is of a package that came after this one.
        """
        self._check_peer()
        try:
            self._socket.settimeout(RECEIVE_SECONDS)
            request = wire.decode_request(self._receive())
            return self._call(request)
        except wire.OtherVersion as error:
            refusal = Replaced if error.is_later else Declined
            raise refusal(str(error)) from error
        except (wire.Malformed, OSError) as error:
            raise Declined(str(error)) from error

    def accepted(self) -> None:
        """Take the token: from now on nobody else is to do this.

        Raises `Declined` where the caller waits no longer, and may be one-shot already.
        """
        if not self.is_accepted:
            self.reserve()
            self.is_accepted = True

    def reserve(self) -> None:
        """The same for one that is not begun yet, so that it may still be declined."""
        if self.cancelled():
            raise Declined("the caller has hung up")
        try:
            if not (self._is_taken or token.take(self._token)):
                raise Declined("the caller has given up waiting")
        except wire.Malformed as error:
            raise Declined(str(error)) from error
        self._is_taken = True

    def give_back(self) -> None:
        """It is not accepted after all, if that can be: the caller may do it itself."""
        with suppress(OSError):
            if self._is_taken:
                token.give_back(self._token)
            self._is_taken = self.is_accepted = False

    def cancelled(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, _POLLRDHUP)
        return bool(poll.poll(0))

    def answer(self, reply: Reply) -> None:
        """Nothing of the caller's is held any more once it has it. Raises `wire.Malformed`."""
        frame = wire.encode_reply(reply.status, reply.stdout)
        self._let_go()
        self._send(frame)

    def decline(self, reason: str) -> None:
        """Only where it is not accepted, and nothing of it is begun or left."""
        self.give_back()
        self._let_go()
        self._send(wire.declined(reason))

    def close(self) -> None:
        self._socket.close()
        self._let_go()

    def _let_go(self) -> None:
        """Of all that came along; the connection alone holds nothing of the caller's."""
        _close_all(self._descriptors)

    def _send(self, frame: bytes) -> None:
        with suppress(OSError):  # nobody is left to hear it
            self._socket.sendall(frame)

    def _check_peer(self) -> None:
        credentials = self._socket.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        _, uid, _ = _CREDENTIALS.unpack(credentials)
        if uid not in (0, self._standing.uid):
            raise Declined(f"this daemon serves uid 0 and {self._standing.uid}, not {uid}")

    def _receive(self) -> bytes:
        """The body of the request. Raises OSError, `Malformed`, `OtherVersion`."""
        data, ancillary, flags, _ = self._socket.recvmsg(
            _FIRST_READ, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
        )
        self._descriptors = _descriptors_in(ancillary)
        if flags & socket.MSG_CTRUNC:  # the kernel drops those there is no number for
            raise wire.Malformed("more descriptors came than there is room for")
        while 0 < len(data) < wire.HEADER_SIZE:
            data += self._some(wire.HEADER_SIZE - len(data))
        kind, length = wire.header(data)
        if kind != wire.REQUEST:
            raise wire.Malformed("a request was expected")
        missing = wire.HEADER_SIZE + length - len(data)
        if missing == 0:
            return data[wire.HEADER_SIZE :]
        whole = bytearray(data[wire.HEADER_SIZE :])
        while len(whole) < length:
            whole += self._some(min(length - len(whole), 1 << 20))
        return bytes(whole)

    def _some(self, most: int) -> bytes:
        data = self._socket.recv(most)
        if not data:
            raise wire.Malformed("the request ends in its middle")
        return data

    def _call(self, request: wire.Request) -> Call:
        """Raises `Declined`, OSError."""
        fds, here = self._descriptors, self._standing
        if len(fds) < wire.DESCRIPTORS:
            raise wire.Malformed(f"{len(fds)} descriptors came; {wire.DESCRIPTORS} are the least")
        host, mounts, users, root, state, stderr, self._token = fds[: wire.DESCRIPTORS]
        if here.namespace(host, NETWORK) is None:
            raise wire.Malformed("the first descriptor is no network namespace")
        if here.namespace(users, USERS) != here.users:
            raise Declined("the caller is in another user namespace")
        if not here.is_state(state):
            raise Declined("this daemon serves another state directory")
        sandbox = fds[wire.DESCRIPTORS] if len(fds) > wire.DESCRIPTORS else None
        if sandbox is not None and here.namespace(sandbox, NETWORK) is None:
            sandbox = None
        return Call(
            plugin=request.plugin,
            environ=request.environ,
            stdin=request.stdin,
            host=host,
            sandbox=sandbox,
            stderr=stderr,
            root=here.root_of(mounts, root),
            accepted=self.accepted,
            cancelled=self.cancelled,
        )


def _descriptors_in(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    found = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        try:  # noqa: SIM105 - for eight of them it costs more than to close them
            os.close(fd)
        except OSError:
            pass
    descriptors.clear()
