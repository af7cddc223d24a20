"""Our chained plugins behind main plugins that are not ours, whatever those tell of what they made.

The cells of the other matrices that tell one main plugin from another: who is reached, what CHECK
finds, what DEL leaves.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import drive
import pytest
from chains import Config, add_list, check_list, delete_list, dropping_firewall, with_result
from drive import Runtime
from evidence import inside, left, rest
from published import ask, mapping, start_servers
from reachability import HOST, LENGTH, OUTSIDE
from scenes import add, run, succeed, the_error
from standins import ELSEWHERE, RESULT, STAND_INS, V4

from pynet.testnets.lab.lab import Host, Lab

REFERENCE = Path("/usr/lib/cni")
MAC = "02:00:00:00:00:44"
PORT = 8080
TUNING: Config = {**RESULT, "name": "theirs", "type": "tuning", "mac": MAC, "mtu": 1400}
PORTMAP: Config = {
    **RESULT,
    "name": "theirs",
    "type": "portmap",
    "runtimeConfig": {"portMappings": [mapping(PORT), mapping(PORT, "udp")]},
}
FIREWALL: Config = {**RESULT, "name": "theirs", "type": "firewall"}
LIST = (TUNING, PORTMAP, FIREWALL)
each = pytest.mark.parametrize("name", STAND_INS)


def in_host_with_others(host: Host, name: str) -> tuple[Runtime, Any]:
    """c1 as that main plugin leaves it, on a host whose Docker drops what is forwarded."""
    dropping_firewall()
    runtime = Runtime("c1", "/run/netns/c1")
    return runtime, STAND_INS[name].attach()


@each
def test_the_published_port_is_reached(lab: Lab, name: str) -> None:
    host, outside = lab.host("h1"), lab.host("outside")
    ends = [tuple(f"{side[one]}/{LENGTH[one]}" for one in LENGTH) for side in (HOST, OUTSIDE)]
    lab.wire(host, "out0", outside, "eth0", addresses=(ends[0], ends[1]))
    container = host.container("c1")
    host.run(["ip", "netns", "del", "c1"])

    def attach() -> None:
        runtime, result = in_host_with_others(host, name)
        given = with_result(PORTMAP, result)
        again = add(given, runtime)
        assert again.get("ips", []) == result.get("ips", []), "passed through"
        add(with_result(FIREWALL, result), runtime)

    host.call(attach)
    start_servers(lab, container)
    for family in LENGTH:
        for protocol in ("tcp", "udp"):
            assert host.call(ask, protocol, HOST[family], PORT)
            if STAND_INS[name].forwards:
                assert outside.call(ask, protocol, HOST[family], PORT)


@each
def test_added_checked_and_deleted(host: Host, name: str) -> None:
    def play() -> None:
        runtime, result = in_host_with_others(host, name)
        # What is made once for all is there.
        delete_list(LIST, runtime, add_list([with_result(LIST[0], result), *LIST[1:]], runtime))
        before = rest() | inside("c1")
        last = add_list([with_result(LIST[0], result), *LIST[1:]], runtime)
        for one in last.get("interfaces", ()):
            mine = one["name"] == "eth0"
            assert (one.get("mac") == MAC) == mine, "the container's is filled in"
        assert {one["name"] for one in last.get("interfaces", ())} == {
            one["name"] for one in result.get("interfaces", ())
        }
        for given in (last, result):  # that of the list, or that of their place in it
            check_list(LIST, runtime, given)
        _each_finds_what_is_its_own(runtime, last)
        delete_list(LIST, runtime, last)
        assert left(before, rest() | inside("c1")) == []

    host.call(play)


def _each_finds_what_is_its_own(runtime: Runtime, result: Any) -> None:
    """And nothing else: what the main plugin made is not theirs to judge."""
    for spoil, mend, finder in (
        ("ip -n c1 link set eth0 mtu 1300", "ip -n c1 link set eth0 mtu 1400", "tuning"),
        (
            f"nft delete element inet pynet published4_any {{ tcp . {PORT} }}",
            f"nft add element inet pynet published4_any {{ tcp . {PORT} : {V4} . 80 }}",
            "portmap",
        ),
        ("ip -n c1 addr add 10.66.0.9/24 dev eth0", "ip -n c1 addr del 10.66.0.9/24 dev eth0", ""),
        (
            "ip -n c1 route add 10.77.0.0/24 dev eth0",
            "ip -n c1 route del 10.77.0.0/24 dev eth0",
            "",
        ),
    ):
        run(spoil)
        for plugin in LIST:
            outcome = drive.call("CHECK", with_result(plugin, result), runtime)
            expected = 101 if plugin["type"] == finder else 0
            assert outcome.code == expected, (spoil, plugin["type"], outcome.stdout)
        run(mend)


@pytest.mark.parametrize("gone", ["namespace", "result"])
@pytest.mark.parametrize("name", ["calico", "flannel", "nothing"])
def test_deleted_whatever_is_gone(host: Host, name: str, gone: str) -> None:
    def play() -> None:
        dropping_firewall()
        before = rest()
        runtime = Runtime("c1", "/run/netns/c1")
        result = add_list([with_result(LIST[0], STAND_INS[name].attach()), *LIST[1:]], runtime)
        if gone == "namespace":
            run("ip netns del c1")
        for _ in ("once", "and again"):
            delete_list(LIST, runtime, None if gone == "result" else result)
        # The links are that plugin's own.
        made = [line for line in left(before, rest()) if line.startswith(("element", "row"))]
        assert made == []
        assert "PYNET" not in run("iptables-nft-save") + run("ip6tables-nft-save")

    host.call(play)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference plugins are not installed")
@each
def test_tuning_fills_in_and_checks_as_the_reference_does(host: Host, name: str) -> None:
    def theirs(command: str, given: Config) -> Any:
        environ = Runtime("c1", "/run/netns/c1").environment(command)
        done = subprocess.run(
            [REFERENCE / "tuning"],
            input=json.dumps(given).encode(),
            capture_output=True,
            env=environ,
        )
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout) if done.stdout else None

    def play() -> None:
        runtime = Runtime("c1", "/run/netns/c1")
        given = with_result({**TUNING, "mtu": 0}, STAND_INS[name].attach())
        wanted = theirs("ADD", given)
        theirs("CHECK", with_result(given, wanted))
        theirs("DEL", given)
        found = add(given, runtime)
        assert _told(found) == _told(wanted)
        succeed("CHECK", with_result(given, found), runtime)

    host.call(play)


def _told(result: Any) -> list[tuple[str, str]]:
    return [(one["name"], one.get("mac", "")) for one in result.get("interfaces", ())]


def test_an_interface_of_that_name_elsewhere_is_not_the_container_s(host: Host) -> None:
    """On the host, and in the namespace of another container."""

    def play() -> None:
        result = STAND_INS["flannel"].attach()
        run("ip netns add c2")
        own = [{"name": "eth0", "mac": "02:00:00:00:00:99"}]
        another = [{"name": "eth0", "mac": "02:00:00:00:00:98", "sandbox": "/run/netns/c2"}]
        listed = [*own, *another, *result["interfaces"]]
        ips = [
            {"address": "10.99.0.1/24", "interface": 0},
            {"address": "10.99.0.2/24", "interface": 1},
            *({**one, "interface": one["interface"] + 2} for one in result["ips"]),
        ]
        given = {**result, "interfaces": listed, "ips": ips}
        runtime = Runtime("c1", "/run/netns/c1")
        tuned = add(with_result(TUNING, given), runtime)
        macs = [one["mac"] for one in tuned["interfaces"] if one["name"] == "eth0"]
        assert macs == ["02:00:00:00:00:99", "02:00:00:00:00:98", MAC]
        add(with_result(PORTMAP, tuned), runtime)
        assert V4 in run("nft list map inet pynet published4_any")

    host.call(play)


def test_a_bridge_of_ours_is_checked_by_another_way_to_its_namespace(host: Host) -> None:
    def play() -> None:
        run("ip netns add c1")
        runtime = Runtime("c1", "/run/netns/c1")
        result = add(drive.BRIDGE, runtime)
        elsewhere = Runtime("c1", ELSEWHERE)
        succeed("CHECK", with_result(drive.BRIDGE, result), elsewhere)
        run("ip netns add c2")
        result["interfaces"][2]["sandbox"] = "/run/netns/c2"
        outcome = drive.call("CHECK", with_result(drive.BRIDGE, result), runtime)
        assert "no interface eth0" in the_error(outcome)["msg"]

    host.call(play)
