"""`ipvlan`, `vlan`, `dummy`: traffic, what CHECK sees, DEL without what they stand on."""

from __future__ import annotations

import subprocess
from subprocess import PIPE
from typing import Any

import drive
import lan
import pytest
from drive import Runtime
from evidence import nothing_left
from scenes import (
    add,
    container,
    in_host,
    ip,
    lines,
    reaches,
    refused,
    run,
    stderr_of,
    succeed,
    wait_for,
)
from test_findings import commands, obey, pynet

DUMMY, IPVLAN, VLAN = (drive.STACKED[name] for name in ("dummy", "ipvlan", "vlan"))
RANGES = [[{"subnet": "10.6.0.0/24"}], [{"subnet": "fd00:6::/64"}]]
DUAL = {"type": "host-local", "ranges": RANGES, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}


def attached(config: dict[str, Any], name: str) -> tuple[Runtime, dict[str, Any]]:
    runtime = container(name)
    return runtime, add(config, runtime)


def gone(name: str) -> bool:
    return "eth0" not in run(f"ip -n {name} -br link")


@in_host
def test_ipvlan_in_the_mode_of_a_switch() -> None:
    lan.wire()
    config = {**IPVLAN, "ipam": DUAL}
    runtime, result = attached(config, "c1")
    attached(config, "c2")
    assert result["interfaces"][0]["mac"] == ip("link show nic0")[0]["address"]
    for address in ("10.6.0.1", "10.6.0.3", "fd00:6::1", "fd00:6::3"):
        assert reaches("c1", address), address
    succeed("CHECK", {**config, "prevResult": result}, runtime)


@pytest.mark.parametrize("mode", ["l3", "l3s"])
@in_host
def test_ipvlan_in_the_modes_of_a_router(mode: str) -> None:
    """Nobody is asked who has an address: the neighbour is told which way they are."""
    lan.wire()
    config = {**IPVLAN, "mode": mode, "ipam": {"type": "host-local", "subnet": "10.61.0.0/24"}}
    config["ipam"]["routes"] = [{"dst": "0.0.0.0/0", "gw": "10.61.0.1"}]
    run("ip addr add 10.6.0.250/24 dev nic0")
    run("ip -n lan route add 10.61.0.0/24 via 10.6.0.250")
    runtime, result = attached(config, "c1")
    attached(config, "c2")
    assert reaches("c1", "10.61.0.3")
    succeed("CHECK", {**config, "prevResult": result}, runtime)


HOST = ("10.6.0.250", "fd00:6::250")


def host_reaches(address: str) -> bool:
    return subprocess.run(["ping", "-c1", "-W5", address], capture_output=True).returncode == 0


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
@in_host
def test_host_and_ipvlan_containers_reach_each_other(mode: str) -> None:
    lan.wire()
    before = lines()
    ranges = [
        [{"subnet": "10.6.0.0/24", "rangeEnd": "10.6.0.99"}],
        [{"subnet": "fd00:6::/64", "rangeEnd": "fd00:6::99"}],
    ]
    config = {**IPVLAN, "mode": mode, "hostAddresses": list(HOST)}
    config["ipam"] = {"type": "host-local", "ranges": ranges}
    listed = [attached(config, name) for name in ("c1", "c2")]
    for (runtime, result), own in zip(
        listed, ("10.6.0.2 fd00:6::2", "10.6.0.3 fd00:6::3"), strict=True
    ):
        for host, address in zip(HOST, own.split(), strict=True):
            assert reaches(runtime.container, host), (runtime.container, host)
            assert host_reaches(address), address
        succeed("CHECK", {**config, "prevResult": result}, runtime)
    run("ip link set iv-nic0 down")
    given = {**config, "prevResult": listed[0][1]}
    refused(101, "iv-nic0: state is down, should be up", "CHECK", given, listed[0][0])
    for runtime, result in listed:
        succeed("DEL", {**config, "prevResult": result}, runtime)
    assert nothing_left(before, lines()) == []


@in_host
def test_a_router_needs_no_host_address_in_the_containers_subnet() -> None:
    lan.wire()
    ipam = {"type": "static", "addresses": [{"address": "10.61.0.5/32"}]}
    config = {**IPVLAN, "mode": "l3", "hostAddresses": ["10.6.0.250"], "ipam": ipam}
    refused(7, "is in no subnet", "ADD", {**config, "mode": "l2"}, container("c9"))
    runtime, result = attached(config, "c1")
    assert reaches("c1", "10.6.0.250") and host_reaches("10.61.0.5")
    succeed("CHECK", {**config, "prevResult": result}, runtime)
    run("ip link del nic0")
    succeed("DEL", {**config, "prevResult": result}, runtime)
    wait_for(lambda: gone("c1"))


@in_host
def test_ipvlan_behind_another_plugin_has_its_addresses() -> None:
    lan.wire()
    given = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "nic0"}],
        "ips": [{"address": "10.6.0.77/24", "gateway": "10.6.0.1"}],
    }
    chained = {key: value for key, value in IPVLAN.items() if key not in ("ipam", "master")}
    runtime = container("c1")
    result = add({**chained, "prevResult": given}, runtime)
    assert [each["address"] for each in result["ips"]] == ["10.6.0.77/24"]
    assert reaches("c1", "10.6.0.1")
    succeed("DEL", {**chained, "prevResult": result}, runtime)
    assert gone("c1")
    refused(7, "ipam: ipvlan needs one", "ADD", {**chained, "master": "nic0"}, runtime)


