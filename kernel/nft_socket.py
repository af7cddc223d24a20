"""A netlink socket to nf_tables of one network namespace: transactions and single questions.

Rules that hold here:
- The kernel answers before a send returns, so everything is read without waiting until
  nothing is left: no answer can be taken for that of a later request.
- A transaction is done only if its acknowledgement was read and no error was.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Sequence

from ..model.errors import KernelError
from . import netlink
from .namespaces import entered
from .nft_elements import Change, batch, message

_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_RECEIVE = 65536
_DUMP_ATTEMPTS = 5

_HINTS = {
    errno.EPERM: "; it takes CAP_NET_ADMIN in that network namespace",
    errno.EOPNOTSUPP: "; the kernel lacks nftables (CONFIG_NF_TABLES)",
    errno.EAFNOSUPPORT: "; the kernel lacks this table family (CONFIG_NF_TABLES_BRIDGE,"
    " CONFIG_NF_TABLES_INET)",
}


def refused(doing: str, number: int) -> KernelError:
    """The error that says what nf_tables refused, why, and what would help."""
    hint = _HINTS.get(number, "")
    return KernelError(f"nft {doing}: {os.strerror(number)}{hint}", errno=number)


class NftSocket:
    """Opened in `namespace`, in which it then stays. Threads may share it."""

    def __init__(self, namespace: int) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self.changes = 0  # transactions done here
        try:
            with entered(namespace):
                self._socket = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
                )
        except OSError as error:
            raise KernelError(
                f"no netlink socket for nftables: {error.strerror};"
                " the kernel needs CONFIG_NETFILTER_NETLINK",
                errno=error.errno or 0,
            ) from error
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.bind((0, 0))
        self.port: int = self._socket.getsockname()[0]
        """What the kernel calls it by where it tells others of changes."""

    def close(self) -> None:
        self._socket.close()

    def transaction(self, changes: Sequence[Change]) -> dict[int, int]:
        """Make all `changes` or none; {} where they are made, else index -> errno.

        Index -1 stands for the transaction as a whole.
        """
        if not changes:
            return {}
        with self._lock:
            first = self._sequence + 1
            self._sequence = first + 1 + len(changes)
            answers, errors = self._exchange(batch(changes, first))
        acknowledged = False
        for answer in answers:
            index = answer.sequence - first - 1
            if answer.errno:
                errors[index] = answer.errno
            elif answer.type == netlink.NLMSG_ERROR and index == len(changes) - 1:
                acknowledged = True
        if not acknowledged and not errors:
            errors[-1] = errno.EPROTO
        if not errors:
            with self._lock:
                self.changes += 1
        return errors

    def ask(self, question: Change) -> bytes | None:
        """The attributes of the one answer; None where the thing asked for is not there."""
        with self._lock:
            self._sequence += 1
            answers, errors = self._exchange(message(question, self._sequence))
        for answer in answers:
            if answer.errno == errno.ENOENT:
                return None
            if answer.errno:
                raise refused("get", answer.errno)
            if answer.type != netlink.NLMSG_ERROR:
                return answer.body[4:]
        raise refused("get", errors.get(-1, errno.EPROTO))

    def exchange(self, pack: Callable[[int], bytes], messages: int = 1) -> list[netlink.Message]:
        """All answers to a request to another part of netfilter; its errors are among them.

        `pack` gives its bytes, with this many messages numbered from its argument on.
        """
        with self._lock:
            first = self._sequence + 1
            self._sequence += messages
            answers, errors = self._exchange(pack(first))
        if errors:
            raise refused("netfilter", errors[-1])
        return answers

    def dump(self, question: Change) -> list[bytes]:
        """The attributes of all answers; [] where there is nothing. Retried when it raced."""
        for _ in range(_DUMP_ATTEMPTS):
            with self._lock:
                self._sequence += 1
                answers, errors = self._exchange(
                    message(question, self._sequence, netlink.NLM_F_DUMP)
                )
            for answer in answers:
                if answer.errno and answer.errno != errno.ENOENT:
                    raise refused("list", answer.errno)
            if not errors and not any(one.flags & netlink.NLM_F_DUMP_INTR for one in answers):
                control = (netlink.NLMSG_ERROR, netlink.NLMSG_DONE)
                return [one.body[4:] for one in answers if one.type not in control]
        raise refused("list", errno.EINTR)

    def _exchange(self, request: bytes) -> tuple[list[netlink.Message], dict[int, int]]:
        """All answers to `request`, and {-1: errno} where it failed as a whole."""
        answers: list[netlink.Message] = []
        errors: dict[int, int] = {}
        try:
            self._socket.send(request)
        except OSError as error:
            return answers, {-1: error.errno or errno.EIO}
        while True:
            try:
                data = self._socket.recv(_RECEIVE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return answers, errors
            except OSError as error:  # ENOBUFS: answers were lost
                errors[-1] = error.errno or errno.EIO
                continue
            answers.extend(netlink.messages(data))
