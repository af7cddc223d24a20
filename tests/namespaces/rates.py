"""How fast bytes go from one namespace to another, once a burst is used up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import NamedTuple

from evidence import entered

_CHUNK = bytes(1 << 16)
_PATIENCE = 30.0
_ATTEMPTS = 4
TOLERANCE = 0.1


class Way(NamedTuple):
    """From namespace to namespace ("" is the host's), to `address`, from `source` where given."""

    sender: str
    receiver: str
    address: str
    source: str = ""


@contextmanager
def connected(way: Way) -> Iterator[tuple[socket.socket, ...]]:
    """A TCP connection, and who reads from it."""
    sender, receiver, address, source = way
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with entered(receiver):
        server = socket.socket(family)
    with server:
        server.bind((address, 0))
        server.listen()
        with entered(sender):
            client = socket.socket(family)
        with client:
            client.settimeout(_PATIENCE)
            if source:
                client.bind((source, 0))
            client.connect(server.getsockname()[:2])
            reading, _ = server.accept()
            with reading:
                reading.settimeout(_PATIENCE)
                yield client, reading


@contextmanager
def flooded(client: socket.socket) -> Iterator[None]:
    """Somebody sends all the time."""

    def send() -> None:
        with suppress(OSError):
            while True:
                client.sendall(_CHUNK)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        client.shutdown(socket.SHUT_RDWR)
        sending.join()


def seconds_for(reading: socket.socket, size: int) -> float:
    """How long it takes until `size` bytes have come."""
    buffer, begin, read = bytearray(1 << 20), monotonic(), 0
    while read < size:
        got = reading.recv_into(buffer)
        assert got, "the connection has ended"
        read += got
    return monotonic() - begin


def measured(way: Way, *, skip: int, size: int) -> float:
    """Bits a second, of the `size` bytes that follow the first `skip`."""
    with connected(way) as (client, reading), flooded(client):
        seconds_for(reading, skip)
        return 8 * size / seconds_for(reading, size)


def measured_at_first(way: Way, size: int) -> float:
    """Bits a second, of the first `size` bytes."""
    with connected(way) as (client, reading), flooded(client):
        return 8 * size / seconds_for(reading, size)


def assert_rate(rate: int, measure: Callable[[], float]) -> None:
    """What is measured is the rate, within a tenth.

    Whatever else the machine does meanwhile may keep a sender from sending, so one of a few
    attempts counts; a limit that is none, or another one, is measured each time.
    """
    found = []
    for _ in range(_ATTEMPTS):
        found.append(measure())
        if abs(found[-1] - rate) <= TOLERANCE * rate:
            return
    raise AssertionError(f"not {rate} bit/s but {[round(each) for each in found]}")
