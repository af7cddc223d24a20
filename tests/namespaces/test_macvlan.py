"""`macvlan`: traffic in each mode, what CHECK sees of its parent, DEL without it, and bad input."""

from __future__ import annotations

import json
from typing import Any

import drive
import lan
import pytest
from drive import MACVLAN, Runtime
from scenes import add, container, in_host, ip, reaches, refused, run, stderr_of, succeed, wait_for
from test_findings import pynet

DUAL: dict[str, Any] = {
    **MACVLAN,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.6.0.0/24"}], [{"subnet": "fd00:6::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}
NEIGHBOUR = ("10.6.0.1", "fd00:6::1")


def attached(config: dict[str, Any], name: str) -> tuple[Runtime, dict[str, Any]]:
    runtime = container(name)
    return runtime, add(config, runtime)


@in_host
def test_a_container_reaches_what_its_parent_is_wired_to() -> None:
    lan.wire()
    _, result = attached(DUAL, "c1")
    (interface,) = result["interfaces"]
    assert (interface["name"], interface["sandbox"]) == ("eth0", "/run/netns/c1")
    assert interface["mac"] == ip("link show eth0", netns="c1")[0]["address"]
    assert [each["address"] for each in result["ips"]] == ["10.6.0.2/24", "fd00:6::2/64"]
    for address in NEIGHBOUR:
        assert reaches("c1", address)
        assert f"via {address} dev eth0" in run(
            f"ip -n c1 route get {'8.8.8.8' if '.' in address else '2600::1'}"
        )
    succeed("CHECK", {**DUAL, "prevResult": result})


@pytest.mark.parametrize(("mode", "each_other"), [("bridge", True), ("private", False)])
@in_host
def test_which_containers_of_one_parent_reach_each_other(mode: str, each_other: bool) -> None:
    lan.wire()
    for name in ("c1", "c2"):
        attached({**MACVLAN, "mode": mode}, name)
        assert reaches(name, "10.6.0.1")
    assert reaches("c1", "10.6.0.3") == each_other


@in_host
def test_vepa_goes_by_the_switch_which_sends_it_back_or_does_not() -> None:
    """IEEE 802.1Qbg: only a port that is a hairpin sends a frame back where it came from."""
    lan.wire()
    for words in ("link add br0 type bridge", "link set br0 up", "link set eth0 master br0",
                  "addr flush dev eth0", "addr add 10.6.0.1/24 dev br0"):  # fmt: skip
        run(f"ip -n lan {words}")
    for name in ("c1", "c2"):
        attached({**MACVLAN, "mode": "vepa"}, name)
    wait_for(lambda: reaches("c1", "10.6.0.1"))
    assert not reaches("c1", "10.6.0.3")
    run("ip -n lan link set eth0 type bridge_slave hairpin on")
    wait_for(lambda: reaches("c1", "10.6.0.3"))


@in_host
def test_passthru_is_one_containers() -> None:
    lan.wire()
    config = {**MACVLAN, "mode": "passthru", "mac": "02:00:00:00:66:01"}
    runtime = container("c1")
    said = stderr_of(lambda: add(config, runtime))
    assert "mac 02:00:00:00:66:01 has no effect" in said
    assert ip("link show eth0", netns="c1")[0]["address"] == ip("link show nic0")[0]["address"]
    assert reaches("c1", "10.6.0.1")
    refused(102, "eth0", "ADD", config, container("c2"))
    succeed("DEL", config, runtime)
    attached(config, "c3")
    assert reaches("c3", "10.6.0.1")


def goes_down() -> None:
    run(f"ip link set {lan.PARENT} down")


def takes_less() -> None:
    run(f"ip link set {lan.PARENT} mtu 1400")


def is_gone() -> None:
    run(f"ip link del {lan.PARENT}")


def other_mode() -> None:
    run("ip -n c1 link set eth0 type macvlan mode private")


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (goes_down, "nic0: state is down, should be up"),
        (takes_less, "eth0: MTU is 1400, should be 1500"),
        (is_gone, "eth0 is missing"),
        (other_mode, "eth0: mode is private, should be bridge"),
    ],
)
@in_host
def test_check_sees_what_becomes_of_its_parent(happens: Any, words: str) -> None:
    lan.wire()
    runtime, result = attached(MACVLAN, "c1")
    given = {**MACVLAN, "prevResult": result}
    succeed("CHECK", given, runtime)
    happens()
    refused(101, words, "CHECK", given, runtime)
    succeed("DEL", given, runtime)
    assert "eth0" not in run("ip -n c1 -br link")


