"""A network that loses, doubles, delays and reorders what a DHCP client and a server say."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Protocol

from hands import EPOCH
from hypothesis import strategies as st

from pynet.dhcp.client import Action, Bound, Client, Lease, Lost, Probe, Send

DELAYS = (0.001, 0.3, 4.0, 30.0)
FATES = st.lists(st.lists(st.sampled_from(DELAYS), max_size=2), max_size=60)
"""When copies of each message arrive, the last first: none, one or two."""
LIFETIMES = st.sampled_from((5, 60, 3600, 86400))
PATIENCE = 3000
"""Events: as many as it may take until all is well."""


class Server(Protocol):
    """`ends` is until when it keeps which address for the client."""

    ends: dict[str, float]

    def serve(self, payload: bytes, now: float) -> bytes | None: ...

    def forget(self) -> None: ...


class World:
    """Client, server and what is under way between them; time goes from event to event."""

    def __init__(
        self, fresh: Callable[[], Client], server: Server, fates: list[list[float]]
    ) -> None:
        self._fresh = fresh
        self.client = fresh()
        self.server = server
        self.now = 0.0
        self.bound: list[Lease] = []
        self.lost = 0
        self.fates = fates
        self._under_way: list[tuple[float, int, bool, bytes]] = []
        self._number = count()

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send():
                    self._carry(action.payload, to_server=True)
                case Probe():
                    self.do(self.client.probed(action.address, "", self.now, self.clock))
                case Bound():
                    self.bound.append(action.lease)
                case Lost():
                    self.lost += 1

    @property
    def clock(self) -> float:
        return self.now + EPOCH

    def start(self) -> None:
        self.do(self.client.start(self.now))

    def restart(self) -> None:
        """Another in its place, with what was its last lease."""
        self.client = self._fresh()
        if self.bound:
            self.do(self.client.resume(self.bound[-1], self.now, self.clock))
        else:
            self.start()
        self.bound.clear()

    def go_on(self) -> None:
        """To the next event. What was true stays true in between."""
        arrival = self._under_way[0][0] if self._under_way else float("inf")
        due = self.client.due if self.client.due is not None else float("inf")
        assert self.client.due is None or due >= self.now
        following = min(arrival, due)
        if following > self.now:
            between = (self.now + following) / 2
            assert self.client.tick(between, between + EPOCH) == [] or between >= due
        self.now = following
        if arrival <= due:
            _, _, to_server, payload = heapq.heappop(self._under_way)
            if not to_server:
                self.do(self.client.receive(payload, self.now, self.clock))
            elif answer := self.server.serve(payload, self.now):
                self._carry(answer, to_server=False)
        else:
            self.do(self.client.tick(self.now, self.clock))

    def go_on_until_bound(self, times: int) -> None:
        """And until the network has become a good one. Raises AssertionError where it never is."""
        for _ in range(PATIENCE):
            if len(self.bound) >= times and self.client.address and not self.fates:
                return
            self.go_on()
        raise AssertionError(f"{self.client.trouble}, due {self.client.due}, now {self.now}")

    def _carry(self, payload: bytes, to_server: bool) -> None:
        for delay in self.fates.pop() if self.fates else (DELAYS[0],):
            arrival = self.now + delay
            heapq.heappush(self._under_way, (arrival, next(self._number), to_server, payload))
