"""Pings many pairs of namespaces from one process: who was reached, and who answered.

Rules that hold here:
- A raw socket stands in each namespace, opened by its descriptor; nothing else is entered.
- A request counts as arrived where the target's own socket heard it; a reply counts where it
  comes from the address that was asked, with the identifier, number and token of this round.
- What is not answered is asked again until time is over, or a refusal is final (`refusals`): the
  first packet to a neighbour that has to be found may be lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...kernel.namespaces import entered
from .echoes import DIALECTS, TOKEN_SIZE, read
from .neighbours import Neighbours
from .refusals import Refusals

_TILE = 16
"""Namespaces that ask as many others at a time, where there are many: at most 512 neighbours."""
_FEW = 20
"""Namespaces that may all ask each other at once: 380 neighbours."""
_QUIET = 0.02
"""Seconds of silence after which the next tile is sent; what is late counts all the same."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
_BATCH = 512
"""Requests between two looks at what came back: fewer than what a socket's buffer holds."""
_BUFFER = 4 << 20
_RECEIVE = 65536
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


@dataclass(frozen=True)
class Ping:
    """From namespace `source` to `address`, which namespace `target` has; both descriptors."""

    source: int
    address: str
    target: int | None = None


@dataclass
class Fate:
    """What became of a ping; `said` is what came in place of an answer, or the refusal.

    `no_route`: the source's own namespace has no route there.
    """

    arrived: bool = False
    answered: bool = False
    said: str = ""
    no_route: bool = False
    target_known: bool = True

    @property
    def reached(self) -> bool:
        """Answered, and by nobody else."""
        return self.answered and (self.arrived or not self.target_known)

    def __str__(self) -> str:
        if self.reached:
            return "answered"
        if self.answered:
            return "somebody else answered"
        if self.arrived:
            return "it arrived, but no answer came back"
        return self.said or "no answer"


def new_token() -> bytes:
    """What tells one round from all others."""
    return os.urandom(TOKEN_SIZE)


def exchange(
    pings: Sequence[Ping],
    family: int,
    within: float,
    token: bytes,
    *,
    size: int = 0,
    hopeful: bool = True,
) -> list[Fate]:
    """The fate of each ping, after `within` seconds at most. Raises `OSError`.

    With `size`, that many bytes of IP packet are sent, which may not be fragmented. Who isn't
    `hopeful` takes the first refusal for the answer.
    """
    with _Exchange(pings, family, within, token, size, hopeful) as round_:
        round_.run()
        return round_.fates


