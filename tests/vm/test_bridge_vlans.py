"""`vlan`, `vlanTrunk`, `preserveDefaultVlan` of `bridge`: who hears whom, what CHECK sees."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import drive
import pytest
from drive import BRIDGE, Runtime
from evidence import but_kept, nothing_left, rest
from published import FAMILIES, SERVER, V4, Served, both, seen
from scenes import (
    BROADCAST,
    add,
    container,
    frame,
    heard,
    in_host,
    ip,
    run,
    succeed,
    the_error,
    wire,
)

from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Host, Lab

Config = dict[str, Any]
LAYER_2: Config = {"cniVersion": "1.1.0", "name": "web", "type": "bridge", "bridge": "cni0"}
DEFAULT_VLAN = 1


def in_vlan(vlan: int, **keys: Any) -> Config:
    """A network of its own, with a gateway, in that VLAN of the one bridge."""
    ranges = [[{"subnet": f"10.{vlan}.0.0/24"}], [{"subnet": f"fd00:{vlan}::/64"}]]
    ipam = {"type": "host-local", "ranges": ranges}
    return {**BRIDGE, "name": f"vlan{vlan}", "vlan": vlan, "ipam": ipam, **keys}


def trunk(*ranges: Config, **keys: Any) -> Config:
    return {**LAYER_2, "vlanTrunk": list(ranges), **keys}


def vlans(result: Config) -> dict[int, set[str]]:
    """The VLANs of the container's port as `bridge vlan` shows them, with their flags."""
    return vlans_of(result["interfaces"][1]["name"])


def vlans_of(port: str) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for entry in json.loads(run(f"bridge -j vlan show dev {port}")):
        for vlan in entry["vlans"]:
            for number in range(vlan["vlan"], vlan.get("vlanEnd", vlan["vlan"]) + 1):
                found[number] = set(vlan.get("flags", ()))
    return found


NATIVE = {"PVID", "Egress Untagged"}


def answers(address: str, netns: str = "", *, within: float = 1) -> bool:
    """Whether ADDRESS answers a ping; the first that is answered ends it."""
    argv = ["ping", "-c", "1", "-W", str(within), address]
    if netns:
        argv = ["nsenter", f"--net=/run/netns/{netns}", *argv]
    return subprocess.run(argv, capture_output=True).returncode == 0


# --- vlan -----------------------------------------------------------------------


@in_host
def test_the_gateway_stands_in_the_vlan() -> None:
    wanted = in_vlan(20)
    runtime = container("c1")
    result = add(wanted, runtime)
    names = [one["name"] for one in result["interfaces"]]
    assert (names[0], names[3]) == ("cni0", "cni0.20")
    (leg,) = ip("addr show cni0.20")
    assert leg["address"] == result["interfaces"][3]["mac"]
    assert {"10.20.0.1", "fd00:20::1"} <= {one["local"] for one in leg["addr_info"]}
    (bridge,) = ip("-d addr show cni0")
    assert bridge["linkinfo"]["info_data"]["vlan_filtering"] == 1
    assert [one["local"] for one in bridge["addr_info"] if one["scope"] == "global"] == []
    assert vlans(result)[20] == NATIVE
    # At once, in both families and both ways.
    for address in ("10.20.0.1", "fd00:20::1"):
        assert answers(address, "c1"), address
    for address in ("10.20.0.2", "fd00:20::2"):
        assert answers(address), address
    succeed("CHECK", {**wanted, "prevResult": result}, runtime)


@in_host
def test_two_vlans_of_a_bridge_do_not_hear_each_other() -> None:
    for name, vlan in (("c1", 20), ("c2", 20), ("c3", 30)):
        add({**LAYER_2, "vlan": vlan}, container(name))
    add({**LAYER_2, "vlan": 30}, container("c4"))
    ears = {name: wire("eth0", name) for name in ("c2", "c3")}
    shout("c1", b"of twenty", b"end")
    assert heard(ears["c2"]) == [b"of twenty"]
    shout("c4", b"of thirty", b"end")
    assert heard(ears["c3"]) == [b"of thirty"]


