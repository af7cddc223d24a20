"""A socket to rtnetlink, in the namespace it was opened in.

Rules that hold here:
- One user at a time: a socket belongs to one request (`warm` lends them out).
- The kernel answers before a send returns, so nothing ever waits; and every answer is read, and
  told from others by its sequence number.
- What is more than a send takes, or its answers than a receive buffer, goes in several.
- A dump the kernel calls inconsistent is read again, five times, and is then an error.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Container, Sequence

from ...model.errors import KernelError
from .. import namespaces
from .packed import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    messages,
    sends,
)
from .rtnl import Operation, explanation, status

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_ATTEMPTS = 5
_BUFFER = 32768  # the most the kernel puts into one datagram of a dump

_HINTS = {
    errno.EPERM: "; that needs CAP_NET_ADMIN in the namespace",
    errno.EAFNOSUPPORT: "; the kernel lacks this address family (is IPv6 turned off?)",
}


class Socket:
    """Requests to the kernel about one network namespace, `where` in errors.

    With `broken` set, answers may be outstanding: close it, don't use it again.
    """

    def __init__(self, where: str, *, groups: int = 0) -> None:
        self.where = where
        self.broken = False
        self._sequence = 0
        self.raw = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self.raw.setsockopt(_SOL_NETLINK, option, 1)
        if groups:
            self.raw.bind((0, groups))

    @classmethod
    def inside(cls, namespace: int, where: str, *, groups: int = 0) -> Socket:
        """One that is, and stays, in the namespace of this descriptor."""
        with namespaces.entered(namespace):
            return cls(where, groups=groups)

    @property
    def cookie(self) -> int:
        return namespaces.cookie(self.raw)

    def close(self) -> None:
        self.raw.close()

    def transact(self, *operations: Operation, tolerated: Container[int] = ()) -> None:
        """Send them, however many, and wait for all; they are carried out in order, each by itself.

        Raises `KernelError` for the first that was refused, but with an errno that is
        `tolerated`; those that went out with it were tried too.
        """
        for together in sends(operations):
            self._transact(together, tolerated)

    def _transact(self, operations: Sequence[Operation], tolerated: Container[int]) -> None:
        """Errors come unasked and in order: the last operation's answer ends those of all."""
        waiting = self._send(operations, 0, NLM_F_ACK)
        last = self._sequence
        refused: KernelError | None = None
        while last in waiting:
            for reply in self._receive(operations[0]):
                if reply.type != NLMSG_ERROR or reply.sequence not in waiting:
                    continue
                operation = waiting.pop(reply.sequence)
                if reply.errno and reply.errno not in tolerated and refused is None:
                    refused = self.refusal(operation, reply)
        if refused is not None:
            raise refused

    def ask(self, operation: Operation) -> Message:
        """The one message that answers. Raises `KernelError`."""
        (sequence,) = self._send((operation,), 0)
        while True:
            for reply in self._receive(operation):
                if reply.sequence != sequence:
                    continue
                if reply.type == NLMSG_ERROR:
                    raise self.refusal(operation, reply)
                return reply

    def ask_whether(self, operation: Operation) -> Message | None:
        """The message that answers, None where none does: for what may be left untold.

        Raises `KernelError`.
        """
        (sequence,) = self._send((operation,), NLM_F_ACK)
        found = None
        while True:
            for reply in self._receive(operation):
                if reply.sequence != sequence:
                    continue
                if reply.type != NLMSG_ERROR:
                    found = reply
                elif reply.errno:
                    raise self.refusal(operation, reply)
                else:
                    return found

    def dump(self, operation: Operation) -> list[bytes]:
        """The bodies of all messages that answer. Raises `KernelError`."""
        for _ in range(_ATTEMPTS):
            bodies, consistent = self._dump_once(operation)
            if consistent:
                return bodies
        raise KernelError(
            f"`{operation.command}` in {self.where}: what it lists changed while being read, "
            f"{_ATTEMPTS} times in a row; try again",
            errno=errno.EINTR,
        )

    def _dump_once(self, operation: Operation) -> tuple[list[bytes], bool]:
        (sequence,) = self._send((operation,), NLM_F_DUMP)
        bodies: list[bytes] = []
        consistent = True
        while True:
            for reply in self._receive(operation):
                if reply.sequence != sequence:
                    continue
                consistent = consistent and not reply.flags & NLM_F_DUMP_INTR
                if reply.type not in (NLMSG_DONE, NLMSG_ERROR):
                    bodies.append(reply.body)
                elif status(reply):
                    raise self.refusal(operation, reply)
                else:
                    return bodies, consistent

    def _send(
        self, operations: Sequence[Operation], flags: int, at_last: int = 0
    ) -> dict[int, Operation]:
        """By their sequence numbers; the last has the flags `at_last`, too."""
        first = self._sequence + 1
        self._sequence += len(operations)
        waiting = dict(enumerate(operations, first))
        messages = [
            each.pack(sequence, flags | at_last if sequence == self._sequence else flags)
            for sequence, each in waiting.items()
        ]
        try:
            self.raw.send(b"".join(messages))
        except OSError as error:
            raise self._failure(operations[0], error) from error
        return waiting

    def _receive(self, operation: Operation) -> list[Message]:
        try:
            return messages(self.raw.recv(_BUFFER, socket.MSG_DONTWAIT))
        except OSError as error:
            raise self._failure(operation, error) from error

    def _failure(self, operation: Operation, error: OSError) -> KernelError:
        self.broken = True
        what = "the kernel's answer was lost" if error.errno in _LOST else error.strerror
        return KernelError(
            f"`{operation.command}` in {self.where}: {what}", errno=error.errno or errno.EIO
        )

    def refusal(self, operation: Operation, reply: Message) -> KernelError:
        """The error for an operation that was answered by an errno."""
        code, why = status(reply), explanation(reply)
        reason = f" ({why.rstrip('.')})" if why else ""
        return KernelError(
            f"`{operation.command}` in {self.where}: "
            f"{os.strerror(code)}{reason}{_HINTS.get(code, '')}",
            errno=code,
        )


_LOST = (errno.ENOBUFS, errno.EAGAIN)
