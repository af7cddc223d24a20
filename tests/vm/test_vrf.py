"""vrf: networks that overlap, the VRF as `ip` shows it, CHECK, DEL, and who shares it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from chains import add_list, check_list, delete_list, with_result
from drive import Runtime
from evidence import inside, nothing_left, rows
from scenes import add, container, in_host, ip, reaches, refused, run, succeed, wait_for
from source_routing import shown
from test_findings import pynet

WEB, VRF = drive.BRIDGE, drive.VRF
LIST = [WEB, VRF]
ADDRESSES = [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"},
             {"address": "fd00:1::2/64", "gateway": "fd00:1::1"}]  # fmt: skip


def first_life() -> None:
    """What the kernel loads with the first container, and keeps, is there from now on."""
    runtime = container("c0")
    web = {**WEB, "name": "first", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}
    plugins = [{**web, "bridge": "cni9"}, {**VRF, "name": "first"}]
    delete_list(plugins, runtime, add_list(plugins, runtime))


def overlapping(name: str, bridge: str, *addresses: str) -> dict[str, Any]:
    """A network that nothing but its bridge is apart from another by."""
    given = [{"address": each} for each in addresses]
    return {
        "cniVersion": "1.1.0",
        "name": name,
        "type": "bridge",
        "bridge": bridge,
        "ipam": {"type": "static", "addresses": given},
    }


def in_vrf(name: str, vrf: str, **keys: Any) -> dict[str, Any]:
    return {**VRF, "name": name, "vrfname": vrf, **keys}


@in_host
def test_two_networks_that_overlap() -> None:
    """c1 has the same address in both; so has the neighbour of each."""
    c1 = container("c1")
    own, peer = ("10.1.0.2/24", "fd00:1::2/64"), ("10.1.0.9/24", "fd00:1::9/64")
    lists = {
        "eth0": [overlapping("web", "cni0", *own), in_vrf("web", "red")],
        "eth1": [overlapping("db", "cni1", *own), in_vrf("db", "blue")],
    }
    results = {
        name: add_list(plugins, replace(c1, interface=name)) for name, plugins in lists.items()
    }
    add(overlapping("web", "cni0", *peer), container("c2"))
    db = container("c3")
    add(overlapping("db", "cni1", *peer), db)
    neighbours = {"red": ip("link show eth0", "c2"), "blue": ip("link show eth0", "c3")}
    for vrf, (link,) in neighbours.items():
        for address in ("10.1.0.9", "fd00:1::9"):
            run(f"ping -c1 -W2 -I {vrf} {address}", netns="c1")
            (known,) = ip(f"neigh show {address} vrf {vrf}", "c1")
            assert known["lladdr"] == link["address"]
    succeed("DEL", overlapping("db", "cni1", *peer), db)
    assert reaches("c1", "10.1.0.9", "-I red") and not reaches("c1", "10.1.0.9", "-I blue")
    for name, plugins in lists.items():
        check_list(plugins, replace(c1, interface=name), results[name])
        delete_list(plugins, replace(c1, interface=name), results[name])


@in_host
def test_what_ip_shows_and_what_is_given_back() -> None:
    first_life()
    runtime = container("c1")
    fresh = inside("c1")
    given = add(WEB, runtime)
    before = inside("c1")
    result = add(with_result(VRF, given), runtime)
    assert result == given
    (vrf,) = ip("-d link show red", "c1")
    assert vrf["linkinfo"]["info_data"]["table"] == 1 and "UP" in vrf["flags"]
    assert ip("link show eth0", "c1")[0]["master"] == "red"
    assert sorted(shown("route show vrf red")) == [
        "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2",
        "default via 10.1.0.1 dev eth0",
    ]
    own = [line for line in shown("-6 route show vrf red") if line[:4] in ("defa", "fd00")]
    assert sorted(own) == [
        "default via fd00:1::1 dev eth0 metric 1024",
        "fd00:1::/64 dev eth0 proto kernel metric 256",
    ]
    assert shown("route show table main") == []
    for address in ("10.1.0.1", "fd00:1::1"):
        run(f"ping -c1 -W2 -I red {address}", netns="c1")
    check_list(LIST, runtime, result)
    succeed("DEL", with_result(VRF, result), runtime)
    assert nothing_left(before, inside("c1")) == []
    check_list([WEB], runtime, given)
    succeed("DEL", WEB, runtime)
    assert nothing_left(fresh, inside("c1")) == []


@in_host
def test_a_vrf_is_shared_and_goes_with_the_last_of_a_container() -> None:
    first_life()
    runtime = container("c1")
    fresh = inside("c1")
    second = replace(runtime, interface="eth1")
    db = {**WEB, "name": "db", "bridge": "cni1"}
    db["ipam"] = {"type": "host-local", "subnet": "10.2.0.0/24"}
    other = [db, in_vrf("db", "red")]
    third = replace(runtime, interface="eth2")
    green = [{**db, "name": "third", "bridge": "cni2"}, in_vrf("third", "green", table=77)]
    green[0]["ipam"] = {"type": "host-local", "subnet": "10.3.0.0/24"}
    results = [add_list(LIST, runtime), add_list(other, second), add_list(green, third)]
    assert [link["ifname"] for link in ip("link show vrf red", "c1")] == ["eth0", "eth1"]
    delete_list(LIST, runtime, results[0])
    check_list(other, second, results[1])
    delete_list(other, second, results[1])
    assert [link["ifname"] for link in ip("link show type vrf", "c1")] == ["green"]
    check_list(green, third, results[2])
    # The kernel does not make its rules again: we do.
    for _ in range(2):
        delete_list(green, third, results[2])
        assert nothing_left(fresh, inside("c1")) == []
        results[2] = add_list(green, third)
        check_list(green, third, results[2])
        run("ping -c1 -W2 -I green 10.3.0.1", netns="c1")


@pytest.mark.parametrize(
    ("before", "changes", "words"),
    [
        ("ip link add blue type vrf table 9", {"table": 9}, "table: 9 is in use in the container"),
        (
            "ip link add red type vrf table 9",
            {"table": 8},
            "VRF red is in the container with table 9",
        ),
        ("ip rule add from 10.9.0.1 lookup 8", {"table": 8}, "table: 8 is in use in the container"),
        ("ip link add red type bridge", {}, "that is no VRF"),
        ("ip link set lo up", {"table": 254}, "table: 254 is a table of the kernel's own"),
        ("ip link set lo up", {"vrfname": ""}, "vrfname: missing"),
        ("ip link set lo up", {"vrfname": "a/b"}, 'vrfname: "a/b"'),
        ("ip link set lo up", {"prevResult": None}, "prevResult: missing"),
        ("ip link del eth0", {}, "there is no interface eth0"),
    ],
)
@in_host
def test_what_can_not_be_is_one_error_and_nothing_is_left(
    before: str, changes: dict[str, Any], words: str
) -> None:
    runtime = container("c1")
    given = add(WEB, runtime)
    run(before, netns="c1")
    refused(7, words, "ADD", {**with_result(VRF, given), **changes}, runtime)


@in_host
def test_a_vrf_that_was_there_is_used_and_stays() -> None:
    first_life()
    runtime = container("c1")
    run("ip link add red type vrf table 9", netns="c1")
    run("ip link set red up", netns="c1")
    fresh = inside("c1")
    result = add_list(LIST, runtime)
    assert "default via 10.1.0.1 dev eth0" in shown("route show table 9")
    check_list(LIST, runtime, result)
    delete_list(LIST, runtime, result)
    assert nothing_left(fresh, inside("c1")) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ip link set eth0 nomaster", "eth0: VRF is none, should be red"),
        ("ip link set red down", "red: state is down"),
        ("ip link del red", "red is missing"),
        (
            "ip route del default vrf red",
            "route 0.0.0.0/0 via 10.1.0.1 dev eth0 table 1 is missing",
        ),
        ("ip rule del pref 1000", "IPv4 rule lookup [l3mdev-table] is missing"),
    ],
)
@in_host
def test_check_sees_damage_and_reload_mends_it(command: str, words: str) -> None:
    runtime = container("c1")
    result = add_list(LIST, runtime)
    before = inside("c1")
    run(command, netns="c1")
    refused(101, words, "CHECK", with_result(VRF, result), runtime)
    pynet("reload")
    check_list(LIST, runtime, result)
    # A VRF that is made again has another MAC, which nobody sends from.
    differing = nothing_left(before, inside("c1"))
    assert [line for line in differing if "attributes red" not in line] == []


@pytest.mark.parametrize("recorded", [True, False])
@in_host
def test_del_when_something_is_gone(recorded: bool) -> None:
    first_life()
    runtime = container("c1")
    fresh = inside("c1")
    for spoiling in ("", "ip link del eth0", "ip link del red", "ip link set eth0 nomaster"):
        result = add_list(LIST, runtime)
        if spoiling:
            run(spoiling, netns="c1")
        if not recorded:
            for path in Path("/run/pynet").glob("pynet.db*"):
                path.unlink()
        delete_list(LIST, runtime, result)
        assert nothing_left(fresh, inside("c1")) == [], spoiling
    result = add_list(LIST, runtime)
    run("ip netns del c1")
    delete_list(LIST, runtime, result)
    delete_list(LIST, Runtime("c1", ""), result)


@in_host
def test_gc_of_a_living_and_of_a_dead_container() -> None:
    """The first is given back what it had, of the second nothing is on record; others stay."""
    first_life()
    c1, c2, c3 = (container(name) for name in ("c1", "c2", "c3"))
    given = add(WEB, c1)
    before = inside("c1")
    add(with_result(VRF, given), c1)
    end = add_list(LIST, c2)["interfaces"][1]["name"]
    result = add_list(LIST, c3)
    kept = inside("c3")
    run("ip netns del c2")
    wait_for(lambda: end not in run("ip -br link"))
    succeed("GC", {**VRF, "cni.dev/valid-attachments": [{"containerID": "c3", "ifname": "eth0"}]})
    assert nothing_left(before, inside("c1")) == []
    assert nothing_left(kept, inside("c3")) == []
    (record,) = [row for row in rows() if row.startswith("row record") and "'vrf'" in row]
    assert "'c3'" in record
    check_list(LIST, c3, result)
    check_list([WEB], c1, given)
