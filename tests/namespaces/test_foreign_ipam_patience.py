"""Somebody else's IPAM plugin that takes its time: run once, and to its end where it must be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from drive import PLAIN_BRIDGE, Runtime
from executables import NEVER, Executables, daemon, until

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")

# It notes the begin and the end of each call. An ADD waits for a word that never comes where
# there is no `answer`; everything else takes longer than it looks whether the caller has gone.
SCRIPT = """#!/bin/sh
cd '{folder}'
cat >/dev/null
echo "$CNI_COMMAND" >>begun
if [ "$CNI_COMMAND" != ADD ]; then sleep 1
elif [ -e answer ]; then cat answer
else read -r _ <never
fi
echo "$CNI_COMMAND" >>ended
"""
ANSWER = '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.9/24", "gateway": "10.1.0.1"}]}'
CONFIG: dict[str, Any] = {**PLAIN_BRIDGE, "ipam": {"type": "dawdling"}}


@dataclass
class Dawdling:
    folder: Path

    def __post_init__(self) -> None:
        script = self.folder / "dawdling"
        script.write_text(SCRIPT.format(folder=self.folder))
        script.chmod(0o755)
        os.mkfifo(self.folder / "never")

    def answers(self) -> None:
        (self.folder / "answer").write_text(ANSWER)

    def calls(self, which: str) -> list[str]:
        file = self.folder / which
        return file.read_text().split() if file.exists() else []

    def runtime(self, plugins: Executables, **environ: str) -> Runtime:
        return Runtime(environ={"CNI_PATH": f"{plugins.folder}:{self.folder}", **environ})


@pytest.fixture
def dawdling(tmp_path: Path) -> Dawdling:
    return Dawdling(tmp_path)


def test_the_undo_of_an_add_whose_caller_has_gone_runs_to_its_end(
    host: Host, plugins: Executables, dawdling: Dawdling
) -> None:
    runtime = dawdling.runtime(plugins, PYNET_DAEMON="require")
    with daemon(host):
        with plugins.start(host, "ADD", CONFIG, runtime) as add:
            until(lambda: "ADD" in dawdling.calls("begun"), "the ADD did not come so far")
            add.kill()
        until(lambda: "DEL" in dawdling.calls("ended"), "the undo was broken off")
        # It waits for the undo, which has nothing left to do.
        assert plugins.call(host, "DEL", PLAIN_BRIDGE, runtime).status == 0
    assert dawdling.calls("begun") == ["ADD", "DEL"]
    assert dawdling.calls("ended") == ["DEL"]


def test_a_del_whose_caller_has_gone_runs_to_its_end(
    host: Host, plugins: Executables, dawdling: Dawdling
) -> None:
    dawdling.answers()
    runtime = dawdling.runtime(plugins, PYNET_DAEMON="require")
    with daemon(host):
        assert plugins.call(host, "ADD", CONFIG, runtime).status == 0
        with plugins.start(host, "DEL", CONFIG, runtime) as delete:
            until(lambda: "DEL" in dawdling.calls("begun"), "the DEL did not come so far")
            delete.kill()
        until(lambda: "DEL" in dawdling.calls("ended"), "the DEL was broken off")
        assert plugins.call(host, "DEL", PLAIN_BRIDGE, runtime).status == 0
    assert dawdling.calls("begun") == dawdling.calls("ended") == ["ADD", "DEL"]


@pytest.mark.parametrize("command", ["CHECK", "STATUS", "GC", "DEL"])
def test_what_takes_longer_than_a_launcher_waits_to_be_accepted_is_run_once(
    host: Host, plugins: Executables, dawdling: Dawdling, command: str
) -> None:
    dawdling.answers()
    runtime = dawdling.runtime(plugins, PYNET_ACCEPT_MS="300")
    with daemon(host):
        added = plugins.call(host, "ADD", CONFIG, dawdling.runtime(plugins, **NEVER))
        assert added.status == 0, added
        wanted = {**CONFIG, "prevResult": added.document}
        living = [{"containerID": "c1", "ifname": "eth0"}]
        wanted |= {"cni.dev/valid-attachments": living} if command == "GC" else {}
        done = plugins.call(host, command, wanted, runtime)
        assert done.status == 0, done
        assert dawdling.calls("begun") == dawdling.calls("ended") == ["ADD", command]
        if command != "DEL":
            assert plugins.call(host, "DEL", CONFIG, runtime).status == 0
