"""When probes for an address go out, and when the verdict falls, in the time of an ADD.

RFC 5227 (ARP) takes 4 to 7 seconds, RFC 4862 (IPv6) one or two. That is for a host that has just
been plugged in, whose switch may not forward yet, among a hundred that boot at once. A container
waits for its network, and so does whoever started it: here three probes go at once, and 4 and 8 ms
later, and the verdict falls at 24 ms. On one link an answer takes less than one millisecond, and a
second or third probe makes up for a lost one. Who answers later than that is not found. All waits
count from when a probe was really sent: a machine that has no time for us has none for the answer.
"""

from __future__ import annotations

from abc import abstractmethod

from .opened import Opened

_PROBES = 3
_INTERVAL = 0.004
"""Seconds between two."""
_PATIENCE = 0.016
"""Seconds after the last."""


class Probing(Opened):
    """`due` is when `tick` wants to be called; `done` when all is known, and then `taken_by` is
    the MAC of who uses the address, "" for nobody.
    """

    def __init__(self, now: float) -> None:
        self.taken_by = ""
        self.done = False
        self.due = now
        self._left = _PROBES

    def tick(self, now: float) -> None:
        """`due` has come. Raises OSError."""
        if now < self.due:
            return
        if self._left:
            self.ask()
            self._left -= 1
            self.due = now + (_INTERVAL if self._left else _PATIENCE)
        else:
            self.receive()
            self.done = True

    @abstractmethod
    def ask(self) -> None:
        """One probe. Raises OSError."""

    @abstractmethod
    def receive(self) -> None:
        """Something may have come in: `taken_by` and `done` where it tells. Raises OSError."""
