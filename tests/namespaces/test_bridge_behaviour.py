"""What each key of `bridge` does to a host and a container, and what CHECK sees of it."""

from __future__ import annotations

import json
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from drive import Runtime
from evidence import elements, nothing_left, rest, rows
from scenes import (
    BROADCAST,
    add,
    container,
    entered,
    frame,
    heard,
    in_host,
    ip,
    lines,
    refused,
    run,
    succeed,
    the_error,
    wait_for,
    wire,
)

from pynet.testnets.internet import ADDRESSES, HOST_ADDRESSES, PORT, Internet
from pynet.testnets.lab import Container, Host, Lab

Config = dict[str, Any]

DUAL: Config = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
}
PLAIN: Config = {"cniVersion": "1.1.0", "name": "web", "type": "bridge", "bridge": "cni0"}
LAYER_2 = PLAIN
ADDRESSED: Config = {**PLAIN, "ipam": DUAL}


def config(**keys: Any) -> Config:
    return {**ADDRESSED, **keys}


def with_result(config: Config, result: Config) -> Config:
    return {**config, "prevResult": result}


def link(name: str, netns: str = "") -> Any:
    (found,) = ip(f"-d link show {name}", netns)
    return found


def port(result: Config) -> Any:
    """The bridge's port as `bridge link` shows it."""
    name = result["interfaces"][1]["name"]
    found: Any
    (found,) = json.loads(run(f"bridge -j -d link show dev {name}"))
    return found


def addresses(name: str, netns: str = "") -> set[str]:
    prefix = f"address {name} "
    return {line[len(prefix) :] for line in lines(netns) if line.startswith(prefix)}


def routes(netns: str = "") -> set[str]:
    return {line.removeprefix("route ") for line in lines(netns) if line.startswith("route ")}


def sysctl(key: str, netns: str = "") -> str:
    with entered(netns):
        return Path("/proc/sys/net", key).read_text().strip()


FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
IN_SUBNET = {"10.1.0.0/24 None eth0", "fd00:1::/64 None eth0"}

# --- gateway and routes ---------------------------------------------------------


@in_host
def test_without_a_gateway_the_host_is_not_part_of_it() -> None:
    result = add(ADDRESSED, container("c1"))
    assert addresses("cni0") == set()
    assert [sysctl(key) for key in FORWARDING] == ["0", "0"]
    assert addresses("eth0", "c1") == {"10.1.0.2/24", "fd00:1::2/64"}
    assert routes("c1") == IN_SUBNET
    assert [ip["gateway"] for ip in result["ips"]] == ["10.1.0.1", "fd00:1::1"]
    assert {"10.1.0.2/24", "fd00:1::2/64"} == {ip["address"] for ip in result["ips"]}
    assert [one["name"] for one in result["interfaces"]][::2] == ["cni0", "eth0"]
    assert [ip["interface"] for ip in result["ips"]] == [2, 2]
    assert result["interfaces"][2]["sandbox"] == "/run/netns/c1"
    for place, netns in ((0, ""), (1, ""), (2, "c1")):
        told = result["interfaces"][place]
        found = link(told["name"], netns)
        assert (told["mac"], told["mtu"]) == (found["address"], found["mtu"])


@in_host
def test_gateway() -> None:
    add(config(isGateway=True), container("c1"))
    assert addresses("cni0") == {"10.1.0.1/24", "fd00:1::1/64"}
    assert [sysctl(key) for key in FORWARDING] == ["1", "1"]
    assert routes("c1") == IN_SUBNET


@in_host
def test_gateway_that_ipam_names() -> None:
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24", "gateway": "10.1.0.254"}
    result = add(config(isDefaultGateway=True, ipam=ipam), container("c1"))
    assert addresses("cni0") == {"10.1.0.254/24"}
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.1.0.254"}]


@in_host
def test_default_gateway() -> None:
    result = add(config(isDefaultGateway=True), container("c1"))
    defaults = {"default 10.1.0.1 eth0", "default fd00:1::1 eth0"}
    assert routes("c1") == IN_SUBNET | defaults
    assert result["routes"] == [
        {"dst": "0.0.0.0/0", "gw": "10.1.0.1"},
        {"dst": "::/0", "gw": "fd00:1::1"},
    ]


