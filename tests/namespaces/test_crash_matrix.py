"""Killed at every point of ADD and DEL: the next DEL or GC leaves nothing.

Of each plugin by itself, with what stands before it in its list, which is not killed; and of a
whole list, killed at every point of every plugin. Crash points run in children forked from this
warm process, which serve as a one-shot does or as the daemon; `scripts/soak` runs them cold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import drive
import pytest
from chains import PARTS, add_list, delete_list, play
from drive import Outcome, Runtime
from evidence import inside, nothing_left, rest
from scenes import container, in_host, run

from pynet.daemon.serve import Services
from pynet.engine import faults
from pynet.kernel.warm import Warm
from pynet.testnets.forked import DiedBySignal, Forked

each_part = pytest.mark.parametrize("part", sorted(PARTS))
each_cleaner = pytest.mark.parametrize("cleaner", ["DEL", "GC"])


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


@each_part
@each_cleaner
@in_host
def test_add_killed_at_every_point(part: str, cleaner: str) -> None:
    for scene in kills(part, "ADD"):
        scene.succeed(cleaner)
        assert scene.left() == []
        scene.lives_once_more()


@each_part
@in_host
def test_identical_add_after_a_kill(part: str) -> None:
    """Up to its commit it succeeds; after it, it names what is there, and DEL clears it.

    In a list it is the first plugin that is asked first, and may say so.
    """
    refused = 0
    for scene in kills(part, "ADD"):
        committed = scene.first_is_ready()
        again = scene.call("ADD")
        assert committed or again.status == 0, again.stdout
        if again.status:
            refused += 1
            assert again.code == 100, again.stdout
            assert scene.runtime.container in again.document["msg"]
            scene.succeed("DEL")
            scene.succeed("ADD")
        assert scene.call("CHECK").status == 0
        scene.succeed("DEL")
        assert scene.left() == []
    # The finished ADD, the one killed after its last commit, and in a list some before that.
    assert refused == 2 if part != "chain" else refused > 2


@each_part
@each_cleaner
@in_host
def test_del_killed_at_every_point(part: str, cleaner: str) -> None:
    for scene in kills(part, "DEL"):
        scene.succeed(cleaner)
        # Killed after its last record was gone it may leave its lock file, which GC can't know of.
        left = [thing for thing in scene.left() if cleaner == "DEL" or "lock " not in thing]
        assert left == []
        scene.lives_once_more()


@pytest.mark.parametrize("command", ["ADD", "DEL"])
@in_host
def test_a_daemon_killed_at_every_point(command: str) -> None:
    """The same by what the daemon keeps warm, which goes other ways in the kernel."""
    container("other")
    for scene in kills("chain", command, daemon=True):
        scene.succeed("DEL")
        assert scene.left() == []