@in_host
def test_a_vlan_is_tagged_on_the_wire() -> None:
    lan.wire()
    for words in ("link add link eth0 name eth0.7 type vlan id 7", "link set eth0.7 up",
                  "addr flush dev eth0", "addr add 10.6.0.1/24 dev eth0.7"):  # fmt: skip
        run(f"ip -n lan {words}")
    words = "ip netns exec lan timeout 60 tcpdump --immediate-mode -nlec1 -i eth0 vlan 7 and icmp"
    with subprocess.Popen(words.split(), stdout=PIPE, stderr=PIPE, text=True) as ear:
        assert ear.stdout and ear.stderr
        assert "listening" in ear.stderr.readline() + ear.stderr.readline()
        runtime, result = attached(VLAN, "c1")
        assert reaches("c1", "10.6.0.1")
        heard = ear.stdout.readline()
    assert "vlan 7" in heard and "10.6.0.2 > 10.6.0.1" in heard, heard
    assert ip("-d link show eth0", netns="c1")[0]["linkinfo"]["info_data"]["id"] == 7
    succeed("CHECK", {**VLAN, "prevResult": result}, runtime)
    attached({**VLAN, "vlanId": 8, "name": "eight"}, "c2")
    assert not reaches("c2", "10.6.0.1")


@in_host
def test_a_dummy_has_its_addresses() -> None:
    runtime, result = attached({**DUMMY, "ipam": DUAL}, "c1")
    assert [each["address"] for each in result["ips"]] == ["10.6.0.2/24", "fd00:6::2/64"]
    assert result["interfaces"][0]["mac"] == ip("link show eth0", netns="c1")[0]["address"]
    succeed("CHECK", {**DUMMY, "prevResult": result}, runtime)
    run("ip -n c1 link set eth0 down")
    refused(101, "eth0", "CHECK", {**DUMMY, "prevResult": result}, runtime)


@pytest.mark.parametrize("config", [IPVLAN, VLAN], ids=lambda config: config["type"])
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ip link set nic0 down", "nic0: state is down, should be up"),
        ("ip link set nic0 mtu 1400", "MTU is 1400, should be 1500"),
        ("ip link del nic0", "eth0 is missing"),
    ],
)
@in_host
def test_check_sees_what_becomes_of_the_master(
    config: dict[str, Any], command: str, words: str
) -> None:
    lan.wire()
    runtime, result = attached(config, "c1")
    given = {**config, "prevResult": result}
    succeed("CHECK", given, runtime)
    run(command)
    refused(101, words, "CHECK", given, runtime)
    succeed("DEL", given, runtime)
    wait_for(lambda: gone("c1"))


@in_host
def test_on_a_master_that_is_down_there_is_an_ipvlan_and_no_vlan() -> None:
    lan.wire()
    run("ip link set nic0 down")
    advice = "nic0, its master, is down; set it up: `ip link set nic0 up`"
    refused(11, advice, "ADD", VLAN, container("c1"))
    runtime = container("c2")
    results: list[dict[str, Any]] = []
    assert advice in stderr_of(lambda: results.append(add(IPVLAN, runtime)))
    given = {**IPVLAN, "prevResult": results[0]}
    refused(101, "put it back: `ip link set nic0 up`", "CHECK", given, runtime)
    run("ip link set nic0 up")
    succeed("CHECK", given, runtime)


@in_host
def test_with_its_master_up_again_a_vlan_is_put_back_by_what_is_said() -> None:
    """The kernel sets it down and up with that, and its routes are gone then."""
    lan.wire()
    runtime, result = attached({**VLAN, "ipam": DUAL}, "c1")
    run("ip link set nic0 down")
    assert "nic0: state is down, should be up; put it back: `ip link set nic0 up`" in pynet(
        "inspect", status=1
    )
    run("ip link set nic0 up")
    if commands(said := pynet("inspect", status=None)):
        obey(said)
    succeed("CHECK", {**VLAN, "ipam": DUAL, "prevResult": result}, runtime)


@pytest.mark.parametrize(
    ("config", "changes", "words"),
    [
        (VLAN, {"vlanId": 4095}, "vlanId: 4095 is above 4094"),
        (VLAN, {"master": ""}, "master: none is given"),
        (VLAN, {"mtu": 9000}, "is above the 1500 of nic0"),
        (VLAN, {"ipam": {}}, "ipam: vlan needs one"),
        (IPVLAN, {"mode": "l4"}, "mode"),
        (IPVLAN, {"master": "iv0"}, "master: iv0 is itself of kind ipvlan"),
        (IPVLAN, {"master": "nowhere"}, 'there is no interface "nowhere" on the host'),
        (DUMMY, {"ipam": {}}, "ipam: dummy needs one"),
    ],
)
@in_host
def test_what_can_not_be_is_refused_by_its_key(
    config: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    lan.wire()
    if changes.get("master") == "iv0":
        run("ip link add link nic0 name iv0 type ipvlan")
    refused(7, words, "ADD", {**config, **changes}, container("c1"))


@in_host
def test_two_containers_have_one_vlan_of_a_master_but_once() -> None:
    """The kernel makes each VLAN of a link once; the second is told so, and nothing is left."""
    lan.wire()
    attached(VLAN, "c1")
    refused(102, "vlan", "ADD", VLAN, container("c2"))
