"""A DHCP client in the hands of a test, whatever its family: the time it is told, what it does.

Times are made up; the clock of the wall is `EPOCH` seconds ahead.
"""

from __future__ import annotations

from typing import TypeVar

from pynet.dhcp.client import Action, Client

EPOCH = 1_000_000.0
T = TypeVar("T", bound=Action)


class Held:
    """`actions` are what it did last."""

    client: Client

    def __init__(self) -> None:
        self.now = 100.0
        self.actions: list[Action] = []

    @property
    def clock(self) -> float:
        return self.now + EPOCH

    def hear(self, payload: bytes) -> list[Action]:
        self.actions = self.client.receive(payload, self.now, self.clock)
        return self.actions

    def find(self, address: str, taken_by: str) -> list[Action]:
        """The end of a probe."""
        self.actions = self.client.probed(address, taken_by, self.now, self.clock)
        return self.actions

    def wait(self, until: float | None = None) -> list[Action]:
        """To when it is due, or to then; a moment before that it does nothing."""
        due = self.client.due if until is None else until
        assert due is not None
        assert due >= self.now
        if due > self.now:
            assert self.client.tick(due - (due - self.now) / 1000, self.clock) == []
        self.now = due
        self.actions = self.client.tick(self.now, self.clock)
        return self.actions


def one(actions: list[Action], kind: type[T]) -> T:
    (found,) = (action for action in actions if isinstance(action, kind))
    return found