@pytest.mark.parametrize(
    "route, expected",
    [
        ({"dst": "0.0.0.0/0"}, {"default 10.1.0.1 eth0"}),
        ({"dst": "0.0.0.0/0", "gw": "10.1.0.9"}, {"default 10.1.0.9 eth0"}),
    ],
)
@in_host
def test_a_default_route_of_ipam_stands(route: Config, expected: set[str]) -> None:
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24", "routes": [route]}
    runtime = container("c1")
    whole_config = config(isDefaultGateway=True, ipam=ipam)
    result = add(whole_config, runtime)
    assert {one for one in routes("c1") if one.startswith("default")} == expected
    succeed("CHECK", with_result(whole_config, result), runtime)


@in_host
def test_another_address_on_the_bridge_is_refused_or_replaced() -> None:
    run("ip link add cni0 type bridge")
    run("ip addr add 192.168.7.1/24 dev cni0")
    runtime = container("c1")
    wanted = config(isGateway=True, ipam={"type": "host-local", "subnet": "10.1.0.0/24"})
    refused(7, '"cni0"|10.1.0.1/24|192.168.7.1/24|forceAddress', "ADD", wanted, runtime)
    add({**wanted, "forceAddress": True}, runtime)
    assert addresses("cni0") == {"10.1.0.1/24"}


@in_host
def test_of_ipv6_only_an_address_that_overlaps_is_in_the_way() -> None:
    run("ip link add cni0 type bridge")
    run("ip addr add fd00:7::1/64 dev cni0")
    runtime = container("c1")
    wanted = config(isGateway=True, ipam={"type": "host-local", "subnet": "fd00:1::/64"})
    add(wanted, runtime)
    assert addresses("cni0") == {"fd00:7::1/64", "fd00:1::1/64"}
    succeed("DEL", wanted, runtime)
    run("ip addr add fd00:1::9/48 dev cni0")
    refused(7, '"cni0"|fd00:1::1/64|fd00:1::9/48|forceAddress', "ADD", wanted, runtime)
    add({**wanted, "forceAddress": True}, runtime)
    assert addresses("cni0") == {"fd00:7::1/64", "fd00:1::1/64"}


# --- the link -------------------------------------------------------------------


@in_host
def test_mtu() -> None:
    result = add(config(mtu=1400), container("c1"))
    names = [("cni0", ""), (result["interfaces"][1]["name"], ""), ("eth0", "c1")]
    assert [link(*name)["mtu"] for name in names] == [1400] * 3
    assert [one["mtu"] for one in result["interfaces"]] == [1400] * 3


@in_host
def test_flags_of_the_port() -> None:
    plain, hairpin, isolated = (container(name) for name in ("c1", "c2", "c3"))
    assert not port(add(LAYER_2, plain))["hairpin"]
    assert port(add({**LAYER_2, "hairpinMode": True}, hairpin))["hairpin"]
    found = port(add({**LAYER_2, "portIsolation": True}, isolated))
    assert found["isolated"] and not found["hairpin"]


@in_host
def test_promiscuous_as_long_as_somebody_wants_it() -> None:
    wanted = {**LAYER_2, "promiscMode": True}
    one, two = container("c1"), container("c2")
    for runtime in (one, two):
        add(wanted, runtime)
        assert "PROMISC" in link("cni0")["flags"]
    succeed("DEL", wanted, one)
    assert "PROMISC" in link("cni0")["flags"]
    succeed("DEL", wanted, two)
    assert "PROMISC" not in link("cni0")["flags"]


@pytest.mark.parametrize(
    "keys, named",
    [
        ({"vlan": 100}, "vlan 100"),
        ({"vlan": 100, "isGateway": True}, "vlan 100"),
        ({"vlanTrunk": [{"minID": 5, "maxID": 7}, {"id": 9}]}, "vlanTrunk 5-7, 9"),
        ({"vlan": 100, "vlanTrunk": [{"id": 9}]}, "vlan 100, vlanTrunk 9"),
    ],
)
@in_host
def test_vlans_need_a_kernel_that_filters_them(keys: Config, named: str) -> None:
    """That they work where the kernel can is tested where there is such a kernel."""
    runtime = container("c1")
    if vlan_filtering_works():
        pytest.skip("this kernel has CONFIG_BRIDGE_VLAN_FILTERING")
    words = f"{named}|this kernel's bridges|CONFIG_BRIDGE_VLAN_FILTERING"
    refused(2, words, "ADD", config(**keys), runtime)
    add(LAYER_2, container("c2"))  # now there is a bridge
    refused(2, words, "ADD", config(**keys), runtime)


