"""Containers that the reference plugins attached, inherited by pynet as users do it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import executables
import pytest
from drive import Runtime
from evidence import but_kept, nothing_left, rest
from executables import NEVER, REQUIRE, Executables, daemon
from scenes import run

from pynet.testnets.lab.host import Host

REFERENCE = Path("/usr/lib/cni")
BIN = Path("/opt/cni/bin")
PLUGINS = Executables(BIN)
VERSION = "1.0.0"
"""The newest that Debian's speak."""


def needs_reference(plugin: str) -> pytest.MarkDecorator:
    """For a test that runs the reference's plugin of that name."""
    return pytest.mark.skipif(
        not (REFERENCE / plugin).exists(),
        reason="needs the reference plugins: run scripts/deps (containernetworking-plugins)",
    )


def by_reference(command: str, config: Mapping[str, Any], runtime: Runtime) -> Any:
    """What the reference's plugin of that type answers, in the namespaces of this process."""
    done = subprocess.run(
        [REFERENCE / config["type"]],
        env={**runtime.environment(command), "CNI_PATH": str(REFERENCE)},
        input=json.dumps(config).encode(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout or b"null")


def inherited(host: Host, *listed: Mapping[str, Any], warm: bool = False) -> None:
    """A container of the reference passes CHECK after `install --replace`, and DEL leaves nothing.

    `listed` are a network's plugins. What is compared with is what the reference's own DEL leaves,
    which is not always nothing. With `warm` a daemon serves ours.
    """
    host.run(["sh", "-c", f"mkdir -p {BIN} && cp -R {REFERENCE}/. {BIN}"])
    network = [{**each, "cniVersion": VERSION} for each in listed]
    theirs = Runtime("old", "/run/netns/old")
    host.call(run, "ip netns add old")
    _delete(host, network, _add(host, network, theirs), theirs)
    baseline = host.call(rest)
    result = _add(host, network, theirs)
    install = [sys.executable, "-I", "-m", "pynet.cli", "install", "--replace"]
    host.run([*install, "--allow-writable-interpreter"], timeout=2 * executables.PATIENCE)
    ours = Runtime(theirs.container, theirs.netns, environ=dict(REQUIRE if warm else NEVER))
    with daemon(host) if warm else nullcontext():
        for each in network:
            _call(host, "CHECK", {**each, "prevResult": result}, ours)
        _delete(host, network, result, ours)
    left = but_kept(nothing_left(baseline, host.call(rest)))
    assert not left, left


def _add(host: Host, network: list[dict[str, Any]], runtime: Runtime) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for each in network:
        given = {**each, "prevResult": result} if result else each
        result = _call(host, "ADD", given, runtime)
    return result


def _delete(
    host: Host, network: list[dict[str, Any]], result: dict[str, Any], runtime: Runtime
) -> None:
    for each in reversed(network):
        _call(host, "DEL", {**each, "prevResult": result}, runtime)


def _call(host: Host, command: str, config: dict[str, Any], runtime: Runtime) -> Any:
    outcome = PLUGINS.call(host, command, config, runtime)
    assert outcome.status == 0, (command, outcome.stdout)
    return outcome.document
