"""What is done by hand to the host's side of a container, so that packets no longer get there."""

from __future__ import annotations

from typing import Any

import lan
import pytest
from drive import BRIDGE, MACVLAN_LEG, PTP, Runtime
from scenes import add, container, in_host, ip, reaches, refused, run, succeed, wait_for
from test_findings import as_it_was, obey, pynet, whole

NEIGHBOURS = ("10.6.0.1", "fd00:6::1")
"""Beyond the host, which routes to them."""


def attached(config: dict[str, Any]) -> tuple[Runtime, dict[str, Any], str]:
    """A container behind the host, which has a neighbour beyond; the host's interface for it."""
    lan.wire()
    for address in ("10.6.0.250/24", "fd00:6::250/64"):
        run(f"ip addr add {address} dev {lan.PARENT} nodad")
    runtime = container("c1")
    result = add(config, runtime)
    end = next(each["name"] for each in result["interfaces"] if each["name"].startswith("veth"))
    return runtime, result, end if config["type"] == "ptp" else config["bridge"]


@pytest.mark.parametrize("config", [BRIDGE, PTP], ids=["bridge", "ptp"])
@pytest.mark.parametrize(
    ("spoiling", "words", "lost"),
    [
        (
            "sysctl -qw net.ipv4.conf.LEG.forwarding=0",
            "sysctl net/ipv4/conf/LEG/forwarding: value is 0, should be 1",
            NEIGHBOURS[:1],
        ),
        (
            "sysctl -qw net.ipv6.conf.LEG.disable_ipv6=1",
            "sysctl net/ipv6/conf/LEG/disable_ipv6: value is 1, should be 0",
            NEIGHBOURS[1:],
        ),
    ],
    ids=["forwarding", "IPv6"],
)
@in_host
def test_a_setting_of_its_interface(
    config: dict[str, Any], spoiling: str, words: str, lost: tuple[str, ...]
) -> None:
    runtime, result, leg = attached(config)
    given = {**config, "prevResult": result}
    for address in NEIGHBOURS:
        wait_for(lambda address=address: reaches("c1", address))  # type: ignore[misc]
    before = whole()
    run(spoiling.replace("LEG", leg))
    for address in NEIGHBOURS:
        assert reaches("c1", address) is (address not in lost)
    words = words.replace("LEG", leg)
    refused(101, words, "CHECK", given, runtime)
    said = pynet("inspect", status=1)
    assert words in said
    obey(said)
    succeed("CHECK", given, runtime)
    assert "all as made" in pynet("inspect")
    as_it_was(before)
    for address in NEIGHBOURS:
        wait_for(lambda address=address: reaches("c1", address))  # type: ignore[misc]


@pytest.mark.parametrize("config", [BRIDGE, PTP], ids=["bridge", "ptp"])
@in_host
def test_where_new_interfaces_do_not_forward_that_of_a_container_does(
    config: dict[str, Any],
) -> None:
    """An administrator lets the host forward, and new interfaces not."""
    run("sysctl -qw net.ipv4.ip_forward=1")
    run("sysctl -qw net.ipv4.conf.default.forwarding=0")
    runtime, result, leg = attached(config)
    run(f"sysctl -qw net.ipv4.conf.{lan.PARENT}.forwarding=1")
    assert reaches("c1", NEIGHBOURS[0])
    succeed("CHECK", {**config, "prevResult": result}, runtime)
    assert run("sysctl -n net.ipv4.conf.default.forwarding").strip() == "0"
    succeed("DEL", {**config, "prevResult": result}, runtime)
    assert leg == "cni0" or leg not in run("ip -br link")


@in_host
def test_who_does_not_forward_needs_no_setting_for_it() -> None:
    """The host is a neighbour of its macvlan containers, and routes for none."""
    lan.wire()
    runtime = container("c1")
    result = add(MACVLAN_LEG, runtime)
    run("sysctl -qw net.ipv4.ip_forward=1")
    run("sysctl -qw net.ipv4.conf.mv-nic0.forwarding=0")
    succeed("CHECK", {**MACVLAN_LEG, "prevResult": result}, runtime)


@in_host
def test_an_end_that_somebody_has_put_into_a_bridge_is_taken_out() -> None:
    runtime, result, end = attached(PTP)
    given = {**PTP, "prevResult": result}
    run("ip link add br0 type bridge")
    run("ip link set br0 up")
    run(f"ip link set {end} master br0")
    assert not reaches("c1", NEIGHBOURS[0])
    words = f"{end}: master is br0, should be none"
    refused(101, words, "CHECK", given, runtime)
    said = pynet("inspect", status=1)
    assert words in said
    obey(said)
    succeed("CHECK", given, runtime)
    assert "master" not in ip(f"link show {end}")[0]
    for address in NEIGHBOURS:
        wait_for(lambda address=address: reaches("c1", address))  # type: ignore[misc]


@in_host
def test_so_is_the_container_s_own_end() -> None:
    runtime, result, _ = attached(BRIDGE)
    run("ip -n c1 link add br0 type bridge")
    run("ip -n c1 link set eth0 master br0")
    refused(101, "eth0: master is br0", "CHECK", {**BRIDGE, "prevResult": result}, runtime)
    obey(pynet("inspect", status=1))
    succeed("CHECK", {**BRIDGE, "prevResult": result}, runtime)