@pytest.mark.parametrize("where", ["host", "container"])
@in_host
def test_a_master_that_is_down_is_named_and_the_command_sets_it_up(where: str) -> None:
    """ADD does without it, as the reference's; what CHECK and `inspect` say to do is done here."""
    config = {**MACVLAN, "linkInContainer": where == "container"}
    runtime = container("c1")
    if where == "host":
        lan.wire()
    else:
        run(f"ip -n c1 link add {lan.PARENT} type veth peer name nic2")
    inside = "nsenter --net=/run/netns/c1 " if where == "container" else ""
    setting_up = f"{inside}ip link set {lan.PARENT} up"
    run(setting_up.replace(" up", " down"))
    results = []
    said = stderr_of(lambda: results.append(add(config, runtime)))
    assert f"nothing passes while nic0, its master, is down; set it up: `{setting_up}`" in said
    given = {**config, "prevResult": results[0]}
    finding = f"nic0: state is down, should be up; put it back: `{setting_up}`"
    error = refused(101, finding, "CHECK", given, runtime)
    assert json.loads(error["details"])[0]["mend"] == setting_up
    assert "pynet reload" not in error["msg"]
    for command in ("inspect", "reload", "inspect", "status"):
        assert finding in pynet(command, status=1), command
    run(setting_up)
    succeed("CHECK", given, runtime)
    assert "all as made" in pynet("inspect")


@in_host
def test_a_duplicate_is_not_looked_for_on_a_master_that_is_down() -> None:
    lan.wire()
    goes_down()
    refused(11, "IPv6|nic0, its master, is down; set it up: `ip link set nic0 up`", "ADD", DUAL,
            container("c1"))  # fmt: skip


@in_host
def test_without_a_master_it_is_that_of_the_default_route() -> None:
    lan.wire()
    config = {key: value for key, value in MACVLAN.items() if key != "master"}
    refused(7, "no default route on the host", "ADD", config, container("c1"))
    run(f"ip addr add 10.6.0.250/24 dev {lan.PARENT}")
    run("ip route add default via 10.6.0.1")
    runtime, _ = attached(config, "c2")
    assert reaches("c2", "10.6.0.1")
    run("ip route del default")
    succeed("DEL", config, runtime)
    assert "eth0" not in run("ip -n c2 -br link")


@in_host
def test_the_master_may_be_in_the_container() -> None:
    runtime = container("c1")
    run("ip -n c1 link add nic1 type veth peer name nic2")
    run("ip -n c1 link set nic1 up")
    config = {**MACVLAN, "master": "nic1", "linkInContainer": True}
    result = add(config, runtime)
    succeed("CHECK", {**config, "prevResult": result}, runtime)
    succeed("DEL", config, runtime)
    assert "eth0" not in run("ip -n c1 -br link")


@in_host
def test_without_ipam_it_is_set_up_and_has_no_address() -> None:
    lan.wire()
    config = {key: value for key, value in MACVLAN.items() if key != "ipam"}
    runtime, result = attached({**config, "mac": "02:00:00:00:66:01"}, "c1")
    assert result.get("ips", []) == []
    (link,) = ip("link show eth0", netns="c1")
    assert (link["address"], "UP" in link["flags"]) == ("02:00:00:00:66:01", True)
    succeed("CHECK", {**config, "prevResult": result}, runtime)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"master": "nowhere"}, 'master: there is no interface "nowhere" on the host'),
        ({"master": "nic0", "linkInContainer": True}, "in /run/netns/c1"),
        ({"master": "a/b"}, "master"),
        ({"mtu": 9000}, "mtu: 9000 is above the 1500 of nic0"),
        ({"mtu": 20}, "mtu: 20 is not within 68..65535"),
        ({"mode": "route"}, "mode"),
        ({"mac": "01:00:00:00:00:01"}, "is not a unicast MAC address"),
        ({"bcqueuelen": -1}, "bcqueuelen"),
        ({"master": "mv0"}, "master: mv0 is itself of kind macvlan"),
    ],
)
@in_host
def test_what_can_not_be_is_refused_by_its_key(changes: dict[str, Any], words: str) -> None:
    lan.wire()
    run("ip link add link nic0 name mv0 type macvlan mode bridge")
    refused(7, words, "ADD", {**MACVLAN, **changes}, container("c1"))


@pytest.mark.parametrize("plugin", ["macvlan", "ipvlan", "vlan"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"master": "nic7"}, 'master: there is no interface "nic7" on the host'),
        ({"mtu": 1501}, "mtu: 1501 is above the 1500 of nic0, its master"),
        ({"master": "nic0/"}, 'master: "nic0/"'),
    ],
)
@in_host
def test_a_bad_master_is_one_error_whatever_the_kernel_can_make(
    plugin: str, changes: dict[str, Any], words: str
) -> None:
    """nic7 is in another namespace."""
    lan.wire()
    run("ip link add nic7 type veth peer name eth7 netns lan")
    run("ip link set nic7 netns lan")
    config = {**drive.CONFIGS, **drive.NOT_EVERYWHERE}[plugin]
    refused(7, words, "ADD", {**config, **changes}, container("c1"))


@in_host
def test_there_are_4094_vlans() -> None:
    lan.wire()
    for number, words in ((4095, "4095 is above 4094"), (-1, "-1 is below 0")):
        config = {**drive.STACKED["vlan"], "vlanId": number}
        refused(7, f"vlanId: {words}", "ADD", config, container(f"c{number}"))
