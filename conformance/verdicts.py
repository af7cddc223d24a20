"""How a check ends: by itself, or by one of two exceptions."""

from __future__ import annotations

from .calls import Call

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"


class Failed(Exception):
    """The plugin does what the specification forbids, or not what it asks for.

    `call` is the one that shows it; None for the last one that was made.
    """

    def __init__(self, message: str, call: Call | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.call = call


class NotApplicable(Exception):
    """It can't be asked of this plugin, or not here; the message says why."""
