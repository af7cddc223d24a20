"""A call killed at each of its points, in children forked from this warm process.

They serve as a one-shot does, or as the daemon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import drive
from chains import PARTS, add_list, delete_list, play
from drive import Outcome, Runtime
from evidence import inside, nothing_left, rest
from scenes import container, run

from pynet.daemon.serve import Services
from pynet.engine import faults
from pynet.kernel.warm import Warm
from pynet.testnets.forked import DiedBySignal, Forked


class Scene:
    """One container, with what stands before the part; `baseline` is how it was then."""

    def __init__(self, part: str, name: str) -> None:
        self.part = PARTS[part]
        self.runtime = container(name)
        self.given: Any = add_list(self.part.before, self.runtime) if self.part.before else None
        self.result: Any = None
        """What the runtime has kept: of an ADD that it saw end."""
        self.baseline = self.now()

    def now(self) -> set[str]:
        return rest() | inside(self.runtime.container)

    def left(self) -> list[str]:
        return nothing_left(self.baseline, self.now())

    def call(self, command: str, services: Services | None = None) -> Outcome:
        outcome = play(
            command,
            [{**one, "cni.dev/valid-attachments": []} for one in self.part.plugins],
            self.runtime,
            self.given if command == "ADD" else self.result or self.given,
            partial(drive.call, services=services),
        )
        if command == "ADD" and outcome.status == 0:
            self.result = outcome.document
        return outcome

    def succeed(self, command: str) -> None:
        outcome = self.call(command)
        assert outcome.status == 0, (self.runtime.container, outcome.stdout)

    def killed(self, count: int, command: str, daemon: bool) -> bool:
        """Whether the call died at its `count`-th point; False once it has no so many."""

        def work() -> Outcome:
            services = warm() if daemon else None
            faults.arm(count)
            return self.call(command, services)

        try:
            outcome = Forked(work, lambda: None).wait()
        except DiedBySignal:
            return True
        assert outcome.status == 0, outcome.stdout
        return False

    def lives_once_more(self) -> None:
        """Attached and detached as if nothing had happened."""
        self.result = None
        for command in ("ADD", "CHECK", "DEL"):
            self.succeed(command)
        assert self.left() == []

    def first_is_ready(self) -> bool:
        """Whether the ADD of the part's first plugin was committed."""
        asked = "SELECT state FROM record WHERE container = ? AND plugin = ?"
        with closing(sqlite3.connect(drive.STATE / "pynet.db")) as store:
            key = (self.runtime.container, self.part.plugins[0]["type"])
            return ("ready",) in store.execute(asked, key).fetchall()

    def end(self) -> None:
        delete_list(self.part.before, self.runtime, self.given)
        run(f"ip netns del {self.runtime.container}")


def warm() -> Services:
    """What the daemon serves with, once it has served somebody else."""
    services = Services(drive.STATE, warm=Warm())
    for command in ("ADD", "DEL"):
        outcome = drive.call(command, drive.BRIDGE, Runtime("other", "/run/netns/other"), services)
        assert outcome.status == 0, outcome.stdout
    return services


def kills(part: str, command: str, daemon: bool = False) -> Iterator[Scene]:
    """A scene for each point of the command, killed there; the last one's was not."""
    # One full life first, so that what is kept on purpose is there in every baseline.
    first = Scene(part, "warm")
    first.succeed("ADD")
    first.succeed("DEL")
    delete_list(first.part.before, first.runtime, first.given)
    count, died = 0, True
    while died:
        count += 1
        scene = Scene(part, f"c{count}")
        if command == "DEL":
            scene.succeed("ADD")
        died = scene.killed(count, command, daemon)
        try:
            yield scene
        except BaseException as error:
            error.add_note(f"after point {count}")
            raise
        scene.end()
    assert count > 2 * len(scene.part.plugins), "too few fault points: the hook is not there"
