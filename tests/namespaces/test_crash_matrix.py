"""Killed at every point of ADD and DEL: the next DEL or GC leaves nothing.

Crash points run in children forked from this warm process; `scripts/soak` runs them cold.
"""

from __future__ import annotations

from typing import Any

import drive
import pytest
from drive import Runtime
from evidence import nothing_left, rest

from pynet.testnets.lab import DiedBySignal, Host, Lab

PLUGINS = sorted(drive.CONFIGS)


def config_of(plugin: str) -> dict[str, Any]:
    config = dict(drive.CONFIGS[plugin])
    config["cni.dev/valid-attachments"] = []
    return config


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")


def first_container(host: Host, plugin: str) -> Any:
    """One full life first, so that what is kept on purpose is there in the baseline."""
    host.container("warm")
    runtime = Runtime("warm", "/run/netns/warm")
    assert host.call(drive.call, "ADD", config_of(plugin), runtime).status == 0
    assert host.call(drive.call, "DEL", config_of(plugin), runtime).status == 0
    host.delete_container("warm")
    return host.call(rest)


def killed(host: Host, count: int, command: str, plugin: str, runtime: Runtime) -> bool:
    """Whether the call died at its `count`-th point; False once it has no so many."""
    try:
        outcome = host.fork_call(drive.killed_at, count, command, config_of(plugin), runtime).wait()
    except DiedBySignal:
        return True
    assert outcome.status == 0, outcome.stdout
    return False


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("cleaner", ["DEL", "GC"])
def test_add_killed_at_every_point(host: Host, plugin: str, cleaner: str) -> None:
    baseline = first_container(host, plugin)
    count = 1
    while True:
        runtime = Runtime(f"c{count}", f"/run/netns/c{count}")
        host.container(runtime.container)
        died = killed(host, count, "ADD", plugin, runtime)
        outcome = host.call(drive.call, cleaner, config_of(plugin), runtime)
        assert outcome.status == 0, (count, outcome.stdout)
        assert nothing_left(baseline, host.call(rest)) == [], f"after point {count}"
        host.delete_container(runtime.container)
        if not died:
            break
        count += 1
    assert count > 2, "no fault point was passed: the hook is not there"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_identical_add_after_a_kill(host: Host, plugin: str) -> None:
    """Up to the last commit it succeeds; after it, it names what is there, and DEL clears it."""
    baseline = first_container(host, plugin)
    count, refused = 1, 0
    while True:
        runtime = Runtime(f"c{count}", f"/run/netns/c{count}")
        host.container(runtime.container)
        died = killed(host, count, "ADD", plugin, runtime)
        again = host.call(drive.call, "ADD", config_of(plugin), runtime)
        if again.status:
            refused += 1
            assert again.code == 100, again.stdout
            assert runtime.container in again.document["msg"]
            assert host.call(drive.call, "DEL", config_of(plugin), runtime).status == 0
            assert host.call(drive.call, "ADD", config_of(plugin), runtime).status == 0
        assert host.call(drive.call, "DEL", config_of(plugin), runtime).status == 0
        assert nothing_left(baseline, host.call(rest)) == [], f"after point {count}"
        host.delete_container(runtime.container)
        if not died:
            break
        count += 1
    # The finished ADD, and the one killed after its last commit.
    assert refused == 2


@pytest.mark.parametrize("plugin", PLUGINS)
def test_del_killed_at_every_point(host: Host, plugin: str) -> None:
    baseline = first_container(host, plugin)
    count = 1
    while True:
        runtime = Runtime(f"c{count}", f"/run/netns/c{count}")
        host.container(runtime.container)
        assert host.call(drive.call, "ADD", config_of(plugin), runtime).status == 0
        died = killed(host, count, "DEL", plugin, runtime)
        if died:
            outcome = host.call(drive.call, "DEL", config_of(plugin), runtime)
            assert outcome.status == 0, (count, outcome.stdout)
        assert nothing_left(baseline, host.call(rest)) == [], f"after point {count}"
        host.delete_container(runtime.container)
        if not died:
            break
        count += 1
    assert count > 2, "no fault point was passed: the hook is not there"
