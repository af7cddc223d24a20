"""What each key of `bridge` does to a host and a container."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bridges import (
    ADDRESSED,
    DUAL,
    FORWARDING,
    IN_SUBNET,
    LAYER_2,
    Config,
    addresses,
    config,
    link,
    port,
    routes,
    sysctl,
    with_result,
)
from drive import Runtime, call
from evidence import elements
from scenes import (
    add,
    container,
    in_host,
    ip,
    refused,
    run,
    succeed,
)

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


def beside(address: str, subnet: str) -> tuple[Config, Runtime]:
    """A gateway in `subnet` is wanted, and the bridge has `address` already."""
    run("ip link add cni0 type bridge")
    run(f"ip addr add {address} dev cni0")
    wanted = config(isGateway=True, ipam={"type": "host-local", "subnet": subnet})
    return wanted, container("c1")


@in_host
def test_another_address_on_the_bridge_is_refused_or_replaced() -> None:
    wanted, runtime = beside("192.168.7.1/24", "10.1.0.0/24")
    refused(7, '"cni0"|10.1.0.1/24|192.168.7.1/24|forceAddress', "ADD", wanted, runtime)
    add({**wanted, "forceAddress": True}, runtime)
    assert addresses("cni0") == {"10.1.0.1/24"}


@pytest.mark.parametrize(
    ("first", "second"), [("10.1.0.0/24", "10.2.0.0/24"), ("fd00:1::/64", "fd00:1::/48")]
)
@in_host
def test_nobody_is_told_to_take_a_gateway_from_those_who_need_it(first: str, second: str) -> None:
    def network(name: str, subnet: str) -> Config:
        ipam = {"type": "host-local", "subnet": subnet}
        return {**config(isGateway=True, ipam=ipam), "name": name}

    one, other = network("one", first), network("other", second)
    add(one, container("c1"))
    runtime = container("c2")
    outcome = call("ADD", other, runtime)
    assert outcome.code == 7
    assert "which containers of network one need" in outcome.document["msg"]
    assert "forceAddress" not in outcome.document["msg"]
    succeed("DEL", one, Runtime("c1", "/run/netns/c1"))
    add(other, runtime)


@in_host
def test_of_ipv6_only_an_address_that_overlaps_is_in_the_way() -> None:
    wanted, runtime = beside("fd00:7::1/64", "fd00:1::/64")
    add(wanted, runtime)
    assert addresses("cni0") == {"fd00:7::1/64", "fd00:1::1/64"}
    succeed("DEL", wanted, runtime)
    run("ip addr add fd00:1::9/48 dev cni0")
    refused(7, '"cni0"|fd00:1::1/64|fd00:1::9/48|forceAddress', "ADD", wanted, runtime)
    add({**wanted, "forceAddress": True}, runtime)
    assert addresses("cni0") == {"fd00:7::1/64", "fd00:1::1/64"}


@pytest.mark.parametrize("keys", [{}, {"isGateway": True}, LAYER_2], ids=["", "gateway", "cable"])
@in_host
def test_a_bridge_of_others_without_a_mac_is_given_one(keys: Config) -> None:
    """The kernel leaves it none once its last port has left."""
    for command in (
        "link add cni0 type bridge",
        "link set cni0 up",
        "link add va type veth peer name vb",
        "link set va master cni0",
        "link del va",
    ):
        run(f"ip {command}")
    assert link("cni0")["address"] == "00:00:00:00:00:00"
    wanted = keys if "type" in keys else config(**keys)
    for name in ("c1", "c2"):
        runtime = container(name)
        result = add(wanted, runtime)
        assert link("cni0")["address"] == result["interfaces"][0]["mac"] != "00:00:00:00:00:00"
        succeed("CHECK", with_result(wanted, result), runtime)
        succeed("DEL", wanted, runtime)
    succeed("GC", wanted, runtime)
    assert link("cni0")["ifname"] == "cni0"


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
        ({"vlanTrunk": [{"id": 0}]}, "vlanTrunk[0]: id: 0"),
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


@in_host
def test_a_link_local_gateway() -> None:
    outside = {"type": "host-local", "subnet": "2001:db8:5:333::/64", "gateway": "fe80::1"}
    wanted = {**config(isDefaultGateway=True), "ipam": outside}
    runtime = container("c1")
    result = add(wanted, runtime)
    assert result["ips"][0]["gateway"] == "fe80::1"
    (default,) = ip("-6 route show default", "c1")
    assert default["gateway"] == "fe80::1"
    run("ping -c 1 -W 2 fe80::1%eth0", netns="c1")
    succeed("CHECK", with_result(wanted, result), runtime)
    run("ip addr del fe80::1/64 dev cni0")
    refused(101, "fe80::1/64", "CHECK", with_result(wanted, result), runtime)
    succeed("DEL", wanted, runtime)


@in_host
def test_the_gateways_of_one_range_set_stand_side_by_side() -> None:
    subnets = [{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}]
    ipam = {"type": "host-local", "ranges": [subnets]}
    wanted = {**config(isDefaultGateway=True), "ipam": ipam}
    one, other = container("c1"), container("c2")
    results = [add(wanted, one), add(wanted, other)]
    assert [result["ips"][0]["address"] for result in results] == ["10.1.0.2/30", "10.2.0.2/30"]
    assert addresses("cni0") == {"10.1.0.1/30", "10.2.0.1/30"}
    run("ping -c 1 -W 2 10.2.0.2", netns="c1")
    elsewhere = {**wanted, "name": "else", "ipam": {"type": "host-local", "subnet": "10.3.0.0/24"}}
    refused(7, "cni0|10.1.0.1/30|10.3.0.1/24", "ADD", elsewhere, container("c3"))
    for runtime, result in zip((one, other), results, strict=True):
        succeed("CHECK", with_result(wanted, result), runtime)
        succeed("DEL", wanted, runtime)
    assert addresses("cni0") == set()