@in_host
def test_one_subnet_in_two_vlans_is_two_networks() -> None:
    """The same addresses' neighbours: whom a container reaches is a matter of its VLAN alone."""
    for name, vlan, address in (
        ("c1", 20, "10.1.0.1"),
        ("c2", 20, "10.1.0.2"),
        ("c3", 30, "10.1.0.3"),
    ):
        static = {"type": "static", "addresses": [{"address": f"{address}/24"}]}
        add({**LAYER_2, "vlan": vlan, "ipam": static}, container(name))
    assert answers("10.1.0.2", "c1")
    assert not answers("10.1.0.3", "c1")
    assert not answers("10.1.0.1", "c3")


@in_host
def test_two_vlans_have_a_gateway_each() -> None:
    results = {vlan: add(in_vlan(vlan), container(f"c{vlan}")) for vlan in (20, 30)}
    for vlan in results:
        for other in results:
            assert answers(f"10.{vlan}.0.1", f"c{other}")  # routed, where it is another's
    assert {one["ifname"] for one in ip("link")} >= {"cni0", "cni0.20", "cni0.30"}


@in_host
def test_who_leaves_leaves_the_leg_to_the_others() -> None:
    wanted = in_vlan(20)
    before = rest()
    one, two = container("c1"), container("c2")
    add(wanted, one), add(wanted, two)
    succeed("DEL", wanted, one)
    assert answers("10.20.0.1", "c2")
    succeed("DEL", wanted, two)
    kept = but_kept(nothing_left(before, rest()))
    assert [line for line in kept if "cni0" not in line] == []
    assert [line for line in kept if "cni0.20" in line] == []


@in_host
def test_a_bridge_that_is_there_begins_to_filter() -> None:
    plain = add(LAYER_2, container("c1"))
    wanted = {**LAYER_2, "vlan": 20}
    add(wanted, container("c2"))
    add(LAYER_2, container("c3"))
    ear = wire("eth0", "c1")
    shout("c2", b"of twenty")
    shout("c3", b"end")
    assert heard(ear) == []
    assert vlans(plain) == {DEFAULT_VLAN: NATIVE}


@in_host
def test_the_default_vlan_stays_or_goes() -> None:
    """It goes unless it is asked for, as with the reference plugin since 2025."""
    wanted = {**LAYER_2, "vlan": 20, "preserveDefaultVlan": True}
    assert vlans(add(wanted, container("c1"))) == {20: NATIVE, DEFAULT_VLAN: {"Egress Untagged"}}
    assert vlans(add({**LAYER_2, "vlan": 20}, container("c2"))) == {20: NATIVE}


@in_host
def test_beside_the_default_vlan_its_broadcasts_are_heard() -> None:
    """What `preserveDefaultVlan` means, and why who wants to be apart does not set it."""
    add({**LAYER_2, "vlan": 20, "preserveDefaultVlan": True}, container("c1"))
    add({**LAYER_2, "vlan": 20}, container("c2"))
    add(LAYER_2, container("c3"))
    add({**LAYER_2, "vlan": 20}, container("c4"))
    ears = {name: wire("eth0", name) for name in ("c1", "c2")}
    shout("c3", b"of one")
    shout("c4", b"end")
    assert heard(ears["c1"]) == [b"of one"]
    assert heard(ears["c2"]) == []


@pytest.mark.parametrize(
    "what, words",
    [
        ("bridge vlan del dev {port} vid 20", "{port}|20"),
        ("bridge vlan add dev {port} vid 21 pvid untagged", "{port}|20"),
        ("ip link set cni0.20 down", "cni0.20|down"),
        ("ip addr del 10.20.0.1/24 dev cni0.20", "10.20.0.1/24"),
        ("ip link del cni0.20", "cni0.20"),
        ("ip link set cni0 type bridge vlan_filtering 0", "cni0|vlan"),
    ],
)
@in_host
def test_check_sees_what_changed(what: str, words: str) -> None:
    wanted = in_vlan(20)
    runtime = container("c1")
    result = add(wanted, runtime)
    port = result["interfaces"][1]["name"]
    run(what.format(port=port))
    error = the_error(drive.call("CHECK", {**wanted, "prevResult": result}, runtime))
    assert error["code"] == 101
    for word in words.format(port=port).split("|"):
        assert word in error["msg"], (word, error)


