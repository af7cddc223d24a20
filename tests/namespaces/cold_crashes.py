"""The cold executable killed at a fault point, and what DEL makes of it.

PYNET_FAULT in a one-shot's environment kills it at that point: nothing was imported, opened or
locked before by a process that lived on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from signal import SIGKILL
from typing import Any

import drive
from drive import Runtime
from evidence import inside, nothing_left, rest
from executables import NEVER, Executables, points

from pynet.testnets.lab import Host

PLUGINS = sorted(drive.CONFIGS)
COMMANDS = ("ADD", "DEL")


class Crashes:
    """Kills of one plugin's `command`, which passes `points`, in a host that has seen one life."""

    def __init__(self, host: Host, plugins: Executables, plugin: str, command: str) -> None:
        self._host = host
        self._plugins = plugins
        self._plugin = plugin
        self._command = command
        # Counting is the first life: what is kept on purpose is there after it.
        self.points = points(host, command, plugin)

    def at(self, numbers: Iterable[int]) -> Iterator[str]:
        """What went wrong where, in words; the command must get as far as each of the points."""
        for number in numbers:
            name = f"cold{number}"
            self._host.container(name)
            runtime = Runtime(name, f"/run/netns/{name}", environ=dict(NEVER))
            config = self._host.call(drive.prepare, self._plugin, runtime)
            yield from self._one(number, config, runtime)
            self._host.call(drive.dismantle, self._plugin, runtime)
            self._host.delete_container(name)

    def _one(self, number: int, config: dict[str, Any], runtime: Runtime) -> Iterator[str]:
        where = f"{self._plugin} {self._command}, point {number}"
        baseline = self._now(runtime)
        if self._command == "DEL":
            yield from self._call("ADD", config, runtime, f"before {where}")
        killed = self._plugins.call(
            self._host, self._command, config, runtime, PYNET_FAULT=str(number)
        )
        if killed.status != -SIGKILL:
            yield f"{where}: it was not killed there: {killed}"
        yield from self._call("DEL", config, runtime, f"after {where}")
        for thing in nothing_left(baseline, self._now(runtime)):
            yield f"{where}: {thing} is left"

    def _now(self, runtime: Runtime) -> set[str]:
        return self._host.call(lambda: rest() | inside(runtime.container))

    def _call(
        self, command: str, config: dict[str, Any], runtime: Runtime, where: str
    ) -> Iterator[str]:
        outcome = self._plugins.call(self._host, command, config, runtime)
        if outcome.status:
            yield f"{command} {where}: {outcome}"
