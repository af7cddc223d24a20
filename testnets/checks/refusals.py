"""Which refusals end a probe before its time: a route that is missing seldom comes by waiting."""

from __future__ import annotations

import errno
import time

from ..spec.topology import USUAL_TIME

_GRACE = 1.0
"""Seconds; a link that was plugged in just now gets its routes meanwhile."""


def is_patient(within: float) -> bool:
    """Whether somebody has named that time, in seconds: a routing protocol may need it."""
    return within != USUAL_TIME


class Refusals:
    """Those of one probe, which may take `within` seconds."""

    def __init__(self, within: float) -> None:
        self._grace = within if is_patient(within) else _GRACE
        self._since: float | None = None

    def note(self, number: int) -> None:
        """One more, with this errno."""
        if number != errno.ENETUNREACH:
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()

    @property
    def are_final(self) -> bool:
        """Whether asking again is of no use. A router says what it has to say only now and then."""
        return self._since is not None and time.monotonic() - self._since >= self._grace
