"""What CHECK sees of what `bridge` has made, and who mends it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import drive
import pytest
from bridges import (
    DUAL,
    FULL,
    LAYER_2,
    with_result,
)
from evidence import elements
from scenes import (
    add,
    container,
    in_host,
    run,
    succeed,
    the_error,
)


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
@pytest.mark.parametrize("kind", ["full", "layer 2"])
@in_host
def test_check_is_content_with_what_add_made(version: str, kind: str) -> None:
    wanted = {**(FULL if kind == "full" else LAYER_2), "cniVersion": version}
    runtime = container("c1")
    result = add(wanted, runtime)
    succeed("CHECK", with_result(wanted, result), runtime)
    add(wanted, container("c2"))
    succeed("CHECK", with_result(wanted, result), runtime)


def drop_lease() -> None:
    with sqlite3.connect("/run/pynet/pynet.db") as store:
        store.execute("DELETE FROM lease")


DAMAGE: dict[str, tuple[str, str]] = {
    "masquerade element": (
        "nft delete element inet pynet masquerade4 { 0 . 10.1.0.2 }",
        "10.1.0.2",
    ),
    "network element": ("nft flush set inet pynet network4_24", "network4_24"),
    "guard": ("nft flush set bridge pynet allowed", "allowed"),
    "guarded": ("nft flush set bridge pynet guarded", "guarded"),
    "rules": ("nft flush chain inet pynet masquerade4", "masquerade4"),
    "table flushed": ("nft flush table inet pynet", "rule"),
    "table gone": ("nft delete table inet pynet", "inet pynet"),
    "ruleset gone": ("nft flush ruleset", "pynet"),
    "forwarding": ("sysctl -qw net.ipv4.ip_forward=0", "ip_forward"),
    "IPv6 forwarding": ("sysctl -qw net.ipv6.conf.all.forwarding=0", "forwarding"),
    "gateway address": ("ip addr del 10.1.0.1/24 dev cni0", "10.1.0.1/24"),
    "IPv6 gateway address": ("ip addr del fd00:1::1/64 dev cni0", "fd00:1::1/64"),
    "bridge down": ("ip link set cni0 down", "cni0"),
    "host end down": ("ip link set {host} down", "{host}"),
    "host end elsewhere": ("ip link set {host} nomaster", "master"),
    "hairpin": ("bridge link set dev {host} hairpin off", "hairpin"),
    "isolation": ("bridge link set dev {host} isolated on", "isolated"),
    "host end gone": ("ip link del {host}", "{host}"),
    "address": ("ip -n c1 addr del 10.1.0.2/24 dev eth0", "10.1.0.2/24"),
    "IPv6 address": ("ip -n c1 addr del fd00:1::2/64 dev eth0", "fd00:1::2/64"),
    "route": ("ip -n c1 route del default", "0.0.0.0/0"),
    "IPv6 route": ("ip -n c1 -6 route del default", "::/0"),
    "container's end down": ("ip -n c1 link set eth0 down", "eth0"),
    "container's end renamed": ("ip -n c1 link set eth0 name eth7", "eth0"),
    "MAC": ("ip -n c1 link set eth0 address 02:00:00:00:00:77", "02:00:00:00:00:77"),
    "MTU": ("ip -n c1 link set eth0 mtu 1300", "1300"),
}


@in_host
def test_check_sees() -> None:
    """Each thing that is changed, named in the message and for machines in the details."""
    for number, (what, (command, word)) in enumerate(DAMAGE.items()):
        runtime = replace(container("c1"), container=f"c{number}")
        ipam = {**DUAL, "dataDir": f"/run/pool{number}"}  # so that addresses are the same again
        wanted = {**FULL, "mtu": 1500, "ipam": ipam}
        result = add(wanted, runtime)
        succeed("CHECK", with_result(wanted, result), runtime)
        host = result["interfaces"][1]["name"]
        run(command.replace("{host}", host))
        try:
            error = the_error(drive.call("CHECK", with_result(wanted, result), runtime))
            assert error["code"] == 101
            assert word.replace("{host}", host) in error["msg"], error
            assert {"subject", "property", "expected", "found"} == set(
                json.loads(error["details"])[0]
            )
            succeed("DEL", wanted, runtime)
        except BaseException as failure:
            failure.add_note(what)
            raise
        run("ip netns del c1")
        run("nft flush ruleset")  # the next ADD makes our tables anew


@in_host
def test_check_sees_that_the_lease_is_gone_or_somebody_elses() -> None:
    runtime = container("c1")
    result = add(FULL, runtime)
    drop_lease()
    error = the_error(drive.call("CHECK", with_result(FULL, result), runtime))
    assert error["code"] == 101
    assert "10.1.0.2" in error["msg"] and "nobody" in error["msg"]


@in_host
def test_check_without_a_record_goes_by_the_result() -> None:
    runtime = container("c1")
    result = add(FULL, runtime)
    for path in Path("/run/pynet").glob("pynet.db*"):
        path.unlink()
    succeed("CHECK", with_result(FULL, result), runtime)
    run("ip -n c1 addr del 10.1.0.2/24 dev eth0")
    error = the_error(drive.call("CHECK", with_result(FULL, result), runtime))
    assert error["code"] == 101 and "10.1.0.2/24" in error["msg"]


@in_host
def test_check_of_another_namespace_at_the_path() -> None:
    runtime = container("c1")
    result = add(FULL, runtime)
    run("ip netns del c1")
    run("ip netns add c1")
    error = the_error(drive.call("CHECK", with_result(FULL, result), runtime))
    assert error["code"] == 101


# --- the tables -----------------------------------------------------------------


@in_host
def test_after_a_flush_the_next_add_brings_back_what_all_containers_need() -> None:
    one, two, three = (container(name) for name in ("c1", "c2", "c3"))
    results = [add(FULL, one), add(FULL, two)]
    before = {line for line in elements() if line.startswith("element")}
    run("nft flush ruleset")
    results.append(add(FULL, three))
    now = {line for line in elements() if line.startswith("element")}
    assert before < now
    for runtime, result in zip((one, two, three), results, strict=True):
        succeed("CHECK", with_result(FULL, result), runtime)
