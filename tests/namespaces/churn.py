"""Containers that come and go, many at once, as runtimes have them: for `test_churn` and soaking.

Runs inside a fake host. A caller does what a runtime does: an ADD that fails is followed by a
DEL, and what is told to be tried again later is tried again.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from drive import BRIDGE, Outcome, Runtime
from executables import NEVER, Executables

OTHER_NETWORK: dict[str, Any] = {
    **BRIDGE,
    "name": "db",
    "bridge": "cni1",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.2.0.0/22"}]]},
}
NETWORKS = (BRIDGE, OTHER_NETWORK)
WORKERS = 16
_HELD = 40
"""How many containers are attached at once, about."""
_ATTACHED_ALREADY = 100
_TRY_LATER = 11
_TRIES = 40


@dataclass(frozen=True)
class Attached:
    config: dict[str, Any]
    runtime: Runtime
    addresses: tuple[str, ...]


@dataclass
class Report:
    """What was done, and what should not have happened."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Churn:
    """`kills` tells that somebody kills the daemon meanwhile: then code 11 is to be expected."""

    def __init__(
        self,
        plugins: Executables,
        *,
        kills: bool = False,
        seed: int = 1,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._plugins = plugins
        self._kills = kills
        self._random = random.Random(seed)
        self._progress = progress
        self._lock = threading.RLock()
        self._attached: list[Attached] = []
        self._holders: dict[str, str] = {}
        self.report = Report()

    def run(self, count: int) -> Report:
        """Attach `count` containers, `WORKERS` at a time, and detach every one of them again."""
        with ThreadPoolExecutor(WORKERS) as pool:
            for done, _ in enumerate(pool.map(self._one, range(count))):
                self._progress(done + 1)
            list(pool.map(lambda _: self._detach_one(), range(len(self._attached))))
        return self.report

    def _one(self, number: int) -> None:
        name = f"churn{number}"
        _ip("netns", "add", name)
        environ = dict(NEVER) if self._chance(0.1) else {}
        runtime = Runtime(name, f"/run/netns/{name}", environ=environ)
        self._attach(NETWORKS[number % 2], runtime)
        if len(self._attached) > _HELD:
            self._detach_one()

    def _attach(self, config: dict[str, Any], runtime: Runtime) -> None:
        twice = self._chance(0.1)
        if twice:
            with ThreadPoolExecutor(2) as pool:
                outcomes = list(pool.map(lambda _: self._call("ADD", config, runtime), range(2)))
        else:
            outcomes = [self._call("ADD", config, runtime)]
        made = [outcome for outcome in outcomes if outcome.status == 0]
        codes = sorted(outcome.code for outcome in outcomes)
        if self._kills and _TRY_LATER in codes:
            self._count("ADD told to try later")
        elif codes not in ([0], [0, _ATTACHED_ALREADY]):
            self._fail(f"ADD {runtime.container}: {outcomes}")
        addresses = tuple(ip["address"] for each in made for ip in each.document["ips"])
        with self._lock:
            for address in addresses:
                holder = self._holders.setdefault(address, runtime.container)
                if holder != runtime.container:
                    self._fail(f"{address} was given to {runtime.container} and {holder}")
            self._attached.append(Attached(config, runtime, addresses))

    def _detach_one(self) -> None:
        with self._lock:
            attached = self._attached.pop(self._random.randrange(len(self._attached)))
            for address in attached.addresses:  # from now on it may be somebody else's
                self._holders.pop(address, None)
        container = attached.runtime.container
        died_before = self._chance(0.2)
        if died_before:
            self._count("namespace gone before DEL")
            _ip("netns", "del", container)
        self._detach(attached)
        if not died_before:
            _ip("netns", "del", container)

    def _detach(self, attached: Attached) -> None:
        for _ in range(_TRIES):
            outcome = self._call("DEL", attached.config, attached.runtime)
            if outcome.status == 0:
                return
            if not self._kills or outcome.code != _TRY_LATER:
                break
            self._count("DEL told to try later")
            time.sleep(0.05)
        self._fail(f"DEL {attached.runtime.container}: {outcome}")

    def _call(self, command: str, config: dict[str, Any], runtime: Runtime) -> Outcome:
        self._count(f"{command}{' one-shot' if runtime.environ else ''}")
        return self._plugins.call_here(command, config, runtime)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _count(self, what: str) -> None:
        with self._lock:
            self.report.counts[what] += 1

    def _fail(self, what: str) -> None:
        self.report.failures.append(what)


def churn(plugins: Executables, count: int, **options: Any) -> Report:
    """For `host.call`."""
    return Churn(plugins, **options).run(count)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)
