"""GC: what the list of valid attachments says, and whom it must never touch.

CNI spec 1.1.0, "GC": "The runtime must provide a JSON-serialized list of all attachments
to this network that are still valid"; what is not in it is removed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from drive import Runtime
from evidence import but_kept, nothing_left, rest, rows
from scenes import (
    add,
    container,
    in_host,
    ip,
    lines,
    refused,
    run,
    succeed,
    the_error,
    wait_for,
)

from pynet.testnets.lab.lab import DiedBySignal, Host, Lab

INSPECT = [sys.executable, "-I", "-m", "pynet.cli", "inspect", "--json"]
Config = dict[str, Any]

WEB = drive.BRIDGE
DB: Config = {
    **WEB,
    "name": "db",
    "bridge": "cni1",
    "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"},
}


def valid(config: Config, *runtimes: Runtime) -> Config:
    living = [{"containerID": one.container, "ifname": one.interface} for one in runtimes]
    return {**config, "cni.dev/valid-attachments": living}


def warm(*configs: Config) -> set[str]:
    """What is kept on purpose, and an attachment that keeps the bridges in use."""
    for config in configs:
        add(config, container(f"keeper-{config['name']}"))
    return rest()


def keeper(config: Config) -> Runtime:
    return Runtime(f"keeper-{config['name']}")


@contextmanager
def what_is_made_here_goes() -> Iterator[None]:
    """And nothing else."""
    before = rest()
    yield
    assert rest() == before


@in_host
def test_what_is_not_valid_goes() -> None:
    warm(WEB)
    one, two = container("c1"), container("c2")
    add(WEB, one)
    with what_is_made_here_goes():
        add(WEB, two)
        succeed("GC", valid(WEB, keeper(WEB), one))
    assert not ip("link show type veth", "c2")


@in_host
def test_the_interface_counts_not_only_the_container() -> None:
    warm(WEB)
    one = container("c1")
    second = replace(one, interface="eth1")
    add(WEB, one)
    with what_is_made_here_goes():
        add(WEB, second)
        succeed("GC", valid(WEB, keeper(WEB), one))


@in_host
def test_an_empty_list_means_that_nothing_is_valid() -> None:
    baseline = rest()
    for name in ("c1", "c2"):
        add(WEB, container(name))
    succeed("GC", valid(WEB))
    assert but_kept(nothing_left(baseline, rest())) == []


@in_host
def test_no_list_says_nothing_but_of_the_dead() -> None:
    warm(WEB)
    living, dead = container("c1"), container("c2")
    add(WEB, living)
    with what_is_made_here_goes():
        add(WEB, dead)
        run("ip netns del c2")
        wait_for(lambda: sum(" veth" in line for line in lines()) == 2)
        succeed("GC", WEB)


@in_host
def test_no_list_and_a_namespace_that_only_lost_its_path() -> None:
    """Something in it may still run: a path that is gone proves nothing."""
    add(WEB, container("c1"))
    kept = os.open("/run/netns/c1", os.O_RDONLY)
    run("ip netns del c1")
    before = rest()
    succeed("GC", WEB)
    assert rest() == before
    os.close(kept)


@pytest.mark.parametrize("plugin", ["host-local", "static", "loopback"])
@in_host
def test_no_list_and_no_end_on_the_host(plugin: str) -> None:
    """The host knew the namespace by a number, and knows none by that any more."""
    config = drive.CONFIGS[plugin]
    add(config, container("c1"))
    kept = os.open("/run/netns/c1", os.O_RDONLY)
    run("ip netns del c1")
    before = rest()
    succeed("GC", config)
    assert rest() == before
    os.close(kept)
    wait_for(lambda: not run("ip netns list-id"))
    succeed("GC", config)
    assert not any(line.startswith("row ") for line in rest())


@in_host
def test_the_older_key() -> None:
    warm(WEB)
    before = rest()
    add(WEB, container("c1"))
    old = valid(WEB, keeper(WEB))
    old["cni.dev/attachments"] = old.pop("cni.dev/valid-attachments")
    succeed("GC", old)
    assert rest() == before


@in_host
def test_a_list_that_can_not_be_read_makes_nothing_stale() -> None:
    add(WEB, container("c1"))
    unreadable: tuple[Any, ...] = ({}, "c1", [{}], [{"containerID": "c1"}], [None])
    for broken in unreadable:
        refused(7, "valid-attachments", "GC", {**WEB, "cni.dev/valid-attachments": broken})


@in_host
def test_other_networks_and_plugins_are_not_touched() -> None:
    one = container("c1")
    add(drive.LOOPBACK, one)
    add(DB, replace(one, interface="eth1"))
    add({**WEB, "name": "web2"}, replace(container("c2"), interface="eth2"))
    before = rest()
    inside = lines("c1") | lines("c2")
    succeed("GC", valid(WEB))
    assert rest() == before
    assert lines("c1") | lines("c2") == inside
    succeed("GC", valid(drive.LOOPBACK))
    assert [line for line in before - rest() if not line.startswith("row ")] == []
    assert "link lo down" in short("c1")


def short(netns: str) -> set[str]:
    return {f"link {one['ifname']} {'up' if 'UP' in one['flags'] else 'down'}"
            for one in ip("addr", netns)}  # fmt: skip


def test_other_hosts_are_not_touched(lab: Lab) -> None:
    """Two host namespaces over one state directory, as with rootless containers."""
    one = lab.host("one")
    one.container("c1")
    one.container("inner")  # becomes a host itself
    one.call(add, WEB, Runtime("c1", "/run/netns/c1"))
    one.container("c2")
    one.call(add, WEB, Runtime("c2", "/run/netns/c2"), netns="inner")
    before, there = one.call(rest), one.call(lines, netns="inner")
    outer = {line for line in before if line.startswith("link veth")}
    one.call(succeed, "GC", valid(WEB, Runtime("c1")))
    assert one.call(rest) == before
    assert one.call(lines, netns="inner") == there
    one.call(succeed, "GC", valid(WEB))
    assert not outer & one.call(rest)
    assert one.call(lines, netns="inner") == there


@in_host
def test_an_unused_bridge_of_ours_goes_and_an_administrators_stays() -> None:
    run("ip link add admin0 type bridge")
    run("ip link add cni1 type bridge")
    for config in (WEB, DB):
        one = container(f"c-{config['name']}")
        add(config, one)
        succeed("DEL", config, one)
    assert {"cni0", "cni1", "admin0"} <= set(bridges())
    succeed("GC", WEB)
    assert set(bridges()) == {"cni1", "admin0"}


def bridges() -> list[str]:
    return [link["ifname"] for link in ip("link show type bridge") or ()]


@in_host
def test_a_bridge_with_somebody_elses_port_stays() -> None:
    one = container("c1")
    add(WEB, one)
    succeed("DEL", WEB, one)
    run("ip link add admin0 type veth peer name admin1")
    run("ip link set admin0 master cni0")
    succeed("GC", WEB)
    assert bridges() == ["cni0"]
    run("ip link set admin0 nomaster")
    succeed("GC", WEB)
    assert bridges() == []


@in_host
def test_a_bridge_somebody_uses_stays() -> None:
    add(WEB, container("c1"))
    run("ip link set cni0 down")
    succeed("GC", DB)
    assert bridges() == ["cni0"]


FAILING = """#!/bin/sh
cat > /dev/null
echo "$CNI_COMMAND $CNI_CONTAINERID" >> /run/calls
case "$CNI_COMMAND $CNI_CONTAINERID" in
"ADD "*) echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.5.0.9/24"}]}';;
"DEL c2") echo '{"code": 11, "msg": "no answer for c2"}'; exit 1;;
esac
"""


@in_host
def test_errors_do_not_stop_it() -> None:
    Path("/run/plugins").mkdir()
    binary = Path("/run/plugins/foreign")
    binary.write_text(FAILING)
    binary.chmod(0o755)
    config = {**WEB, "ipam": {"type": "foreign"}, "isDefaultGateway": False}
    path = {"CNI_PATH": "/run/plugins"}
    runtimes = [replace(container(f"c{number}"), environ=path) for number in (1, 2, 3)]
    for one in runtimes:
        add(config, one)
    collector = Runtime(environ=path)
    error = the_error(drive.call("GC", valid(config), collector))
    assert error["code"] == 11 and "no answer for c2" in error["msg"]
    called = Path("/run/calls").read_text().split("\n")
    assert {"DEL c1", "DEL c2", "DEL c3"} <= set(called)
    assert any(line.startswith("GC") for line in called)
    assert not any(line.startswith("link veth") for line in rest())
    binary.write_text(FAILING.replace("exit 1", "exit 0"))
    succeed("GC", valid(config), collector)
    assert not any(line.startswith("row ") for line in rest())


def test_what_a_killed_add_left_goes_though_its_container_is_valid(host: Host) -> None:
    """Nobody can use half an attachment; but one that is being worked on is left alone."""
    host.call(warm, WEB)
    before = host.call(rest)
    host.container("c1")
    one = Runtime("c1", "/run/netns/c1")
    with pytest.raises(DiedBySignal):
        host.call(drive.killed_at, 3, "ADD", WEB, one)
    assert nothing_left(before, host.call(rest))
    host.call(succeed, "GC", valid(WEB, keeper(WEB), one))
    assert host.call(rest) == before


# --- addresses that the reference's files name --------------------------------------------------


def _files(*owners: tuple[str, str]) -> Path:
    directory = Path("/var/lib/cni/networks") / WEB["name"]
    directory.mkdir(parents=True, exist_ok=True)
    for address, container_id in owners:
        (directory / address).write_text(f"{container_id}\r\neth0", newline="")
    return directory


@in_host
def test_what_was_taken_over_and_is_not_valid_is_free() -> None:
    directory = _files(("10.1.0.2", "valid"), ("10.1.0.3", "stale"), ("10.1.0.4", "removed"))
    runtime = container("c1")
    add(WEB, runtime)
    (directory / "10.1.0.4").unlink()
    shown = subprocess.run(INSPECT, capture_output=True, text=True).stdout
    assert [one["address"] for one in json.loads(shown)["taken_over"]] == ["10.1.0.2", "10.1.0.3"]
    listed = [{"containerID": "valid", "ifname": "eth0"}, {"containerID": "c1", "ifname": "eth0"}]
    succeed("GC", {**WEB, "cni.dev/valid-attachments": listed})
    assert [path.name for path in directory.glob("10*")] == ["10.1.0.2"]
    shown = subprocess.run(INSPECT, capture_output=True, text=True).stdout
    assert [one["address"] for one in json.loads(shown)["taken_over"]] == ["10.1.0.2"]
    named = subprocess.run([*INSPECT, "10.1.0.2"], capture_output=True, text=True)
    assert (json.loads(named.stdout)["attachments"], named.returncode) == ([], 0)
    succeed("DEL", WEB, Runtime("valid", ""))
    assert list(directory.glob("10*")) == []
    succeed("DEL", WEB, runtime)
    assert rows() == set()


@in_host
def test_a_full_range_of_which_files_were_removed_is_not_full() -> None:
    narrow = {**drive.PLAIN_BRIDGE, "ipam": {"type": "host-local", "subnet": "10.1.0.0/30"}}
    directory = _files(("10.1.0.2", "gone"))
    runtime = container("c1")
    assert drive.call("ADD", narrow, runtime).code == 50
    (directory / "10.1.0.2").unlink()
    assert drive.call("STATUS", narrow).status == 0
    add(narrow, runtime)
    succeed("DEL", narrow, runtime)