class _Exchange:
    """One round of pings, numbered by their place in `pings`."""

    def __init__(
        self,
        pings: Sequence[Ping],
        family: int,
        within: float,
        token: bytes,
        size: int,
        hopeful: bool,
    ) -> None:
        self.fates = [Fate(target_known=ping.target is not None) for ping in pings]
        self._pings = pings
        self._dialect = DIALECTS[family]
        self._within = within
        self._token = token
        self._size = size
        self._hopeful = hopeful
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._closing = contextlib.ExitStack()
        self._poll = self._closing.enter_context(select.epoll())
        self._sockets: dict[int, socket.socket] = {}  # by the descriptor of their namespace
        self._listening: dict[int, tuple[int, socket.socket]] = {}  # by their own
        self._neighbours: dict[int, Neighbours] = {}
        self._open = set(range(len(pings)))
        self._refusals: dict[int, Refusals] = {}  # by the ping's number

    def __enter__(self) -> _Exchange:
        with contextlib.ExitStack() as undo:
            undo.push(self._closing)
            for ping in self._pings:
                self._listen(ping.source)
                if ping.target is not None:
                    self._listen(ping.target)
            self._closing = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def run(self) -> None:
        """Ask until all is answered or refused for good, or time is over."""
        deadline = time.monotonic() + self._within
        pause = _FIRST_PAUSE
        while True:
            self._open -= {number for number, each in self._refusals.items() if each.are_final}
            for tile in self._tiles():
                self._ask(tile)
            self._hear_until(min(time.monotonic() + pause, deadline))
            if not self._open or time.monotonic() >= deadline:
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _tiles(self) -> Iterable[list[int]]:
        """What is unanswered, cut so that few neighbours are learned at a time."""
        if len(self._sockets) <= _FEW:
            return [sorted(self._open)]
        places = {network: place // _TILE for place, network in enumerate(self._sockets)}
        tiles: dict[tuple[int, int], list[int]] = {}
        for number in sorted(self._open):
            ping = self._pings[number]
            one = places[ping.source]
            other = one if ping.target is None else places[ping.target]
            tiles.setdefault((min(one, other), max(one, other)), []).append(number)
        return tiles.values()

    def _ask(self, numbers: list[int]) -> None:
        for start in range(0, len(numbers), _BATCH):
            for number in numbers[start : start + _BATCH]:
                self._send(number)
            self._hear()
        if len(self._sockets) > _FEW:
            while self._open.intersection(numbers) and self._hear(_QUIET):
                pass
            for network in self._involved(numbers):
                self._neighbours[network].forget()

    def _involved(self, numbers: Iterable[int]) -> set[int]:
        pings = [self._pings[number] for number in numbers]
        ends = [(ping.source, ping.target) for ping in pings]
        return {end for pair in ends for end in pair if end is not None}

    def _send(self, number: int) -> None:
        ping = self._pings[number]
        packet = self._dialect.pack(self._identifier, number, self._token, self._size)
        try:
            self._sockets[ping.source].sendto(packet, (ping.address, 0))
        except OSError as error:
            self.fates[number].no_route = error.errno == errno.ENETUNREACH
            self._refused(number, error)

    def _refused(self, number: int, error: OSError) -> None:
        self.fates[number].said = error.strerror or str(error)
        self._refusals.setdefault(number, Refusals(self._within)).note(error.errno or 0)
        if not self._hopeful:
            self._open.discard(number)

    def _hear_until(self, deadline: float) -> None:
        while self._open and (left := deadline - time.monotonic()) > 0:
            self._hear(left)

    def _hear(self, patience: float = 0.0) -> bool:
        """Take in all that has come; whether anything had, after `patience` seconds at most."""
        ready = self._poll.poll(patience)
        for descriptor, _ in ready:
            network, raw = self._listening[descriptor]
            # One that answers whoever asks may never fall silent; the others wait for their turn.
            for _ in range(_BATCH):
                try:
                    message, peer = raw.recvfrom(_RECEIVE, socket.MSG_DONTWAIT)
                except OSError:  # nothing more, or an error that was told to us as a message too
                    break
                self._note(network, message, peer[0])
        return bool(ready)

    def _note(self, network: int, message: bytes, sender: str) -> None:
        dialect = self._dialect
        if dialect.family == socket.AF_INET:
            message = message[(message[0] & 15) * 4 :]
        heard = read(message, self._token)
        if heard is None or heard.number >= len(self._pings):
            return
        ping, fate = self._pings[heard.number], self.fates[heard.number]
        if heard.type == dialect.request and network == ping.target:
            fate.arrived = True
        elif heard.type in dialect.errors and network == ping.source:
            said = f"{dialect.errors[heard.type]}, says {sender}"
            number = errno.ENETUNREACH if dialect.has_no_route(heard) else errno.EHOSTUNREACH
            self._refused(heard.number, OSError(number, said))
        elif heard.type == dialect.reply and network == ping.source:
            ours = heard.identifier == self._identifier
            numbered = heard.sequence == heard.number & 0xFFFF
            fate.answered |= ours and numbered and sender == ping.address
        if fate.reached:
            self._open.discard(heard.number)

    def _listen(self, network: int) -> None:
        if network in self._sockets:
            return
        with entered(network):
            raw = socket.socket(
                self._dialect.family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, self._dialect.protocol
            )
        self._closing.callback(raw.close)
        with contextlib.suppress(OSError):  # where it is refused, the usual size will do
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._dialect.only_echoes(raw)
        if self._size:
            self._dialect.never_fragment(raw)
        self._poll.register(raw, select.EPOLLIN)
        self._sockets[network] = raw
        self._listening[raw.fileno()] = (network, raw)
        neighbours = self._neighbours[network] = Neighbours(network, self._dialect.family)
        self._closing.callback(neighbours.close)
