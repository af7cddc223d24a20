"""The cold executable killed at a fault point, and what DEL makes of it.

PYNET_FAULT in a one-shot's environment kills it at that point: nothing was imported, opened or
locked before by a process that lived on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from signal import SIGKILL
from typing import Any

import bystanders
import drive
from chains import PARTS, add_list, delete_list, play
from drive import Outcome, Runtime
from evidence import inside, nothing_left, rest
from executables import NEVER, Executables, points

from pynet.testnets.lab.lab import Host

PLUGINS = sorted(drive.CONFIGS)
COMMANDS = ("ADD", "DEL")


class Crashes:
    """Kills of one plugin's `command`, by itself or in another part of a list."""

    def __init__(
        self, host: Host, plugins: Executables, plugin: str, command: str, part: str = ""
    ) -> None:
        self._host = host
        self._plugins = plugins
        self._plugin = plugin
        self._command = command
        self._part = PARTS[part or plugin]
        host.call(bystanders.settle)
        # Counting is the first life: what is kept on purpose is there after it.
        self.points = points(host, command, plugin, part)

    def at(self, numbers: Iterable[int]) -> Iterator[str]:
        """What went wrong where, in words; the command must get as far as each of the points."""
        for number in numbers:
            name = f"cold{number}"
            self._host.container(name)
            runtime = Runtime(name, f"/run/netns/{name}", environ=dict(NEVER))
            given = self._host.call(add_list, self._part.before, runtime)
            yield from self._one(number, given, runtime)
            self._host.call(delete_list, self._part.before, runtime, given)
            self._host.delete_container(name)

    def _one(self, number: int, given: Any, runtime: Runtime) -> Iterator[str]:
        where = f"{self._plugin} {self._command}, point {number}"
        baseline = self._now(runtime)
        result = given
        if self._command == "DEL":
            added = self._play("ADD", given, runtime)
            if added.status:
                yield f"ADD before {where}: {added}"
            result = added.document
        killed = self._play(self._command, result, runtime, fault=number)
        if killed.status != -SIGKILL:
            yield f"{where}: it was not killed there: {killed}"
        deleted = self._play("DEL", result, runtime)
        if deleted.status:
            yield f"DEL after {where}: {deleted}"
        for thing in nothing_left(baseline, self._now(runtime)):
            yield f"{where}: {thing} is left"

    def _now(self, runtime: Runtime) -> set[str]:
        return self._host.call(lambda: rest() | inside(runtime.container))

    def _play(self, command: str, result: Any, runtime: Runtime, fault: int = 0) -> Outcome:
        return play(command, self._part.plugins, runtime, result, partial(self._call, fault))

    def _call(self, fault: int, command: str, config: dict[str, Any], runtime: Runtime) -> Outcome:
        doomed = fault and config["type"] == self._plugin
        environ = {"PYNET_FAULT": str(fault)} if doomed else {}
        return self._plugins.call(self._host, command, config, runtime, **environ)
