"""The daemon under load and at its limits is never worse than none: no call fails, and it lives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from chains import Config
from drive import BRIDGE
from executables import NEVER, REQUIRE, Executables, daemon
from overload import JOIN, crowd, limited, task_group

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")


# --- descriptors ----------------------------------------------------------------------------


@pytest.mark.parametrize(("descriptors", "callers"), [(64, 12), (256, 30), (1024, 160)])
def test_few_descriptors(host: Host, plugins: Executables, descriptors: int, callers: int) -> None:
    with limited(host, "prlimit", f"--nofile={descriptors}:{descriptors}"):
        assert host.call(crowd, plugins, callers).failures == []


def test_the_limit_of_descriptors_is_raised(host: Host, plugins: Executables) -> None:
    with limited(host, "prlimit", "--nofile=64:4096") as pid:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert host.call(crowd, plugins, 20).failures == []
    assert next(line for line in limits.splitlines() if "open files" in line).split()[3] == "4096"


MANY = """
import os, sys
for number in range(1100):
    os.set_inheritable(os.dup(0), True)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("mode", [REQUIRE, NEVER])
def test_more_than_a_thousand_descriptors_end_nobody(
    host: Host, plugins: Executables, mode: dict[str, str]
) -> None:
    """Those of libnftables are told apart by `select`, which can't from 1,024 on."""
    many = (sys.executable, "-c", MANY)
    with limited(host, *many):
        host.run(["nft", "flush", "ruleset"])  # so that there are tables to be made
        for command in ("ADD", "DEL"):
            outcome = plugins.call(host, command, BRIDGE, prefix=many, **mode)
            assert outcome.status == 0, outcome


# --- threads, processes and memory ----------------------------------------------------------


@pytest.fixture
def quick(plugins: Executables, tmp_path: Path) -> Config:
    """A network whose addresses somebody else's plugin gives, by a script."""
    script = plugins.folder / "quick"
    script.write_text(QUICK.format(folder=tmp_path))
    script.chmod(0o755)
    return {**BRIDGE, "ipam": {"type": "quick"}}


QUICK = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
until mkdir "{folder}/$((number += 1))" 2>/dev/null; do :; done
echo '{{"cniVersion": "1.1.0", "ips": [{{"address": "10.7.0.'$((number + 1))'/24"}}]}}'
"""


@pytest.mark.second_user
def test_no_thread_and_no_process_more(host: Host, plugins: Executables, quick: Config) -> None:
    with task_group() as group, limited(host, "sh", "-c", JOIN, "sh", str(group)):
        assert host.call(crowd, plugins, 1).failures == []  # it has its first threads by now
        (group / "pids.max").write_text((group / "pids.current").read_text())
        host.run(["nft", "flush", "ruleset"])
        assert host.call(crowd, plugins, 20).failures == []
        assert host.call(lambda: crowd(plugins, 2, config=quick)).failures == []
        (group / "pids.max").write_text("max")


def test_no_address_space_more(host: Host, plugins: Executables) -> None:
    with daemon(host) as pid:
        assert host.call(crowd, plugins, 1).failures == []
        status = Path(f"/proc/{pid}/status").read_text()
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmPeak"))
    for more in (4, 40):
        with limited(host, "prlimit", f"--as={(peak << 10) + (more << 20)}"):
            assert host.call(crowd, plugins, 4).failures == []


# --- somebody who does not stop -------------------------------------------------------------


def test_a_ruleset_that_is_flushed_all_the_time(host: Host, plugins: Executables) -> None:
    with limited(host):
        assert host.call(lambda: crowd(plugins, 200, flushed=0.1)).failures == []
        for command in ("ADD", "DEL"):  # what the last flush took is there again
            assert plugins.call(host, command, BRIDGE).status == 0
