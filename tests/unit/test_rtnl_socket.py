"""Reading answers: each by its sequence number, dumps again when they were interrupted."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

import pytest

from pynet.kernel.netlink import packed
from pynet.kernel.netlink.rtnl import Operation
from pynet.kernel.netlink.rtnl_socket import Socket
from pynet.model.errors import KernelError

GET = Operation(18, 0, b"", "ip link show")
SET = Operation(19, 0, b"", "ip link set")


class Scripted:
    """A kernel whose answers to the nth request a test writes; needs no rights."""

    def __init__(self, answers: Callable[[int, int], bytes]) -> None:
        self.answers = answers
        self.requests = 0
        self.pending: list[bytes] = []

    def send(self, data: bytes) -> int:
        for request in packed.messages(data):
            self.pending.append(self.answers(self.requests, request.sequence))
            self.requests += 1
        return len(data)

    def recv(self, size: int, flags: int) -> bytes:
        assert flags & socket.MSG_DONTWAIT
        if not self.pending:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        return self.pending.pop(0)

    def close(self) -> None:
        return


def scripted(answers: Callable[[int, int], bytes]) -> tuple[Socket, Scripted]:
    sock = Socket("a place")
    sock.raw.close()
    kernel = Scripted(answers)
    sock.raw = kernel  # type: ignore[assignment]
    return sock, kernel


def ack(sequence: int, code: int = 0) -> bytes:
    body = struct.pack("=i", -code) + packed.message(0, 0, sequence, b"")
    return packed.message(packed.NLMSG_ERROR, 0, sequence, body)


def part(sequence: int, body: bytes, flags: int = 0) -> bytes:
    return packed.message(16, flags, sequence, body)


def done(sequence: int, flags: int = 0) -> bytes:
    return packed.message(packed.NLMSG_DONE, flags, sequence, struct.pack("=i", 0))


def test_stale_answers_are_passed_over_and_all_of_a_batch_are_awaited() -> None:
    sock, kernel = scripted(lambda _, sequence: ack(99, errno.EIO) + ack(sequence))
    sock.transact(SET, SET, SET)
    assert kernel.requests == 3
    assert not kernel.pending


def test_the_first_refusal_is_raised_after_all_answers_are_read() -> None:
    codes = [0, errno.EBUSY, errno.ENODEV]
    sock, kernel = scripted(lambda number, sequence: ack(sequence, codes[number]))
    with pytest.raises(KernelError, match="`ip link set` in a place: Device or resource") as raised:
        sock.transact(SET, SET, SET)
    assert raised.value.errno == errno.EBUSY
    assert not kernel.pending
    assert not sock.broken


def test_a_lost_answer_is_an_error_and_breaks_the_socket() -> None:
    sock, _ = scripted(lambda _, sequence: ack(sequence + 1))
    with pytest.raises(KernelError, match="answer was lost"):
        sock.transact(SET)
    assert sock.broken


def test_an_interrupted_dump_is_read_again() -> None:
    def answers(number: int, sequence: int) -> bytes:
        flags = packed.NLM_F_DUMP_INTR if number < 2 else 0
        return part(sequence, b"%04d" % number, flags) + done(sequence)

    sock, kernel = scripted(answers)
    assert sock.dump(GET) == [b"0002"]
    assert kernel.requests == 3


def test_a_dump_interrupted_for_ever_is_an_error() -> None:
    sock, kernel = scripted(lambda _, sequence: done(sequence, packed.NLM_F_DUMP_INTR))
    with pytest.raises(KernelError, match=r"`ip link show` in a place: .*5 times in a row"):
        sock.dump(GET)
    assert kernel.requests == 5


def test_a_single_question_has_one_answer_or_a_refusal() -> None:
    sock, _ = scripted(lambda _, sequence: part(77, b"else") + part(sequence, b"mine"))
    assert sock.ask(GET).body == b"mine"
    sock, _ = scripted(lambda _, sequence: ack(sequence, errno.ENODEV))
    with pytest.raises(KernelError, match="No such device"):
        sock.ask(GET)


def test_more_than_goes_out_together_is_sent_in_parts_that_are_answered() -> None:
    asked: list[list[int]] = []

    def send(data: bytes) -> int:
        asked.append([request.flags & packed.NLM_F_ACK for request in packed.messages(data)])
        return sent(data)

    sock, kernel = scripted(lambda _, sequence: ack(sequence))
    sent, kernel.send = kernel.send, send  # type: ignore[method-assign]
    sock.transact(*[SET] * (2 * packed.PER_SEND + 1))
    assert [len(flags) for flags in asked] == [packed.PER_SEND, packed.PER_SEND, 1]
    for flags in asked:  # errors come unasked
        assert flags == [0] * (len(flags) - 1) + [packed.NLM_F_ACK]


def test_after_a_part_that_was_refused_nothing_more_is_sent() -> None:
    sock, kernel = scripted(lambda number, sequence: ack(sequence, errno.EBUSY if number else 0))
    with pytest.raises(KernelError, match="Device or resource"):
        sock.transact(*[SET] * (2 * packed.PER_SEND))
    assert kernel.requests == packed.PER_SEND
    assert not kernel.pending


def test_what_may_be_left_untold_is_acknowledged_all_the_same() -> None:
    sock, kernel = scripted(lambda _, sequence: part(sequence, b"mine") + ack(sequence))
    found = sock.ask_whether(GET)
    assert found is not None and found.body == b"mine"
    assert not kernel.pending
    sock, _ = scripted(lambda _, sequence: part(77, b"else") + ack(sequence))
    assert sock.ask_whether(GET) is None
    sock, _ = scripted(lambda _, sequence: ack(sequence, errno.ENOENT))
    with pytest.raises(KernelError, match="No such file"):
        sock.ask_whether(GET)
