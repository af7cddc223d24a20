"""The plugins as a runtime has them: the launcher under their names, and `pynetd`, in fake hosts.

`python -I` sees neither PYTHONPATH nor the working directory, so the interpreter that runs the
tests must have pynet installed (`scripts/test` sees to that; `pip install -e .` does).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import drive
from chains import PARTS, Config, Part, add_list, delete_list, play
from drive import Outcome, Runtime
from evidence import rest

from pynet import launcher
from pynet.engine import faults
from pynet.testnets.lab.lab import Host, Process

SOCKET = "/run/pynet/pynetd.sock"
REQUIRE = {"PYNET_DAEMON": "require"}
NEVER = {"PYNET_DAEMON": "never"}
PATIENCE = 30.0
"""Seconds until a test that waits gives up; nothing is expected to take so long."""


@dataclass(frozen=True)
class Executables:
    """A directory of plugins, as CNI_PATH names it, and the interpreter of their one-shots."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Executables:
        """Compile the launcher into `folder` and link the plugins to it, as an installation is."""
        _require_installed_package()
        launcher.compile(folder / "pynet-launcher")
        for plugin in drive.CONFIGS:
            (folder / plugin).symlink_to("pynet-launcher")
        (folder / launcher.CONFIGURATION).write_text(f"python={sys.executable}\n")
        return cls(folder)

    def configured(self, folder: Path, *lines: str) -> Executables:
        """The same in another directory, with more lines in the launcher's configuration."""
        shutil.copytree(self.folder, folder, symlinks=True)
        with (folder / launcher.CONFIGURATION).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        return Executables(folder)

    def environment(self, command: str, runtime: Runtime) -> dict[str, str]:
        path = {"CNI_PATH": str(self.folder)}
        return {**runtime.environment(command), **path, **runtime.environ}

    def start(
        self,
        host: Host,
        command: str,
        config: dict[str, Any],
        runtime: Runtime,
        prefix: tuple[str, ...] = (),
    ) -> Process:
        """A plugin at work in `host`; it has its configuration on stdin already."""
        process = host.popen(
            [*prefix, str(self.folder / config["type"])],
            env=self.environment(command, runtime),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _feed(process, config)
        return process

    def call(
        self,
        host: Host,
        command: str,
        config: dict[str, Any],
        runtime: Runtime | None = None,
        prefix: tuple[str, ...] = (),
        **environ: str,
    ) -> Outcome:
        """One plugin call in `host`, started by `prefix`, to the end of its output."""
        runtime = runtime or Runtime()
        runtime = replace(runtime, environ={**runtime.environ, **environ})
        return finish(self.start(host, command, config, runtime, prefix))

    def start_here(
        self,
        command: str,
        config: dict[str, Any],
        runtime: Runtime,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """`start` in the namespaces of this process: for many calls from one fork in a host."""
        process = subprocess.Popen(
            [*prefix, self.folder / config["type"]],
            env=self.environment(command, runtime),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _feed(process, config)
        return process

    def call_here(
        self,
        command: str,
        config: dict[str, Any],
        runtime: Runtime,
        prefix: tuple[str, ...] = (),
    ) -> Outcome:
        """`call` in the namespaces of this process."""
        return finish(self.start_here(command, config, runtime, prefix))


def _feed(process: subprocess.Popen[bytes], config: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(config).encode())
    process.stdin.close()
    process.stdin = None  # else `communicate` would close it again


def finish(process: subprocess.Popen[bytes], note: str = "") -> Outcome:
    """What a plugin ends with; without a `note`, which is part of it, nothing comes on stderr."""
    with process:
        stdout, stderr = process.communicate(timeout=PATIENCE * 2)
    assert note in stderr.decode() if note else not stderr, stderr.decode()
    return Outcome(process.returncode, stdout)


def _require_installed_package() -> None:
    command = [sys.executable, "-I", "-c", "import pynet.daemon"]
    done = subprocess.run(command, cwd="/", capture_output=True, check=False)
    assert done.returncode == 0, f"{sys.executable} has no pynet: run `pip install -e .` with it"


# --- the daemon --------------------------------------------------------------------------


def in_host(host: Host, path: str) -> Path:
    """A file of the host's, as this process reaches it."""
    return Path(f"/proc/{host.pid}/root{path}")


def daemon_pid(host: Host) -> int | None:
    """Who listens at the host's socket, as a pid of this process's namespace; None if nobody."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(in_host(host, SOCKET)))
        except OSError:
            return None
        raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("iII", raw)[0])


def wait_for_daemon(host: Host) -> int:
    """Its pid, once it answers."""
    return until(lambda: daemon_pid(host), "no daemon came up")


@contextmanager
def daemon(host: Host, **environ: str) -> Iterator[int]:
    """`pynetd` in the host, with `environ`; its pid. It is killed at the end."""
    process = host.popen([sys.executable, "-I", "-m", "pynet.daemon"], env=environ)
    with process:
        try:
            yield wait_for_daemon(host)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def until(answer: Any, complaint: str) -> Any:
    """The first answer that is not None (nor False); fails the test where none comes."""
    deadline = time.monotonic() + PATIENCE
    while (found := answer()) in (None, False):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.01)
    return found


def asleep(pid: int) -> None:
    """Returns once no thread of the process has run, or wanted to, for half a second."""
    until(lambda: _at_rest(pid), "it does not come to rest")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """No thread of the process runs meanwhile; one that sleeps, too, could still be woken."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: {state for _, state, _ in _used(pid)} == {"T"}, "it does not stop")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _at_rest(pid: int) -> bool:
    try:
        before = _used(pid)
        time.sleep(0.5)
        return before == _used(pid) and all(state == "S" for _, state, _ in before)
    except FileNotFoundError:
        return False  # a thread that has just ended


def _used(pid: int) -> list[tuple[str, str, str]]:
    """Of each thread its state and its processor time: one that waits for its turn is not "S"."""
    found = []
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        found.append((task.name, state, (task / "schedstat").read_text().split()[0]))
    return found


# --- many, and a slow one ----------------------------------------------------------------


def containers(host: Host, count: int) -> list[Runtime]:
    names = [f"many{number}" for number in range(count)]
    for name in names:
        host.container(name)
    return [Runtime(name, f"/run/netns/{name}") for name in names]


def at_once(plugins: Executables, command: str, runtimes: list[Runtime]) -> list[Outcome]:
    with ThreadPoolExecutor(len(runtimes)) as pool:
        return list(pool.map(lambda each: plugins.call_here(command, drive.BRIDGE, each), runtimes))


def all_fine(outcomes: list[Outcome]) -> None:
    assert [outcome for outcome in outcomes if outcome.status] == []


@dataclass
class SlowIpam:
    """Somebody's IPAM plugin that stands still in the middle of an ADD."""

    folder: Path

    SCRIPT = """#!/bin/sh
cd '{folder}'
echo "$CNI_COMMAND" >>calls
[ "$CNI_COMMAND" = ADD ] || exit 0
cat >config
touch asked
read -r _ <never
"""

    def __post_init__(self) -> None:
        script = self.folder / "slow"
        script.write_text(self.SCRIPT.format(folder=self.folder))
        script.chmod(0o755)
        os.mkfifo(self.folder / "never")

    def wait(self) -> None:
        until((self.folder / "asked").exists, "the ADD did not come so far")

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().split()

    @property
    def config(self) -> dict[str, Any]:
        return {**drive.BRIDGE, "ipam": {"type": "slow"}}

    def runtime(self, plugins: Executables, **environ: str) -> Runtime:
        return Runtime(environ={"CNI_PATH": f"{plugins.folder}:{self.folder}", **environ})


# --- what tests of kills and leftovers share -----------------------------------------------


def first_life(host: Host, *chain: Config) -> set[str]:
    """One full life, so that what is kept on purpose is there; all there is in the host then."""
    return host.call(_live_once, chain)


def _live_once(chain: tuple[Config, ...]) -> set[str]:
    """In this process: that starts no interpreter for each plugin of the list."""
    drive.ready(*(config["type"] for config in chain))
    subprocess.run(["ip", "netns", "add", "first"], check=True)
    runtime = Runtime("first", "/run/netns/first")
    delete_list(chain, runtime, add_list(chain, runtime))
    subprocess.run(["ip", "netns", "del", "first"], check=True)
    return rest()


def points(host: Host, command: str, plugin: str, part: str = "") -> dict[str, int]:
    """Which fault points a call passes: the first, the one in the middle, and the last.

    It is made in that part of a list; without, in the one that is the plugin's own.
    """
    host.call(PARTS[part or plugin].prepare)
    last = host.call(_count_points, command, plugin, PARTS[part or plugin])
    return {"first": 1, "middle": (last + 1) // 2, "last": last}


def _count_points(command: str, plugin: str, part: Part) -> int:
    subprocess.run(["ip", "netns", "add", "counted"], check=True)
    runtime = Runtime("counted", "/run/netns/counted")
    given = add_list(part.before, runtime)
    passed = {}

    def counting(command: str, config: Any, runtime: Runtime) -> Outcome:
        faults.arm(_FAR)
        outcome = drive.call(command, config, runtime)
        assert faults._left is not None
        passed[command, config["type"]] = _FAR - faults._left
        return outcome

    # The second life counts: in the first the tables are made, which has points of its own.
    for each in ("ADD", "DEL", "ADD", "DEL"):
        outcome = play(each, part.plugins, runtime, given, counting)
        assert outcome.status == 0, outcome
    delete_list(part.before, runtime, given)
    subprocess.run(["ip", "netns", "del", "counted"], check=True)
    return passed[command, plugin]


_FAR = 1_000_000


@contextmanager
def again_and_again(act: Callable[[], object], seconds: float) -> Iterator[None]:
    """`act` every so many seconds, in a thread, until the block ends."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(seconds):
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
