"""One client's talk with a server: its sockets, open for as long as an answer is awaited.

Rules that hold here:
- Sockets are opened inside the container's namespace, and used outside.
- Nothing is waited for but in `wait`.
- A socket, and the world that was opened for it, keep the namespace alive: whoever has a talk that
  `is_over` closes it.
"""

from __future__ import annotations

import select
from collections.abc import Iterable
from contextlib import suppress
from math import inf
from time import monotonic, time

from ..dhcp.client import Action, Bound, Client, Lost, Probe, Send
from ..kernel.world import KernelWorld
from .dhcp_sides import Patience, Prober, Side, Wire


class Talk:
    """`client`'s, on `interface` in the sandbox of `world`, which stays the caller's.

    `patience` is for a wire that can't be had yet. All that opens or uses a socket raises OSError,
    and `CniError`.
    """

    def __init__(
        self,
        side: Side,
        client: Client,
        world: KernelWorld,
        interface: str,
        patience: Patience = Patience(),  # noqa: B008 - it never changes
    ) -> None:
        self.client = client
        self.world = world
        self.heard = False
        """Whether anything came in that meant something."""
        self._side = side
        self._interface = interface
        self._patience = patience
        self._wire: Wire | None = None
        self._prober: Prober | None = None
        self._probed = ""
        self._events: list[Bound | Lost] = []

    def act(self, actions: Iterable[Action]) -> None:
        """Do what the client wants done."""
        for action in actions:
            if isinstance(action, Send):
                self._open().send(action)
            elif isinstance(action, Probe):
                self._end_probe()
                with self.world.inside():
                    now = monotonic()
                    self._prober = self._side.prober(self._interface, action.address, now)
                self._probed = action.address
            else:
                self._events.append(action)
                self._hang_up()  # what it may send from, and to, is another matter now

    def events(self) -> list[Bound | Lost]:
        """What has come of it since this was last asked."""
        events, self._events = self._events, []
        return events

    @property
    def is_over(self) -> bool:
        return not (self.client.listening or self._prober)

    @property
    def due(self) -> float:
        """When to look at the clock again, in `monotonic` seconds."""
        ends = [each.due for each in (self.client, self._prober) if each is not None]
        return min((end for end in ends if end is not None), default=inf)

    def descriptors(self) -> list[int]:
        return [each.fileno() for each in (self._wire, self._prober) if each is not None]

    def wait(self, seconds: float) -> None:
        """Until something comes in, something is due, or so long."""
        if not self._events:
            wait_for([self], seconds)
        self.step()

    def step(self) -> None:
        """Take what has come in, and do what is due."""
        while self._wire is not None and (payload := self._wire.receive()) is not None:
            actions = self.client.receive(payload, monotonic(), time())
            self.heard |= bool(actions)
            self.act(actions)
        if self._prober is not None:
            self._ask_on(self._prober)
        if self.client.due is not None and self.client.due <= monotonic():
            self.act(self.client.tick(monotonic(), time()))
        if not self.client.listening:
            self._hang_up()

    def close(self) -> None:
        self._hang_up()
        self._end_probe()

    def _end_probe(self) -> None:
        prober, self._prober = self._prober, None
        if prober is not None:
            with suppress(OSError):
                prober.close()

    def _ask_on(self, prober: Prober) -> None:
        prober.receive()
        if not prober.done and prober.due <= monotonic():
            prober.tick(monotonic())
        if prober.done:
            self._prober = None
            prober.close()
            self.heard = True
            self.act(self.client.probed(self._probed, prober.taken_by, monotonic(), time()))

    def _open(self) -> Wire:
        if self._wire is None:
            with self.world.inside():
                self._wire = self._side.wire(self._interface, self.client, self._patience)
        return self._wire

    def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with suppress(OSError):
                wire.close()


def wait_for(talks: Iterable[Talk], seconds: float) -> None:
    """Until something comes in for one of them, is due, or so long."""
    poll = select.poll()
    end = monotonic() + seconds
    for talk in talks:
        end = min(end, talk.due)
        for descriptor in talk.descriptors():
            poll.register(descriptor, select.POLLIN)
    poll.poll(max(0.0, end - monotonic()) * 1000)
