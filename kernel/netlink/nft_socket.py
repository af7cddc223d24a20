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

from ...model.errors import KernelError
from ..namespaces import entered
from . import packed
from .nf_tables import (
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETGEN,
    NFT_MSG_NEWGEN,
    Change,
    batch,
    message,
)

_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_RECEIVE = 65536
_DUMP_ATTEMPTS = 5
_NEW_GENERATION = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN
_NFTA_GEN_ID = 1

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
        self._generations = 0  # those made by transactions here
        try:
            with entered(namespace):
                self._socket = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
                )
        except OSError as error:
            lacks = error.errno == errno.EPROTONOSUPPORT
            hint = "; the kernel needs CONFIG_NETFILTER_NETLINK" if lacks else ""
            raise KernelError(
                f"no netlink socket for nftables: {error.strerror}{hint}", errno=error.errno or 0
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
            self._generations += sum(answer.type == _NEW_GENERATION for answer in answers)
        acknowledged = False
        for answer in answers:
            index = answer.sequence - first - 1
            if answer.errno:
                errors[index] = answer.errno
            elif answer.type == packed.NLMSG_ERROR and index == len(changes) - 1:
                acknowledged = True
        if not acknowledged and not errors:
            errors[-1] = errno.EPROTO
        return errors

    def foreign_generation(self) -> int:
        """nf_tables' count of changes less those made here: it grows when somebody else makes one.

        Both are read under the lock, or what is done here in between would count as theirs.
        """
        with self._lock:
            self._sequence += 1
            question = message(Change(NFT_MSG_GETGEN, 0, "inet", b""), self._sequence)
            answers, errors = self._exchange(question)
            for answer in answers:
                if answer.type == _NEW_GENERATION:
                    told = dict(packed.attributes(answer.body[4:]))[_NFTA_GEN_ID]
                    return int.from_bytes(told, "big") - self._generations
        refusals = (answer.errno for answer in answers if answer.errno)
        raise refused("get", next(refusals, errors.get(-1, errno.EPROTO)))

    def ask(self, question: Change) -> bytes | None:
        """The attributes of the one answer; None where the thing asked for is not there."""
        with self._lock:
            self._sequence = sequence = self._sequence + 1
            try:
                self._socket.send(message(question, sequence))
                # One message answers, in a datagram of its own: nothing else is looked for.
                data = self._socket.recv(_RECEIVE, socket.MSG_DONTWAIT)
            except OSError as error:
                raise refused("get", error.errno or errno.EIO) from error
        for answer in packed.messages(data):
            if answer.errno == errno.ENOENT:
                return None
            if answer.errno:
                raise refused("get", answer.errno)
            if answer.sequence == sequence and answer.type != packed.NLMSG_ERROR:
                return answer.body[4:]
        raise refused("get", errno.EPROTO)

    def exchange(self, pack: Callable[[int], bytes], messages: int = 1) -> list[packed.Message]:
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
                    message(question, self._sequence, packed.NLM_F_DUMP)
                )
            for answer in answers:
                if answer.errno and answer.errno != errno.ENOENT:
                    raise refused("list", answer.errno)
            if not errors and not any(one.flags & packed.NLM_F_DUMP_INTR for one in answers):
                control = (packed.NLMSG_ERROR, packed.NLMSG_DONE)
                return [one.body[4:] for one in answers if one.type not in control]
        raise refused("list", errno.EINTR)

    def _exchange(self, request: bytes) -> tuple[list[packed.Message], dict[int, int]]:
        """All answers to `request`, and {-1: errno} where it failed as a whole."""
        answers: list[packed.Message] = []
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
            answers.extend(packed.messages(data))