@in_host
def test_the_next_add_repairs_the_leg() -> None:
    wanted = in_vlan(20)
    add(wanted, container("c1"))
    for damage in ("ip link set cni0.20 down", "ip link del cni0.20"):
        run(damage)
        name = f"c{len(damage)}"
        add(wanted, container(name))
        for address in ("10.20.0.1", "fd00:20::1"):
            assert answers(address, name), (damage, address)


@in_host
def test_a_container_can_not_advertise_routes_to_the_host() -> None:
    ipam = {"type": "host-local", "subnet": "10.20.0.0/24"}
    add(in_vlan(20, ipam=ipam), container("c1"))
    # By name: some modules, once loaded, put an interface into every namespace.
    ours = [name for link in ip("link") if (name := link["ifname"]).startswith(("cni0", "veth"))]
    assert len(ours) == 4, ours  # the bridge, its leg with its port, and the container's port
    for name in ours:
        key = f"/proc/sys/net/ipv6/conf/{name}/accept_ra"
        assert run(f"cat {key}").strip() == "0", name


@in_host
def test_an_administrators_vlan_interface_is_the_leg() -> None:
    run("ip link add cni0 type bridge vlan_filtering 1")
    run("ip link set cni0 up")
    run("ip link add link cni0 name cni0.20 type vlan id 20")
    run("bridge vlan add dev cni0 vid 20 self")
    run("ip link set cni0.20 up")
    before = {link["ifname"] for link in ip("link")}
    wanted = in_vlan(20)
    runtime = container("c1")
    result = add(wanted, runtime)
    told = result["interfaces"][3]
    assert (told["name"], told["mac"]) == ("cni0.20", ip("link show cni0.20")[0]["address"])
    assert answers("10.20.0.1", "c1") and answers("fd00:20::1", "c1")
    succeed("CHECK", {**wanted, "prevResult": result}, runtime)
    succeed("DEL", wanted, runtime)
    assert {link["ifname"] for link in ip("link")} == before


def test_a_published_port_leads_into_a_vlan(lab: Lab, host: Host) -> None:
    outside = Internet(lab, host).outside
    c1 = Served(lab, host, "c1", in_vlan(20))
    c1.publish(both(8080))
    for family in FAMILIES.values():
        for protocol in ("tcp", "udp"):
            assert seen(outside, protocol, HOST_ADDRESSES[family], 8080), (protocol, family)
    assert seen(host, "tcp", "127.0.0.1", 8080), "by loopback"
    assert seen(outside, "tcp", HOST_ADDRESSES[V4], SERVER) == "", "not published"


def test_out_of_a_vlan_by_masquerade(lab: Lab, host: Host) -> None:
    internet = Internet(lab, host)
    made = host.container("c1")
    host.call(add, in_vlan(20), Runtime("c1", made.path))
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(made, family) == address


# --- vlanTrunk ------------------------------------------------------------------


@in_host
def test_tagged_traffic_of_the_trunks_vlans_and_of_no_others() -> None:
    """A container with VLAN interfaces of its own: a router, or a virtual machine."""
    result = add(trunk({"minID": 20, "maxID": 21}, {"id": 40}), container("c1"))
    assert {vlan for vlan, flags in vlans(result).items() if not flags} == {20, 21, 40}
    for vlan in (20, 21, 30, 40):
        run(f"ip link add link eth0 name eth0.{vlan} type vlan id {vlan}", netns="c1")
        run(f"ip addr add 10.{vlan}.0.1/24 dev eth0.{vlan}", netns="c1")
        run(f"ip link set eth0.{vlan} up", netns="c1")
        static = {"type": "static", "addresses": [{"address": f"10.{vlan}.0.2/24"}]}
        add({**LAYER_2, "vlan": vlan, "ipam": static}, container(f"in{vlan}"))
    found = {vlan: answers(f"10.{vlan}.0.2", "c1") for vlan in (20, 21, 30, 40)}
    assert found == {20: True, 21: True, 30: False, 40: True}


