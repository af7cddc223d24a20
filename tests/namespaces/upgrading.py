"""Two releases on one host with one state directory, each serving what the other has begun.

Runs inside a fake host (`host.call`). A caller does what a runtime does: an ADD that fails is
followed by a DEL, and what is refused is asked again, of the newer release.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from chains import Config, play
from churn import Attached
from drive import BRIDGE, FIREWALL, PORTMAP, Outcome, Runtime
from evidence import STATE
from executables import NEVER, SOCKET, until
from releases import Release

_WORKERS = 4
_TRIES = 20
_TRY_LATER = 11
_REFUSALS = {
    "newer schema": "this pynet knows",
    "another version's step": "(recorded by another version of pynet)",
}
"""What an older release says that leaves something to the newer one."""


def containers_list(number: int) -> tuple[Config, ...]:
    ports = [{"hostPort": 20_000 + number, "containerPort": 80, "protocol": "tcp"}]
    return BRIDGE, {**PORTMAP, "runtimeConfig": {"portMappings": ports}}, FIREWALL


@dataclass(frozen=True)
class Round:
    """Who serves at first and, from the middle on, in its place; and whose plugins are called."""

    daemon: str
    callers: tuple[str, ...]
    then: str = ""
    killed: bool = False


ROUNDS = (
    Round("old", ("old",)),
    Round("old", ("old", "new")),
    Round("old", ("new", "old"), then="new"),
    Round("new", ("old", "new")),
    Round("new", ("new", "old"), then="old", killed=True),
    Round("old", ("old", "new"), then="new", killed=True),
    Round("new", ("new",)),
)
"""Up, beside each other, down again, and up."""


@dataclass
class Report:
    """What was done, and what should not have happened."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Upgrade:
    def __init__(self, releases: dict[str, Release], log: Path, seed: int = 1) -> None:
        self._releases = releases
        self._log = log
        self._random = random.Random(seed)
        self._lock = threading.RLock()
        self._attached: list[Attached] = []
        self._callers: Sequence[str] = ()
        self._number = 0
        self.report = Report()

    def run(self, rounds: Sequence[Round], containers: int) -> Report:
        """`containers` are attached in each round, and about as many detached; at last all are."""
        for each in rounds:
            self._callers = each.callers
            daemon = self._start(each.daemon)
            with ThreadPoolExecutor(_WORKERS) as pool:
                list(pool.map(self._one, range(containers // 2)))
                if each.then:
                    work = [pool.submit(self._one, n) for n in range(containers // 2)]
                    self._end(daemon, each.killed)
                    daemon = self._start(each.then)
                    for one in work:
                        one.result()
                else:
                    list(pool.map(self._one, range(containers // 2)))
            self._collect()
            self._end(daemon)
        self._callers = tuple(self._releases)
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(lambda _: self._detach_one(), range(len(self._attached))))
        self._collect()
        return self.report

    # --- the daemons -------------------------------------------------------------------------

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        """One of that release, in the place of any that a call has left behind."""
        self._end_left_behind()
        daemon = self._releases[name].daemon(self._log)
        until(Path(SOCKET).exists, f"the daemon of {name} did not come up")
        return daemon

    def _end(self, daemon: subprocess.Popen[bytes], killed: bool = False) -> None:
        """It may have left already: for its elder's record, or a newer schema."""
        daemon.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
        daemon.wait(60)

    def _end_left_behind(self) -> None:
        """None of them knows that it is to make room."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended meanwhile
            if b"pynet.daemon" in words and str(STATE).encode() in words:
                self._count("daemons left behind")
                with suppress(ProcessLookupError):
                    os.kill(int(folder.name), signal.SIGTERM)
                gone = partial(_is_gone, folder)
                until(gone, "a daemon that was left behind stays")

    # --- what is asked -----------------------------------------------------------------------

    def _one(self, _: int) -> None:
        with self._lock:
            self._number += 1
            number = self._number
        name = f"up{number}"
        _ip("netns", "add", name)
        self._attach(containers_list(number), Runtime(name, f"/run/netns/{name}"))
        if self._chance(0.6):
            self._check(self._pick(remove=False))
        if self._chance(0.9) and len(self._attached) > _WORKERS:
            self._detach_one()

    def _attach(self, plugins: tuple[Config, ...], runtime: Runtime) -> None:
        for callers in self._attempts():
            outcome = play("ADD", plugins, runtime, call=partial(self._call, callers))
            if outcome.status == 0:
                with self._lock:
                    self._attached.append(Attached(plugins, runtime, outcome.document))
                return
            if not self._is_refusal(outcome):
                break
            self._detach(Attached(plugins, runtime, None))
        self._fail(f"ADD {runtime.container}: {outcome}")

    def _check(self, attached: Attached | None) -> None:
        if attached is None:
            return
        call = partial(self._call, self._callers)
        outcome = play("CHECK", attached.plugins, attached.runtime, attached.result, call)
        if outcome.status and not self._is_refusal(outcome):
            self._fail(f"CHECK {attached.runtime.container}: {outcome}")
        with self._lock:
            self._attached.append(attached)

    def _detach_one(self) -> None:
        attached = self._pick()
        if attached is None:
            return
        container = attached.runtime.container
        if died_before := self._chance(0.2):
            _ip("netns", "del", container)
        self._detach(attached)
        if not died_before:
            _ip("netns", "del", container)

    def _detach(self, attached: Attached) -> None:
        for callers in self._attempts():
            call = partial(self._call, callers)
            outcome = play("DEL", attached.plugins, attached.runtime, attached.result, call)
            if outcome.status == 0:
                return
            if not self._is_refusal(outcome):
                break
        self._fail(f"DEL {attached.runtime.container}: {outcome}")

    def _collect(self) -> None:
        """GC with the list of all that are attached, by each caller: none of them goes."""
        valid = [
            {"containerID": each.runtime.container, "ifname": each.runtime.interface}
            for each in self._attached
        ]
        for name in self._callers:
            for config in reversed(containers_list(0)):
                given = {**config, "cni.dev/valid-attachments": valid}
                outcome = self._call_of(name, "GC", given, Runtime(), never=True)
                if outcome.status and not self._is_refusal(outcome):
                    self._fail(f"GC of {config['type']}: {outcome}")
        for attached in list(self._attached):
            self._check(self._pick(attached))

    def _attempts(self) -> Iterator[Sequence[str]]:
        """Whose plugins to call: anybody's, and then those of who leaves nothing to another."""
        yield self._callers
        for _ in range(_TRIES):
            yield self._callers if "new" not in self._callers else ("new",)

    def _call(
        self, callers: Sequence[str], command: str, config: dict[str, Any], runtime: Runtime
    ) -> Outcome:
        with self._lock:
            name = self._random.choice(callers)
        return self._call_of(name, command, config, runtime, never=self._chance(0.15))

    def _call_of(
        self, name: str, command: str, config: dict[str, Any], runtime: Runtime, *, never: bool
    ) -> Outcome:
        if never:
            runtime = replace(runtime, environ=dict(NEVER))
        self._count(command)
        self._count(f"{name}{' one-shot' if never else ''}")
        outcome = self._releases[name].plugins.call_here(command, config, runtime)
        if outcome.status and outcome.code == 999:
            self._fail(f"{command} by {name}: {outcome}")
        return outcome

    # --- bookkeeping ---------------------------------------------------------------------------

    def _is_refusal(self, outcome: Outcome) -> bool:
        """Whether it is to be asked again, of somebody else or later."""
        said = outcome.document["msg"]
        for what, words in _REFUSALS.items():
            if words in said:
                self._count(what)
                return True
        if outcome.code == _TRY_LATER:
            self._count("told to try later")
            time.sleep(0.02)
            return True
        return False

    def _pick(self, wanted: Attached | None = None, *, remove: bool = True) -> Attached | None:
        """Take one out, so that nobody else detaches it meanwhile."""
        with self._lock:
            if not self._attached:
                return None
            at = (
                self._random.randrange(len(self._attached))
                if wanted is None
                else self._attached.index(wanted)
            )
            return self._attached.pop(at)

    def _chance(self, share: float) -> bool:
        with self._lock:
            return self._random.random() < share

    def _count(self, what: str) -> None:
        with self._lock:
            self.report.counts[what] += 1

    def _fail(self, what: str) -> None:
        self.report.failures.append(what)


def upgrade(old: Release, new: Release, log: Path, containers: int) -> Report:
    """For `host.call`."""
    return Upgrade({"old": old, "new": new}, log).run(ROUNDS, containers)


def _is_gone(process: Path) -> bool:
    try:
        return not (process / "cmdline").read_bytes()  # a dead one that nobody has waited for
    except OSError:
        return True


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)
