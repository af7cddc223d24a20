"""The store is lost while containers run: they are known by what stands of them, until they go."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drive import BRIDGE, FIREWALL, PLAIN_BRIDGE, PORTMAP, Runtime
from evidence import but_idle_bridge, but_kept, elements, nothing_left, rest, rows
from losses import corrupt, cut_off, died, hidden, removed, truncated, unlinked
from scenes import add, container, in_host, ip, run, succeed

INSPECT = [sys.executable, "-I", "-m", "pynet.cli", "inspect", "--json"]
RELOAD = [sys.executable, "-I", "-m", "pynet.cli", "reload"]

each_loss = pytest.mark.parametrize(
    "lose", [removed, unlinked, hidden, truncated, corrupt, cut_off]
)


def attach(runtime: Runtime, bridge: dict[str, Any] = BRIDGE) -> list[dict[str, Any]]:
    """A chain with a published port and a policy; what its DEL is called with, in its order."""
    result = add(bridge, runtime)
    ports = PORTMAP["runtimeConfig"]["portMappings"]
    port = 8000 + int(runtime.container[1:])
    mappings = [{**each, "hostPort": port + 100 * n} for n, each in enumerate(ports)]
    chained = [{**PORTMAP, "runtimeConfig": {"portMappings": mappings}}, FIREWALL]
    for config in chained:
        add({**config, "prevResult": result}, runtime)
    return [{**config, "prevResult": result} for config in (*reversed(chained), bridge)]


def detach(runtime: Runtime, configs: list[dict[str, Any]]) -> None:
    for config in configs:
        succeed("DEL", config, runtime)


def addresses(config: dict[str, Any]) -> set[str]:
    return {one["address"] for one in config["prevResult"]["ips"]}


def is_as_before(before: set[str]) -> None:
    assert but_idle_bridge(but_kept(nothing_left(before, rest()))) == []


@each_loss
@in_host
def test_who_runs_keeps_address_and_rules(lose: Callable[[], None]) -> None:
    before = rest()
    one, two = container("c1"), container("c2")
    first = attach(one)
    standing = elements()
    lose()
    second = attach(two)
    assert not addresses(first[-1]) & addresses(second[-1])
    assert standing <= elements()
    run("ping -c 1 -W 2 10.1.0.1", netns="c1")
    succeed("CHECK", first[-1], one)
    detach(two, second)
    assert standing <= elements()
    run("ping -c 1 -W 2 10.1.0.1", netns="c1")
    detach(one, first)
    assert rows() == set()
    is_as_before(before)


@each_loss
@pytest.mark.parametrize("alive", [True, False])
@in_host
def test_a_del_by_prev_result_alone_leaves_nothing(lose: Callable[[], None], alive: bool) -> None:
    before = rest()
    one = container("c1")
    configs = attach(one)
    lose()
    if not alive:
        died("c1")
    detach(one, configs)
    if alive:
        assert [link["ifname"] for link in ip("link", "c1")] == ["lo"]
    assert rows() == set()
    is_as_before(before)


@pytest.mark.parametrize("bridge", [BRIDGE, PLAIN_BRIDGE])
@in_host
def test_gc_clears_away_who_has_died(bridge: dict[str, Any]) -> None:
    before = rest()
    one, two = container("c1"), container("c2")
    attach(one, bridge)
    attach(two, bridge)
    unlinked()
    succeed("GC", bridge)
    assert len([row for row in rows() if "row lease" in row]) == len(rows_of("c1")) + len(
        rows_of("c2")
    )
    died("c1", "c2")
    succeed("GC", bridge)
    assert rows() == set()
    is_as_before(before)
    assert not Path("/sys/class/net/cni0").exists()


def rows_of(netns: str) -> list[str]:
    """The addresses that the container has."""
    return [
        one["local"]
        for link in ip("addr", netns)
        for one in link["addr_info"]
        if one["scope"] == "global"
    ]


@in_host
def test_reload_does_it_too_and_inspect_says_so() -> None:
    one = container("c1")
    attach(one)
    unlinked()
    early = json.loads(_inspect())
    assert (len(early["not_on_record"]), early["fine"]) == (1, False)
    assert "its record was lost" in _reloaded(1)
    found = json.loads(_inspect())
    (attached,) = found["attachments"]
    assert attached["condition"] == "not on record"
    assert set(attached["addresses"]) >= {"10.1.0.2/24", "fd00:1::2/64"}
    assert not found["fine"]
    died("c1")
    assert "all is as recorded" in _reloaded(0)
    assert json.loads(_inspect())["attachments"] == []
    assert not [line for line in elements() if line.startswith("element")]


def _reloaded(status: int) -> str:
    """What is printed, on stdout."""
    done = subprocess.run(RELOAD, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def _inspect() -> str:
    return subprocess.run(INSPECT, capture_output=True, text=True).stdout


@in_host
def test_a_way_through_others_rules_stays_as_long_as_they_live() -> None:
    for words in ("-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-P FORWARD DROP"):
        run(f"iptables-nft {words}")
    before = run("iptables-nft -S")
    one = container("c1")
    configs = attach(one)
    way = run("iptables-nft -S")
    assert way != before
    unlinked()
    succeed("GC", BRIDGE)
    assert run("iptables-nft -S") == way
    detach(one, configs)
    assert run("iptables-nft -S") == before


@in_host
def test_what_is_put_back_is_put_back_for_them_too() -> None:
    one = container("c1")
    configs = attach(one)
    unlinked()
    succeed("GC", BRIDGE)
    standing = elements()
    run("nft flush ruleset")
    assert "put right (" in _reloaded(1)  # whose record was lost still is without it
    assert elements() == standing
    detach(one, configs)


@in_host
def test_two_interfaces_of_one_container_go_one_by_one() -> None:
    before = rest()
    one = container("c1")
    other = replace(one, interface="eth1")
    elsewhere = {
        **BRIDGE, "name": "db", "bridge": "cni1", "isDefaultGateway": False, "isGateway": True,
        "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"},
    }  # fmt: skip
    add(BRIDGE, one)
    add(elsewhere, other)
    unlinked()
    succeed("DEL", elsewhere, other)
    assert [link["ifname"] for link in ip("link", "c1")] == ["lo", "eth0"]
    run("ping -c 1 -W 2 10.1.0.1", netns="c1")
    succeed("DEL", BRIDGE, one)
    assert rows() == set()
    left = but_idle_bridge(but_kept(nothing_left(before, rest())))
    assert but_idle_bridge(left, "cni1") == []


@in_host
def test_a_port_on_a_condition_stands_as_long_as_its_table_does() -> None:
    """The condition itself is lost: what it was, only the ADD could tell."""
    one = container("c1")
    result = add(BRIDGE, one)
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
    config = {
        **PORTMAP, "prevResult": result, "conditionsV4": ["-s", "192.0.2.0/24"],
        "runtimeConfig": {"portMappings": [mapping]},
    }  # fmt: skip
    add(config, one)
    unlinked()
    standing = elements()
    succeed("GC", BRIDGE)
    assert elements() == standing
    run("nft delete table inet pynet")
    succeed("GC", BRIDGE)
    assert any("10.1.0.2" in line for line in elements())
    succeed("DEL", config, one)
    succeed("DEL", BRIDGE, one)
    assert rows() == set()
