"""What is imported when: a one-shot must start quickly, a warm daemon must not import at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import drive
import pytest
from drive import BRIDGE, CONFIGS, Runtime
from executables import Executables, first_life

from pynet.testnets.lab.lab import Host

# The one-shot's `main`, which says on stderr what it has imported, and ends as it always does.
ONE_SHOT = """
import os, sys
before = set(sys.modules)
leave = os._exit
def say_and_leave(status):
    print(*set(sys.modules) - before, file=sys.stderr)
    leave(status)
os._exit = say_and_leave
from pynet.daemon.one_shot_start import main
main()
"""
# Every command of every plugin in a process that is warm as the daemon is.
WARM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import drive
import pynet.daemon.__main__
from pynet.daemon.preload import preload
from pynet.daemon.serve import Services
from pynet.kernel.warm import Warm
preload()
services = Services(drive.STATE, warm=Warm())
before = set(sys.modules)
for plugin in drive.CONFIGS:
    runtime = drive.Runtime(plugin, "/run/netns/" + plugin)
    config = drive.prepare(plugin, runtime)
    for command in ("ADD", "CHECK", "STATUS", "DEL", "GC"):
        environ, stdin = runtime.environment(command), json.dumps(config).encode()
        outcome = drive.raw_call(plugin, environ, stdin, services)
        if outcome.status:
            sys.exit(f"{plugin} {command}: {outcome}")
        if command == "ADD":
            config.setdefault("prevResult", outcome.document)
    drive.dismantle(plugin, runtime)
print(*set(sys.modules) - before)
"""
COSTLY = {
    "argparse", "asyncio", "concurrent", "dataclasses", "email", "http", "inspect", "logging",
    "multiprocessing", "shutil", "ssl", "subprocess", "tempfile", "unittest", "xml",
}  # fmt: skip
OURS_FOR_OTHERS = {"cli", "testing", "testnets"}


def run(code: str, argument: str, environ: dict[str, str], stdin: bytes) -> set[str]:
    """The words that `python -I -c CODE` prints when its work is done."""
    command = [sys.executable, "-I", "-c", code, argument]
    done = subprocess.run(command, env=environ, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done
    return set((done.stderr or done.stdout).decode().split())


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_a_one_shot_imports_little(host: Host, plugins: Executables, command: str) -> None:
    first_life(host, BRIDGE)  # what is made once for a host may take more
    host.container("c1")
    runtime = Runtime(environ={"PYNET_DAEMON": "never"})
    stdin = json.dumps(BRIDGE).encode()
    for each in ("ADD", "DEL") if command == "DEL" else ("ADD",):
        imported = host.call(run, ONE_SHOT, "bridge", plugins.environment(each, runtime), stdin)
    packages = {name.partition(".")[0] for name in imported}
    assert packages - sys.stdlib_module_names == {"msgspec", "pynet"}
    assert packages & COSTLY == set()
    ours = {tuple(name.split(".")[1:]) for name in imported if name.startswith("pynet.")}
    assert {module[0] for module in ours} & OURS_FOR_OTHERS == set()
    assert {module[1] for module in ours if module[0] == "daemon" and module[1:]} == {
        "call", "descriptors", "one_shot", "one_shot_start", "serve", "settings",
    }  # fmt: skip


def test_a_warm_daemon_imports_nothing_on_a_request(host: Host) -> None:
    for plugin in CONFIGS:
        host.container(plugin)
    helpers = str(Path(drive.__file__).parent)
    assert host.call(run, WARM, helpers, {"PATH": "/usr/bin:/usr/sbin"}, b"") == set()