def vlan_filtering_works() -> bool:
    run("ip link add probe0 type bridge")
    try:
        run("ip link set probe0 type bridge vlan_filtering 1")
    except AssertionError:
        return False
    finally:
        run("ip link del probe0")
    return True


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"vlan": 4095}, "vlan|4095|0..4094"),
        ({"vlan": -1}, "vlan|-1"),
        ({"vlanTrunk": [{"minID": 5}]}, "minID and maxID"),
        ({"vlanTrunk": [{"minID": 7, "maxID": 5}]}, "minID 7|maxID 5"),
        ({"vlanTrunk": [{"id": 0}]}, "id 0"),
        ({"vlanTrunk": [{"id": "5"}]}, "vlanTrunk[0].id"),
        ({"disableContainerInterface": True}, "IPAM|disableContainerInterface"),
        ({"ipMasqBackend": "ebtables"}, "ipMasqBackend|ebtables"),
    ],
)
@in_host
def test_what_keys_refuse(keys: Config, words: str) -> None:
    refused(7, words, "ADD", config(**keys), container("c1"))


@in_host
def test_without_ipam_it_is_a_cable() -> None:
    runtime = container("c1")
    result = add(LAYER_2, runtime)
    assert "ips" not in result and "routes" not in result
    assert "UP" in link("eth0", "c1")["flags"] and addresses("eth0", "c1") == set()
    succeed("CHECK", with_result(LAYER_2, result), runtime)


@in_host
def test_the_containers_end_may_stay_down() -> None:
    wanted = {**LAYER_2, "disableContainerInterface": True}
    runtime = container("c1")
    result = add(wanted, runtime)
    assert "UP" not in link("eth0", "c1")["flags"]
    succeed("CHECK", with_result(wanted, result), runtime)


@in_host
def test_duplicate_address_detection() -> None:
    ipam = {"type": "host-local", "subnet": "fd00:1::/64"}
    add(config(ipam=ipam), container("c1"))
    assert sysctl("ipv6/conf/eth0/accept_dad", "c1") == "0"
    add(config(ipam=ipam, enabledad=True), container("c2"))
    assert sysctl("ipv6/conf/eth0/accept_dad", "c2") == "1"
    assert sysctl("ipv6/conf/eth0/enhanced_dad", "c2") == "1"
    (shown,) = ip("-6 addr show dev eth0 scope global", "c2")
    assert not shown["addr_info"][0].get("tentative")


@in_host
def test_router_advertisements_are_ignored_on_the_host() -> None:
    result = add(ADDRESSED, container("c1"))
    for name in ("cni0", result["interfaces"][1]["name"]):
        assert sysctl(f"ipv6/conf/{name}/accept_ra") == "0"


@in_host
def test_dns_of_the_configuration_comes_before_that_of_ipam() -> None:
    Path("/run/resolv.conf").write_text("nameserver 9.9.9.9\nsearch a.test b.test\n")
    ipam = {**DUAL, "resolvConf": "/run/resolv.conf"}
    result = add(config(ipam=ipam), container("c1"))
    assert result["dns"] == {"nameservers": ["9.9.9.9"], "search": ["a.test", "b.test"]}
    dns = {"nameservers": ["1.1.1.1"], "options": ["ndots:2"]}
    assert add(config(ipam=ipam, dns=dns), container("c2"))["dns"] == dns


MACS = [f"02:00:00:00:00:0{number}" for number in range(4)]


@pytest.mark.parametrize("sources", range(4))
@in_host
def test_who_may_name_the_mac(sources: int) -> None:
    """CNI_ARGS < args.cni.mac < runtimeConfig.mac; and what is guarded is that one."""
    wanted = config(macspoofchk=True)
    runtime = container("c1")
    if sources >= 1:
        runtime = replace(runtime, environ={"CNI_ARGS": f"IgnoreUnknown=1;MAC={MACS[1]}"})
    if sources >= 2:
        wanted["args"] = {"cni": {"mac": MACS[2]}}
    if sources >= 3:
        wanted["runtimeConfig"] = {"mac": MACS[3].replace(":", "-")}
    result = add(wanted, runtime)
    mac = link("eth0", "c1")["address"]
    assert result["interfaces"][2]["mac"] == mac
    assert sources == 0 or mac == MACS[sources]
    assert any(line.startswith("element allowed") and mac in line for line in elements())
    succeed("CHECK", with_result(wanted, result), runtime)


