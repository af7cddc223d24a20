"""Many callers at once, of a daemon that was given little: no call may fail for it.

Everything in here but `limited` runs inside a fake host.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from chains import Config
from drive import BRIDGE, Outcome, Runtime
from executables import PATIENCE, Executables, again_and_again, until, wait_for_daemon

from pynet.testnets.lab.lab import Host


@contextmanager
def limited(host: Host, *prefix: str) -> Iterator[int]:
    """`pynetd` in the host, started by `prefix`; its pid. It must be alive at the end."""
    process = host.popen([*prefix, sys.executable, "-I", "-m", "pynet.daemon"])
    with process:
        try:
            yield wait_for_daemon(host)
            assert process.poll() is None, "the daemon has ended"
        finally:
            with suppress(ProcessLookupError):
                process.kill()


@contextmanager
def task_group() -> Iterator[Path]:
    """A control group of this machine's that can bound tasks; it must be empty in the end."""
    hierarchy = next((path for path in _PIDS if (path / "cgroup.procs").exists()), None)
    if hierarchy is None:
        pytest.skip("there is no control group that bounds tasks (pids, cgroup 1)")
    group = hierarchy / f"pynet-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), "processes are left in the group")
        group.rmdir()


WIDE: Config = {
    **BRIDGE,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/22"}]]},
}
"""With room for more than a usual network has."""
_PIDS = (Path("/sys/fs/cgroup/pids"),)
JOIN = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'


@contextmanager
def flushing(seconds: float) -> Iterator[None]:
    """`nft flush ruleset` every so many seconds until the block ends; never for 0."""
    if not seconds:
        yield
        return
    flush = partial(subprocess.run, ["nft", "flush", "ruleset"], check=True)
    with again_and_again(flush, seconds):
        yield


def crowd(
    plugins: Executables, count: int, flushed: float = 0.0, config: Config = BRIDGE
) -> Report:
    """`count` containers attached at once, and detached at once."""
    names = [f"many{number}" for number in range(count)]
    batch = "".join(f"netns add {name}\n" for name in names)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    runtimes = [Runtime(name, f"/run/netns/{name}") for name in names]
    report = Report()
    with flushing(flushed):
        for command in ("ADD", "DEL"):
            began = time.monotonic()
            outcomes = _at_once(plugins, command, config, runtimes)
            report.took += f" {command} {time.monotonic() - began:.1f} s"
            report.failures += [f"{command}: {one}" for one in outcomes if one.status]
            given = [
                ip["address"] for one in outcomes for ip in (one.document or {}).get("ips", ())
            ]
            report.failures += ["an address twice"] if len({*given}) < len(given) else []
    subprocess.run(["ip", "-batch", "-"], input=batch.replace("add", "del"), text=True, check=True)
    return report


def _ips(outcome: Outcome) -> list[dict[str, str]]:
    return list((outcome.document or {}).get("ips", ()))


@dataclass
class Report:
    failures: list[str] = field(default_factory=list)
    took: str = ""


def _at_once(
    plugins: Executables, command: str, config: Config, runtimes: Sequence[Runtime]
) -> list[Outcome]:
    """The processes are all started before the first is waited for."""
    processes = [plugins.start_here(command, config, runtime) for runtime in runtimes]
    with ThreadPoolExecutor(len(processes)) as pool:
        return list(pool.map(_finish, processes))


def _finish(process: subprocess.Popen[bytes]) -> Outcome:
    with process:
        stdout, stderr = process.communicate(timeout=PATIENCE * 2)
    return Outcome(process.returncode, stdout or json.dumps({"msg": stderr.decode()}).encode())
