"""The cold executable killed at a fault point, and what DEL makes of it.

PYNET_FAULT in a one-shot's environment kills it at that point: nothing was imported, opened or
locked before by a process that lived on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from signal import SIGKILL
from typing import Any

from drive import CONFIGS, Runtime
from evidence import nothing_left, rest
from executables import NEVER, Executables

from pynet.testnets.lab import Host

PLUGINS = sorted(CONFIGS)
COMMANDS = ("ADD", "DEL")


class Crashes:
    """Kills of one plugin's `command`; `baseline` is what is there when nothing is attached."""

    def __init__(
        self, host: Host, plugins: Executables, plugin: str, command: str, baseline: set[str]
    ) -> None:
        self._host = host
        self._plugins = plugins
        self._config: dict[str, Any] = CONFIGS[plugin]
        self._what = f"{plugin} {command}"
        self._command = command
        self._baseline = baseline

    def at(self, numbers: Iterable[int]) -> Iterator[str]:
        """What went wrong where, in words; the command must get as far as each of the points."""
        for number in numbers:
            name = f"cold{number}"
            self._host.container(name)
            runtime = Runtime(name, f"/run/netns/{name}", environ=dict(NEVER))
            yield from self._one(number, runtime)
            self._host.delete_container(name)

    def _one(self, number: int, runtime: Runtime) -> Iterator[str]:
        where = f"{self._what}, point {number}"
        if self._command == "DEL":
            yield from self._call("ADD", runtime, f"before {where}")
        killed = self._plugins.call(
            self._host, self._command, self._config, runtime, PYNET_FAULT=str(number)
        )
        if killed.status != -SIGKILL:
            yield f"{where}: it was not killed there: {killed}"
        yield from self._call("DEL", runtime, f"after {where}")
        for thing in nothing_left(self._baseline, self._host.call(rest)):
            yield f"{where}: {thing} is left"

    def _call(self, command: str, runtime: Runtime, where: str) -> Iterator[str]:
        outcome = self._plugins.call(self._host, command, self._config, runtime)
        if outcome.status:
            yield f"{command} {where}: {outcome}"