@in_host
def test_two_trunks_meet_in_the_vlan_both_have() -> None:
    for name, last, address in (("c1", 21, 1), ("c2", 20, 2)):
        add(trunk({"minID": 20, "maxID": last}), container(name))
        for vlan in (20, 21):
            run(f"ip link add link eth0 name eth0.{vlan} type vlan id {vlan}", netns=name)
            run(f"ip addr add 10.{vlan}.0.{address}/24 dev eth0.{vlan}", netns=name)
            run(f"ip link set eth0.{vlan} up", netns=name)
    assert answers("10.20.0.2", "c1")
    assert not answers("10.21.0.2", "c1")


@in_host
def test_untagged_traffic_of_a_trunk_belongs_to_its_vlan() -> None:
    add(trunk({"id": 30}, vlan=20), container("c1"))
    add({**LAYER_2, "vlan": 20}, container("c2"))
    add({**LAYER_2, "vlan": 30}, container("c3"))
    add({**LAYER_2, "vlan": 30}, container("c4"))
    ears = {name: wire("eth0", name) for name in ("c2", "c3")}
    shout("c1", b"untagged", b"end")
    assert heard(ears["c2"]) == [b"untagged"]
    shout("c4", b"end")
    assert heard(ears["c3"]) == []


@pytest.mark.parametrize("default", [DEFAULT_VLAN, 5, 0])
@in_host
def test_a_trunk_alone_is_untagged_in_the_default_vlan_though_that_goes(default: int) -> None:
    run(f"ip link add cni0 type bridge vlan_filtering 1 vlan_default_pvid {default}")
    wanted = trunk({"minID": 20, "maxID": 21}, preserveDefaultVlan=False)
    runtime = container("c1")
    result = add(wanted, runtime)
    found = vlans(result)
    assert found[DEFAULT_VLAN] == NATIVE
    assert {vlan for vlan, flags in found.items() if not flags} == {20, 21}
    succeed("CHECK", {**wanted, "prevResult": result}, runtime)
    run(f"bridge vlan del dev {result['interfaces'][1]['name']} vid {DEFAULT_VLAN}")
    error = the_error(drive.call("CHECK", {**wanted, "prevResult": result}, runtime))
    assert (error["code"], "pvid" in error["msg"]) == (101, True), error


@in_host
def test_untagged_traffic_of_a_trunk_alone() -> None:
    """With whom it is: those who asked for no VLAN."""
    add(trunk({"id": 20}, preserveDefaultVlan=False), container("c1"))
    add(LAYER_2, container("c2"))
    ear = wire("eth0", "c2")
    shout("c1", b"untagged", b"end")
    assert heard(ear) == [b"untagged"]


@in_host
def test_a_trunks_untagged_vlan_may_be_one_of_its_range() -> None:
    wanted = trunk({"minID": 20, "maxID": 22}, vlan=21, preserveDefaultVlan=False)
    runtime = container("c1")
    result = add(wanted, runtime)
    assert vlans(result) == {20: set(), 21: NATIVE, 22: set()}
    succeed("CHECK", {**wanted, "prevResult": result}, runtime)


@in_host
def test_check_sees_that_the_trunk_lacks_a_vlan() -> None:
    wanted = trunk({"minID": 20, "maxID": 22})
    runtime = container("c1")
    result = add(wanted, runtime)
    succeed("CHECK", {**wanted, "prevResult": result}, runtime)
    port = result["interfaces"][1]["name"]
    run(f"bridge vlan del dev {port} vid 21")
    error = the_error(drive.call("CHECK", {**wanted, "prevResult": result}, runtime))
    assert error["code"] == 101
    assert port in error["msg"] and "VLAN 21" in error["msg"]


@in_host
def test_the_whole_range_at_once() -> None:
    found = vlans(add(trunk({"minID": 2, "maxID": 4094}), container("c1")))
    assert set(found) == set(range(1, 4095))


def shout(netns: str, *texts: bytes) -> None:
    """Broadcasts of the container's, untagged."""
    (link,) = ip("link show eth0", netns)
    with wire("eth0", netns) as sender:
        for text in texts:
            sender.send(frame(link["address"], BROADCAST, text))
