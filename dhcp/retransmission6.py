"""When a DHCPv6 message is sent again, and when no more (RFC 8415, section 15). No clock."""

from __future__ import annotations

from math import inf
from random import Random

from ..model.value import Value

_SPREAD = 0.1
"""RAND is between minus and plus this much."""


class Pace(Value):
    """IRT, MRT, MRC and MRD: seconds but for the count, 0 where there is no limit.

    With `late` the first wait is never shorter than IRT (18.2.1, of SOLICIT).
    """

    first: float
    longest: float = 0.0
    count: int = 0
    duration: float = 0.0
    late: bool = False


class Retransmission:
    """One exchange's. `due` is when to send, in seconds of the caller's clock.

    `pace` may change, and is followed from the next wait on.
    """

    def __init__(self, pace: Pace, due: float, randomness: Random) -> None:
        self.due = due
        self.count = 0
        self.began = inf
        """When it was first sent; before that, never."""
        self.pace = pace
        self._wait = 0.0
        self._random = randomness.random

    def sent(self, now: float) -> None:
        """It has gone out: `due` is when to send it again, or to give it up."""
        if not self.count:
            self.began = now
        self.count += 1
        self._wait = self._next_wait()
        ends = self.began + (self.pace.duration or inf)
        self.due = min(now + self._wait, max(now, ends))

    def is_over(self, now: float) -> bool:
        """Whether it has been sent often enough, or for long enough."""
        if not self.count:
            return False
        pace = self.pace
        often = bool(pace.count) and self.count >= pace.count
        long = bool(pace.duration) and now >= self.began + pace.duration
        return often or long

    def _next_wait(self) -> float:
        pace = self.pace
        if self.count == 1:
            spread = self._random() * _SPREAD if pace.late else self._spread()
            return pace.first * (1 + spread)
        doubled = self._wait * (2 + self._spread())
        if pace.longest and doubled > pace.longest:
            return pace.longest * (1 + self._spread())
        return doubled

    def _spread(self) -> float:
        return (2 * self._random() - 1) * _SPREAD
