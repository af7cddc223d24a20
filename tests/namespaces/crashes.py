"""A call killed at each of its points, in children forked from this warm process.

They serve as a one-shot does, or as the daemon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import bystanders
import drive
from chains import LEDGER, LISTS, NOT_EVERYWHERE, PARTS, add_list, delete_list, play
from drive import Outcome, Runtime
from evidence import GONE, inside, nothing_left, rest
from scenes import container, run

from pynet.daemon.serve import Services
from pynet.engine import faults
from pynet.kernel.warm import Warm
from pynet.testnets.lab.forked import DiedBySignal, Forked

_KNOWN = PARTS | LISTS | NOT_EVERYWHERE


def dies_at(count: int, work: Callable[[], object]) -> bool:
    """Whether `work`, in a fork, died at its `count`-th point; False once it has no so many.

    What it raises is raised here.
    """

    def armed() -> None:
        faults.arm(count)
        work()

    return dies(armed)


def dies(work: Callable[[], None]) -> bool:
    """The same of what arms itself."""
    try:
        Forked(work).wait()
    except DiedBySignal:
        return True
    return False


class Scene:
    """One container, with what stands before the part; `baseline` is how it was then."""

    collected = False
    """Whether a GC was called in this host."""

    def __init__(self, part: str, name: str) -> None:
        self.part = _KNOWN[part]
        self.runtime = container(name)
        self.given: Any = add_list(self.part.before, self.runtime) if self.part.before else None
        self.result: Any = None
        """What the runtime has kept: of an ADD that it saw end."""
        self.baseline = self.now()

    def now(self) -> set[str]:
        ledger = {f"ledger {path.name}" for path in LEDGER.glob("*")}
        return rest() | inside(self.runtime.container) | ledger

    def left(self) -> list[str]:
        """Also what is gone; but a GC may remove the bridge, which the next ADD makes again."""
        now = self.now()
        found = nothing_left(self.baseline, now)
        if Scene.collected and (BRIDGE in now) != (BRIDGE in self.baseline):
            found = [line for line in found if not _is_of_the_bridge(line)]
        return found

    def call(self, command: str, services: Services | None = None) -> Outcome:
        Scene.collected |= command == "GC"
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

        def work() -> None:
            services = warm() if daemon else None  # whose first look has points of its own
            faults.arm(count)
            outcome = self.call(command, services)
            assert outcome.status == 0, outcome.stdout

        return dies(work)

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


BRIDGE = "link cni0"
_SORTS = ("link", "attributes", "sysctl", "forwarding", "vlan")


def _is_of_the_bridge(line: str) -> bool:
    """It is no address, route or element."""
    line = line.removeprefix(GONE)
    if line.startswith("row shared"):
        return r"'bridge\tcni0'" in line
    return "cni0" in line and line.startswith(_SORTS)


def warm() -> Services:
    """What the daemon serves with, once it has served somebody else."""
    services = Services(drive.STATE, warm=Warm())
    for command in ("ADD", "DEL"):
        outcome = drive.call(command, drive.BRIDGE, Runtime("other", "/run/netns/other"), services)
        assert outcome.status == 0, outcome.stdout
    return services


def begin(part: str) -> Scene:
    """What others have, and one full life, so that what is kept on purpose is there afterwards.

    The scene of that life, which is over.
    """
    bystanders.settle()
    _KNOWN[part].prepare()
    first = Scene(part, "warm")
    first.succeed("ADD")
    first.succeed("DEL")
    first.end()
    return first


def kills(part: str, command: str, daemon: bool = False, apart: int = 1) -> Iterator[Scene]:
    """A scene for each point of the command, or each `apart`-th, killed there; the last one's was
    not.
    """
    begin(part)
    count, died = 1 - apart, True
    while died:
        count += apart
        scene = Scene(part, f"c{count}")
        if command == "DEL":
            scene.succeed("ADD")
        died = scene.killed(count, command, daemon)
        print(f"{command} of {part}: point {count}")  # shown where the test fails
        yield scene
        scene.end()
    assert count > 2 * len(scene.part.plugins), "too few fault points: the hook is not there"


def killed_and_cleaned_up(part: str, command: str, apart: int = 1) -> None:
    """DEL, GC and an identical ADD clean up in turns, as each does at every point of a plugin."""
    for number, scene in enumerate(kills(part, command, apart=apart)):
        cleaner = ("DEL", "GC", "ADD")[number % 3]
        if cleaner == "ADD":
            again = scene.call("ADD")
            assert again.code in (0, 100), again.stdout
            assert again.status == 0 or scene.first_is_ready()
        scene.succeed("GC" if cleaner == "GC" else "DEL")
        assert left_by(scene, command, cleaner) == []


def left_by(scene: Scene, command: str, cleaner: str) -> list[str]:
    """What is left of `command` after `cleaner`."""
    left = scene.left()
    if (command, cleaner) == ("DEL", "GC"):
        # Killed after its last record was gone it leaves a lock file that GC can't know of.
        left = [thing for thing in left if not thing.startswith("lock ")]
    return left
