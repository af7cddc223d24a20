"""Whose turn it is: of many requests at once few are worked on, so that those come to an end.

Rules that hold here:
- All of them share one interpreter. Two hundred at a time would each take as long as all together,
  and whoever holds the store would wait for all others at each of its steps.
- Who takes long waits for something (another's program, a lock): it no longer counts, and another
  has its turn. But no more are begun than there are descriptors for.
"""

from __future__ import annotations

import threading
from itertools import count
from time import monotonic

AT_ONCE = 8
"""How many share the interpreter: what is measured to end soonest."""
LONG = 0.5
"""Seconds after which one is taken to wait for something."""
STUCK = 2.0
"""Where all there may be have taken so long, nobody waits for one of them to end."""


class Turns:
    """`most` are those that are begun and not ended, however long they take."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._change = threading.Condition(threading.Lock())
        self._numbers = count()
        self._begun: dict[int, float] = {}

    def take(self, seconds: float = 0.0) -> int | None:
        """A turn, to be ended; None where there is none within so many seconds."""
        with self._change:
            now = monotonic()
            deadline = now + seconds
            while (wait := self._until_room(now)) > 0:
                if now >= deadline or self._is_stuck(now):
                    return None
                self._change.wait(min(wait, deadline - now))
                now = monotonic()
            number = next(self._numbers)
            self._begun[number] = now
            return number

    def end(self, number: int) -> None:
        with self._change:
            del self._begun[number]
            self._change.notify()

    def _is_stuck(self, now: float) -> bool:
        full = len(self._begun) >= self._most
        return full and all(began <= now - STUCK for began in self._begun.values())

    def _until_room(self, now: float) -> float:
        """Seconds until another may begin, if none ends before; 0 where it may now."""
        if len(self._begun) >= self._most:
            return LONG
        recent = [began for began in self._begun.values() if began > now - LONG]
        return recent[0] + LONG - now if len(recent) >= AT_ONCE else 0.0
