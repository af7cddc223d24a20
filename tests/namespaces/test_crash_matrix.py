"""Killed at every point of ADD and DEL: the next DEL or GC leaves nothing.

Crash points run in children forked from this warm process; `scripts/soak` runs them cold.
A chained plugin finds the interface made by what stands before it, which is not killed: every
point of a chain is one of its plugins'.
"""

from __future__ import annotations

from typing import Any

import drive
import pytest
from drive import Outcome, Runtime
from evidence import inside, nothing_left, rest

from pynet.testnets.lab import DiedBySignal, Host, Lab

PLUGINS = sorted(drive.CONFIGS)


class Scene:
    """One container, with what stands before the plugin; `baseline` is how it was then."""

    def __init__(self, host: Host, plugin: str, container: str) -> None:
        self.host = host
        self.plugin = plugin
        self.runtime = Runtime(container, f"/run/netns/{container}")
        host.container(container)
        self.config: dict[str, Any] = {
            **host.call(drive.prepare, plugin, self.runtime),
            "cni.dev/valid-attachments": [],
        }
        self.baseline = self.now()

    def now(self) -> set[str]:
        return self.host.call(lambda: rest() | inside(self.runtime.container))

    def left(self) -> list[str]:
        return nothing_left(self.baseline, self.now())

    def call(self, command: str) -> Outcome:
        return self.host.call(drive.call, command, self.config, self.runtime)

    def succeed(self, command: str) -> None:
        outcome = self.call(command)
        assert outcome.status == 0, (self.runtime.container, outcome.stdout)

    def killed(self, count: int, command: str) -> bool:
        """Whether the call died at its `count`-th point; False once it has no so many."""
        calling = self.host.fork_call(drive.killed_at, count, command, self.config, self.runtime)
        try:
            outcome = calling.wait()
        except DiedBySignal:
            return True
        assert outcome.status == 0, outcome.stdout
        return False

    def end(self) -> None:
        self.host.call(drive.dismantle, self.plugin, self.runtime)
        self.host.delete_container(self.runtime.container)


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")


def warmed(host: Host, plugin: str) -> Host:
    """One full life first, so that what is kept on purpose is there in every baseline."""
    scene = Scene(host, plugin, "warm")
    scene.succeed("ADD")
    scene.succeed("DEL")
    scene.end()
    return host


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("cleaner", ["DEL", "GC"])
def test_add_killed_at_every_point(host: Host, plugin: str, cleaner: str) -> None:
    warmed(host, plugin)
    count, died = 0, True
    while died:
        count += 1
        scene = Scene(host, plugin, f"c{count}")
        died = scene.killed(count, "ADD")
        scene.succeed(cleaner)
        assert scene.left() == [], f"after point {count}"
        scene.end()
    assert count > 2, "no fault point was passed: the hook is not there"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_identical_add_after_a_kill(host: Host, plugin: str) -> None:
    """Up to the last commit it succeeds; after it, it names what is there, and DEL clears it."""
    warmed(host, plugin)
    count, refused, died = 0, 0, True
    while died:
        count += 1
        scene = Scene(host, plugin, f"c{count}")
        died = scene.killed(count, "ADD")
        again = scene.call("ADD")
        if again.status:
            refused += 1
            assert again.code == 100, again.stdout
            assert scene.runtime.container in again.document["msg"]
            scene.succeed("DEL")
            scene.succeed("ADD")
        scene.succeed("DEL")
        assert scene.left() == [], f"after point {count}"
        scene.end()
    # The finished ADD, and the one killed after its last commit.
    assert refused == 2


@pytest.mark.parametrize("plugin", PLUGINS)
def test_del_killed_at_every_point(host: Host, plugin: str) -> None:
    warmed(host, plugin)
    count, died = 0, True
    while died:
        count += 1
        scene = Scene(host, plugin, f"c{count}")
        scene.succeed("ADD")
        died = scene.killed(count, "DEL")
        if died:
            scene.succeed("DEL")
        assert scene.left() == [], f"after point {count}"
        scene.end()
    assert count > 2, "no fault point was passed: the hook is not there"
