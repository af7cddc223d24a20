"""`ptp` with `device` netkit: the pair, what CHECK sees and `reload` mends, chains, a lost store.

Traffic is in `test_ptp`, faults and DEL in the matrices: each of them runs with it, too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import drive
import pytest
import scenes
from chains import add_list, check_list, delete_list
from drive import NETKIT, Runtime, call
from evidence import nothing_left
from scenes import add, container, in_host, ip, lines, refused, run, succeed, wait_for
from test_findings import network, pynet

from pynet.kernel.netlink import pairs
from pynet.kernel.netlink.links import (
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    header,
)
from pynet.kernel.netlink.packed import nested, string
from pynet.kernel.netlink.rtnl import RTM_NEWLINK, Operation, u32
from pynet.kernel.netlink.rtnl_socket import Socket

pytestmark = pytest.mark.linux_6_12

PLUGIN = {key: value for key, value in NETKIT.items() if key not in ("name", "cniVersion")}


def attached(name: str = "c1", **fields: Any) -> tuple[Runtime, dict[str, Any]]:
    runtime = container(name, **fields)
    return runtime, add(NETKIT, runtime)


def kind(name: str, netns: str = "") -> str:
    return str(ip(f"-d link show {name}", netns)[0]["linkinfo"]["info_kind"])


def host_end(result: dict[str, Any]) -> str:
    return str(result["interfaces"][0]["name"])


@in_host
def test_both_ends_have_the_macs_of_the_result() -> None:
    runtime, result = attached(environ={"CNI_ARGS": "MAC=02:00:00:00:77:01"})
    outside, inside = result["interfaces"]
    assert (kind(outside["name"]), kind("eth0", "c1")) == ("netkit", "netkit")
    assert inside["mac"] == "02:00:00:00:77:01"
    for each, netns in ((outside, ""), (inside, "c1")):
        (link,) = ip(f"link show {each['name']}", netns)
        assert (link["address"], link["mtu"]) == (each["mac"], each["mtu"])
        assert "NOARP" not in link["flags"]
    succeed("CHECK", {**NETKIT, "prevResult": result}, runtime)
    assert "1 attachment, all as made" in pynet("inspect")


def blackhole(name: str, attribute: int) -> None:
    """`ip link set NAME type netkit [peer] blackhole`, which this machine's `ip` does not know."""
    data = nested(IFLA_INFO_DATA, u32(attribute, pairs.NETKIT_POLICIES["blackhole"]))
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "netkit"), data)
    body = header() + string(IFLA_IFNAME, name) + info
    Socket("the host").transact(Operation(RTM_NEWLINK, 0, body, "blackhole"))


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        (pairs.NETKIT_POLICY, "policy is blackhole, should be forward"),
        (pairs.NETKIT_PEER_POLICY, "peer policy is blackhole, should be forward"),
    ],
)
@in_host
def test_check_sees_that_nothing_is_forwarded(attribute: int, words: str) -> None:
    runtime, result = attached()
    blackhole(host_end(result), attribute)
    given = {**NETKIT, "prevResult": result}
    refused(101, words, "CHECK", given, runtime)
    assert words in pynet("inspect", status=1)
    pynet("reload")
    succeed("CHECK", given, runtime)
    run("ping -c1 -W2 10.8.0.2")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ip link del HOST", "HOST is missing"),
        ("ip -n c1 link set eth0 down", "eth0: state is down"),
        ("ip link set HOST address 02:00:00:00:66:01", "HOST: MAC is 02:00:00:00:66:01"),
        ("ip link set HOST name other", "HOST is missing"),
        ("ip -n c1 link set eth0 name other", "eth0 is missing"),
    ],
)
@in_host
def test_check_sees_damage_and_reload_mends_it(command: str, words: str) -> None:
    runtime, result = attached()
    given, name = {**NETKIT, "prevResult": result}, host_end(result)
    before = lines() | {f"c1 {line}" for line in lines("c1")}
    run(command.replace("HOST", name))
    refused(101, words.replace("HOST", name), "CHECK", given, runtime)
    pynet("reload")
    succeed("CHECK", given, runtime)
    assert kind(name) == "netkit"
    assert nothing_left(before, lines() | {f"c1 {line}" for line in lines("c1")}) == []
    succeed("DEL", given, runtime)


@in_host
def test_a_veth_pair_in_its_place_is_not_it() -> None:
    runtime, result = attached()
    name, mac = host_end(result), result["interfaces"][0]["mac"]
    run(f"ip link del {name}")
    run(f"ip link add {name} address {mac} type veth peer name eth0 netns c1")
    refused(
        101, "kind is veth, should be netkit", "CHECK", {**NETKIT, "prevResult": result}, runtime
    )


@in_host
def test_what_stands_behind_it_has_the_hosts_end() -> None:
    open_to_all = {key: value for key, value in drive.FIREWALL.items() if key != "ingressPolicy"}
    behind = (drive.PORTMAP, open_to_all, drive.BANDWIDTH, drive.TUNING, drive.SBR)
    chain = [NETKIT, *({**each, "name": NETKIT["name"]} for each in behind)]
    runtime = container("c1")
    result = add_list(chain, runtime)
    assert "tbf" in run(f"tc qdisc show dev {host_end(result)}")
    check_list(chain, runtime, result)
    run("ping -c1 -W2 10.8.0.2")
    delete_list(chain, runtime, result)
    assert host_end(result) not in run("ip -br link")


@in_host
def test_gc_removes_what_the_dead_had() -> None:
    before = lines()
    attached()
    run("ip netns del c1")
    wait_for(lambda: not run("ip netns list-id"))
    succeed("GC", {**NETKIT, "cni.dev/valid-attachments": []})
    assert nothing_left(before, lines()) == []


@in_host
def test_who_lives_without_a_record_is_known_by_his_pair() -> None:
    runtime, result = attached()
    for path in Path("/run/pynet").glob("pynet.db*"):
        path.unlink()
    assert "not on record" in pynet("inspect", status=1)
    error = scenes.the_error(call("ADD", NETKIT, runtime))
    assert (error["code"], "not on record" in error["msg"]) == (100, True), error
    other = container("c2")
    assert add(NETKIT, other)["ips"][0]["address"] != result["ips"][0]["address"]
    succeed("DEL", {**NETKIT, "prevResult": result}, runtime)
    assert "eth0" not in run("ip -n c1 -br link")


@in_host
def test_a_dry_run_tells_of_it() -> None:
    network("pairs", PLUGIN)
    run("ip netns add c1")
    plan = json.loads(pynet("cni add pairs c1 --dry-run --json"))
    told = [each["description"] for one in plan["plugins"] for each in one["resources"]]
    assert [each.partition(" ")[0] for each in told if " pair " in each] == ["netkit"]
    assert plan["result"] == json.loads(pynet("cni add pairs c1 --json"))["result"]