# --- results --------------------------------------------------------------------


@in_host
def test_results_of_each_version() -> None:
    oldest = {
        "ip4": {
            "ip": "10.1.0.2/24",
            "gateway": "10.1.0.1",
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
        },
        "ip6": {
            "ip": "fd00:1::2/64",
            "gateway": "fd00:1::1",
            "routes": [{"dst": "::/0", "gw": "fd00:1::1"}],
        },
        "dns": {},
    }
    runtime = container("c1")
    for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"):
        wanted = config(cniVersion=version, isDefaultGateway=True, name=f"web{version}")
        result = add(wanted, runtime)
        assert result.pop("cniVersion") == version
        if version < "0.3.0":
            assert result == oldest
        else:
            old = {"version": "4"} if version < "1.0.0" else {}
            address = {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 2}
            assert result["ips"][0] == {**old, **address}
            assert ("dns" in result) == (version < "1.0.0")
            assert ("mtu" in result["interfaces"][0]) == (version >= "1.0.0")
        succeed("DEL", wanted, runtime)


@in_host
def test_a_result_the_version_can_not_hold_leaves_nothing() -> None:
    add(LAYER_2, container("c2"))
    wanted = {**LAYER_2, "cniVersion": "0.2.0"}
    refused(7, "0.2.0|needs an address", "ADD", wanted, container("c1"))


# --- CHECK ----------------------------------------------------------------------

FULL = config(isDefaultGateway=True, ipMasq=True, macspoofchk=True, hairpinMode=True)


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
    "masquerade element": ("nft delete element inet pynet masquerade4 { 10.1.0.2 }", "10.1.0.2"),
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


# --- somebody else's bridge -----------------------------------------------------


@in_host
def test_an_administrators_bridge_is_used_and_stays_as_it_was() -> None:
    run("ip link add cni0 address 02:00:00:00:00:55 type bridge")
    run("ip addr add 10.1.0.1/24 dev cni0")
    run("ip link set cni0 up")
    before = {line for line in lines() if "cni0" in line}
    runtime = container("c1")
    result = add(FULL, runtime)
    assert result["interfaces"][0]["mac"] == "02:00:00:00:00:55"
    succeed("CHECK", with_result(FULL, result), runtime)
    succeed("DEL", FULL, runtime)
    succeed("GC", {**FULL, "cni.dev/valid-attachments": []})
    assert {line for line in lines() if "cni0" in line} == before


@in_host
def test_a_bridge_that_was_given_no_mac_keeps_the_one_it_has() -> None:
    """By itself it takes the lowest of its ports' MACs; who knew its old one would lose it."""
    run("ip link add uplink type veth peer name far")
    run("ip link set dev uplink address fe:00:00:00:00:01")
    for bridge in ("cni0", "cni1"):
        run(f"ip link add {bridge} type bridge")
        run(f"ip link set {bridge} up")
    run("ip link set dev uplink master cni0")  # cni1 has no port yet, and so a MAC by chance
    for number, bridge in enumerate(("cni0", "cni1")):
        runtime = container(f"c{number}")
        wanted = {**FULL, "bridge": bridge, "name": bridge}
        result = add(wanted, runtime)
        assert link(bridge)["address"] == result["interfaces"][0]["mac"]
        succeed("CHECK", with_result(wanted, result), runtime)
    assert link("cni0")["address"] == "fe:00:00:00:00:01"


@in_host
def test_a_bridge_that_is_down_is_set_up() -> None:
    run("ip link add cni0 type bridge")
    add(LAYER_2, container("c1"))
    assert "UP" in link("cni0")["flags"]


@in_host
def test_a_container_that_comes_back_in_a_new_namespace() -> None:
    """Its old one is gone and nobody called DEL, as after its runtime was killed."""
    runtime = container("c1")
    first = add(FULL, runtime)
    run("ip netns del c1")
    wait_for(lambda: not any(" veth" in line for line in lines()))
    run("ip netns add c1")
    second = add(FULL, runtime)
    assert second["interfaces"] == first["interfaces"]
    succeed("CHECK", with_result(FULL, second), runtime)
    succeed("DEL", FULL, runtime)
    assert rows() == set()


@in_host
def test_the_bridge_keeps_its_mac_as_ports_come_and_go() -> None:
    macs = set()
    for name in ("c1", "c2", "c3"):
        add(
            ADDRESSED,
            replace(container(name), environ={"CNI_ARGS": f"MAC=02:00:00:00:00:0{name[1]}"}),
        )
        macs.add(link("cni0")["address"])
    assert len(macs) == 1


