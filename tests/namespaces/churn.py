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
from dataclasses import dataclass, field, replace
from typing import Any

import bystanders
from chains import CHAIN, Config, play
from drive import BRIDGE, Outcome, Runtime
from executables import NEVER, Executables, first_life

from pynet.testnets.lab.lab import Host

OTHER_NETWORK: Config = {
    **BRIDGE,
    "name": "db",
    "bridge": "cni1",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.2.0.0/22"}]]},
}


def two_networks(number: int) -> tuple[Config, ...]:
    return (OTHER_NETWORK if number % 2 else BRIDGE,)


def whole_list(number: int) -> tuple[Config, ...]:
    """With ports of the host and a MAC that no other container has."""
    port = {"hostPort": 20_000 + number, "containerPort": 80}
    ports = [{**port, "protocol": protocol} for protocol in ("tcp", "udp")]
    own = {
        "portmap": {"runtimeConfig": {"portMappings": ports}},
        "tuning": {"mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"},
    }
    return tuple({**config, **own.get(config["type"], {})} for config in CHAIN)


@dataclass(frozen=True)
class Kind:
    """Lists of plugins, one a container, and the share of calls that no daemon serves."""

    plugins: Callable[[int], tuple[Config, ...]]
    one_shots: float


KINDS = {"two networks": Kind(two_networks, 0.1), "whole list": Kind(whole_list, 0.03)}
WORKERS = 16
_HELD = 40
"""How many containers are attached at once, about."""
_ATTACHED_ALREADY = 100
_TRY_LATER = 11
_TRIES = 40


@dataclass(frozen=True)
class Attached:
    plugins: tuple[Config, ...]
    runtime: Runtime
    result: Any
    """None where no ADD was seen to end."""

    @property
    def addresses(self) -> list[str]:
        return [ip["address"] for ip in self.result["ips"]] if self.result else []


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
        kind: Kind,
        *,
        kills: bool = False,
        seed: int = 1,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._plugins = plugins
        self._kind = kind
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
        self._attach(self._kind.plugins(number), Runtime(name, f"/run/netns/{name}"))
        if len(self._attached) > _HELD:
            self._detach_one()

    def _attach(self, plugins: tuple[Config, ...], runtime: Runtime) -> None:
        def add(_: int) -> Outcome:
            return play("ADD", plugins, runtime, call=self._call)

        if self._chance(0.1):
            with ThreadPoolExecutor(2) as pool:
                outcomes = list(pool.map(add, range(2)))
        else:
            outcomes = [add(0)]
        codes = sorted(outcome.code for outcome in outcomes)
        if self._kills and _TRY_LATER in codes:
            self._count("ADD told to try later")
        elif codes not in ([0], [0, _ATTACHED_ALREADY]):
            self._fail(f"ADD {runtime.container}: {outcomes}")
        made = [outcome.document for outcome in outcomes if outcome.status == 0]
        attached = Attached(plugins, runtime, made[0] if made else None)
        with self._lock:
            for address in attached.addresses:
                holder = self._holders.setdefault(address, runtime.container)
                if holder != runtime.container:
                    self._fail(f"{address} was given to {runtime.container} and {holder}")
            self._attached.append(attached)

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
        runtime = attached.runtime
        for _ in range(_TRIES):
            outcome = play("DEL", attached.plugins, runtime, attached.result, self._call)
            if outcome.status == 0:
                return
            if not self._kills or outcome.code != _TRY_LATER:
                break
            self._count("DEL told to try later")
            time.sleep(0.05)
        self._fail(f"DEL {runtime.container}: {outcome}")

    def _call(self, command: str, config: dict[str, Any], runtime: Runtime) -> Outcome:
        if one_shot := self._chance(self._kind.one_shots):
            runtime = replace(runtime, environ=dict(NEVER))
        self._count(f"{command}{' one-shot' if one_shot else ''}")
        return self._plugins.call_here(command, config, runtime)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _count(self, what: str) -> None:
        with self._lock:
            self.report.counts[what] += 1

    def _fail(self, what: str) -> None:
        self.report.failures.append(what)


def churn(plugins: Executables, kind: str, count: int, **options: Any) -> Report:
    """For `host.call`; `kind` is a name in `KINDS`."""
    return Churn(plugins, KINDS[kind], **options).run(count)


def lived_once(host: Host, kind: str) -> set[str]:
    """What is in a host, beside what others have, where one container of each list has been."""
    host.call(bystanders.settle)
    lists = map(KINDS[kind].plugins, range(2))
    return [first_life(host, *one) for one in lists][-1]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)