# --- packets --------------------------------------------------------------------


@in_host
def test_the_first_frame_arrives() -> None:
    """Nothing is repeated here: what was sent before the port forwards would be lost."""
    add(ADDRESSED, container("c1"))
    bridge = wire("cni0")
    for number in range(2, 7):
        add(ADDRESSED, container(f"c{number}"))
        inner = wire("eth0", f"c{number}")
        mac = link("eth0", f"c{number}")["address"]
        inner.send(frame(mac, BROADCAST, b"out"))
        inner.send(frame(mac, BROADCAST, b"end"))
        assert heard(bridge) == [b"out"]
        bridge.send(frame(link("cni0")["address"], mac, b"in"))
        bridge.send(frame(link("cni0")["address"], mac, b"end"))
        assert heard(inner) == [b"in"]


@in_host
def test_addresses_can_be_used_at_once() -> None:
    """A tentative IPv6 address can't be bound to."""
    add(config(isDefaultGateway=True), container("c1"))
    for netns, address in (("c1", "fd00:1::2"), ("", "fd00:1::1"), ("c1", "10.1.0.2")):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with entered(netns), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))


@in_host
def test_isolated_ports_hear_the_host_but_not_each_other() -> None:
    isolated = {**LAYER_2, "portIsolation": True}
    for name, wanted in (("c1", isolated), ("c2", isolated), ("c3", LAYER_2)):
        add(wanted, container(name))
    ears = {name: wire("eth0", name) for name in ("c2", "c3")}
    host = wire("cni0")
    sender = wire("eth0", "c1")
    sender.send(frame(link("eth0", "c1")["address"], BROADCAST, b"hello"))
    sender.send(frame(link("eth0", "c1")["address"], BROADCAST, b"end"))
    assert heard(ears["c3"]) == [b"hello"] and heard(host) == [b"hello"]
    host.send(frame(link("cni0")["address"], BROADCAST, b"end"))
    assert heard(ears["c2"]) == []


@in_host
def test_a_guarded_container_can_not_forge_its_mac() -> None:
    add({**LAYER_2, "macspoofchk": True}, container("c1"))
    add(LAYER_2, container("c2"))
    sender, ear = wire("eth0", "c1"), wire("eth0", "c2")
    sender.send(frame("02:00:00:00:00:66", BROADCAST, b"forged"))
    sender.send(frame(link("eth0", "c1")["address"], BROADCAST, b"end"))
    assert heard(ear) == []


@pytest.fixture
def internet(lab: Lab, host: Host) -> Internet:
    return Internet(lab, host)


def attach(host: Host, config: Config, name: str) -> Container:
    made = host.container(name)
    host.call(add, config, Runtime(name, made.path))
    return made


def reaches_outside(made: Container) -> bool:
    """Asked with little patience: used where the answer is no."""

    def connect() -> bool:
        try:
            socket.create_connection((ADDRESSES[socket.AF_INET], PORT), timeout=0.4).close()
        except TimeoutError:
            return False
        return True

    return made.host.call(connect, netns=made)


def test_the_second_container_stays_connected_when_the_first_goes(
    host: Host, internet: Internet
) -> None:
    baseline = host.call(rest)
    one, two = attach(host, FULL, "c1"), attach(host, FULL, "c2")
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(one, family) == address
    host.call(succeed, "DEL", FULL, Runtime("c1", one.path))
    host.delete_container(one)
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(two, family) == address
    assert host.call(addresses, "cni0") == {"10.1.0.1/24", "fd00:1::1/64"}
    host.call(succeed, "DEL", FULL, Runtime("c2", two.path))
    left = nothing_left(baseline, host.call(rest))
    assert [line for line in left if not line.startswith("rule ")] == ["link cni0"]


def test_a_flushed_ruleset_comes_back_for_everybody(host: Host, internet: Internet) -> None:
    one = attach(host, FULL, "c1")
    host.run(["nft", "flush", "ruleset"])
    assert not reaches_outside(one)
    attach(host, FULL, "c2")
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(one, family) == address


def test_without_masquerade_nobody_outside_answers(host: Host, internet: Internet) -> None:
    """And with it in another network of the same host, only that one's containers get out."""
    plain = attach(host, config(isDefaultGateway=True), "c1")
    assert not reaches_outside(plain)
