"""Who is told its routes by router advertisements, and by whom: the host keeps its own router, and
no container becomes it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Any

import drive
import pytest
from bridges import sysctl
from drive import Runtime
from evidence import nothing_left, rest
from hostile import ALL_NODES, frame, link_mac, multicast_mac, router_advert, send
from scenes import add, container, in_host, ip, run, succeed, the_error, wait_for

from pynet.engine.engine import Engine
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.request import Request

IPAM: dict[str, Any] = {"type": "host-local", "subnet": "10.1.0.0/24"}
NO_GATEWAY: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "bridge",
    "bridge": "br0",
    "ipam": IPAM,
}
FORWARDING = "ipv6/conf/all/forwarding"
ROUTER, ROUTER_MAC = "fe80::7", "02:00:00:00:00:07"
ADVERT = frame(ROUTER_MAC, multicast_mac(ALL_NODES), router_advert(ROUTER, ROUTER_MAC))


class Uplink:
    """`nic0`, a card of the host's: what a router out there sends comes in by it."""

    def __init__(self, bridge: str = "") -> None:
        tap = struct.pack("16sH22x", b"nic0", 0x1002)  # linux/if_tun.h: IFF_TAP, IFF_NO_PI
        self._fd = os.open("/dev/net/tun", os.O_RDWR)  # until this child ends
        fcntl.ioctl(self._fd, 0x400454CA, tap)  # TUNSETIFF
        self.name = bridge or "nic0"
        if bridge:
            run(f"ip link add {bridge} type bridge")
            run(f"ip link set nic0 master {bridge}")
            run(f"ip link set {bridge} up")
        run("ip link set nic0 up")
        wait_for(lambda: "LOWER_UP" in run(f"ip link show {self.name}"))

    def advertise(self) -> None:
        """Until the host has taken it."""
        os.write(self._fd, ADVERT)
        wait_for(lambda: way_out() == [(ROUTER, self.name)])


def way_out() -> list[tuple[str, str]]:
    found = ip("-6 route show default") or []
    return [(route["gateway"], route["dev"]) for route in found]


def accepted(name: str) -> str:
    return sysctl(f"ipv6/conf/{name}/accept_ra")


def become_the_host_s_router(runtime: Runtime, bridge: str) -> bool:
    """Whether it comes off."""
    name, mac = runtime.container, link_mac("eth0", runtime.container)
    source = own(name)
    send(name, [frame(mac, multicast_mac(ALL_NODES), router_advert(source, mac))])
    # What comes after it is answered after it.
    run(f"ping -6 -c 1 -W 3 {own('', bridge)}%eth0", netns=name)
    return (source, bridge) in way_out()


def quick(name: str = "") -> Runtime:
    """A container, or the host, whose link-local addresses are usable at once."""
    runtime = container(name) if name else Runtime()
    run("sysctl -qw net.ipv6.conf.default.accept_dad=0", netns=name)
    return runtime


def bridge_of_somebody_else_s() -> None:
    quick()
    run("ip link add br0 type bridge")
    run("ip link set br0 up")


def own(netns: str, interface: str = "eth0") -> str:
    """Its link-local address, once it is usable."""

    def listed() -> list[str]:
        found = ip(f"-6 addr show dev {interface} scope link -tentative", netns) or []
        told = [each for link in found for each in link.get("addr_info", ())]
        return [each["local"] for each in told if each]

    wait_for(lambda: bool(listed()))
    return listed()[0]


# --- the host's own router ------------------------------------------------------------------


@in_host
def test_the_first_container_with_ipv6_leaves_the_host_its_way_out() -> None:
    uplink = Uplink()
    uplink.advertise()
    assert (accepted("nic0"), sysctl(FORWARDING)) == ("1", "0")
    runtime = container("c1")
    result = add(drive.BRIDGE, runtime)
    assert sysctl(FORWARDING) == "1"
    assert way_out() == [(ROUTER, "nic0")]
    succeed("CHECK", {**drive.BRIDGE, "prevResult": result}, runtime)
    # It is taken as before, now and when the last container has gone: forwarding stays, too.
    for _ in ("with a container", "without"):
        run("ip -6 route del default")
        uplink.advertise()
        succeed("DEL", drive.BRIDGE, runtime)
        succeed("GC", {**drive.BRIDGE, "cni.dev/valid-attachments": []}, runtime)
        assert (accepted("nic0"), sysctl(FORWARDING)) == ("2", "1")


@in_host
def test_before_the_router_has_spoken_too() -> None:
    uplink = Uplink()
    add(drive.BRIDGE, container("c1"))
    uplink.advertise()


@in_host
def test_a_check_finds_that_the_host_will_lose_it_and_gc_mends_it() -> None:
    Uplink().advertise()
    runtime = container("c1")
    result = add(drive.BRIDGE, runtime)
    run("sysctl -qw net.ipv6.conf.nic0.accept_ra=1")
    outcome = drive.call("CHECK", {**drive.BRIDGE, "prevResult": result}, runtime)
    assert outcome.code == 101 and "nic0/accept_ra" in outcome.document["msg"]
    succeed("GC", drive.BRIDGE, runtime)
    assert accepted("nic0") == "2"
    succeed("CHECK", {**drive.BRIDGE, "prevResult": result}, runtime)


@in_host
def test_that_the_host_forwards_now_is_no_reason_to_plan_again() -> None:
    """What the plan has changed itself is not gone."""
    Uplink()
    attempts = []
    attempt = Engine._attempt

    def counted(self: Engine, plugin: Plugin, request: Request) -> Plan:
        attempts.append(plugin)
        return attempt(self, plugin, request)

    Engine._attempt = counted  # type: ignore[method-assign]
    unreachable = [{"dst": "20.0.0.0/8", "gw": "99.9.9.9"}]
    refused = {**drive.BRIDGE, "ipam": {**drive.BRIDGE["ipam"], "routes": unreachable}}
    assert "20.0.0.0/8" in the_error(drive.call("ADD", refused, container("c1")))["msg"]
    assert sysctl(FORWARDING) == "1"
    assert len(attempts) == 1


@pytest.mark.parametrize("found", ["0", "2"])
@in_host
def test_an_administrator_s_word_stands(found: str) -> None:
    Uplink()
    run(f"sysctl -qw net.ipv6.conf.nic0.accept_ra={found}")
    add(drive.BRIDGE, container("c1"))
    assert accepted("nic0") == found


@in_host
def test_where_nothing_changes_nothing_is_changed() -> None:
    Uplink()
    add(NO_GATEWAY, container("c1"))
    add({**NO_GATEWAY, "name": "gate", "bridge": "br1", "isGateway": True}, container("c2"))
    assert accepted("nic0") == "1"  # IPv4 alone
    run("sysctl -qw net.ipv6.conf.all.forwarding=1")
    add(drive.BRIDGE, container("c3"))
    assert accepted("nic0") == "1"  # the host took none before us


@in_host
def test_what_leads_to_containers_only_is_not_opened() -> None:
    run("ip link add docker0 type bridge")
    run("ip netns add theirs")
    run("ip link add theirs0 type veth peer name eth0 netns theirs")
    run("ip link add theirs1 type veth peer name eth1 netns theirs")
    run("ip link set theirs1 master docker0")
    add(drive.BRIDGE, container("c1"))
    assert {accepted(name) for name in ("docker0", "theirs0", "theirs1")} == {"1"}


@in_host
def test_a_host_that_is_a_container_itself_keeps_it_too() -> None:
    """Its uplink looks like a container's."""
    run("ip netns add outside")
    run("ip link add eth0 type veth peer name eth0 netns outside")
    run("ip link set eth0 up")
    run("ip -n outside link set eth0 up")
    send("outside", [ADVERT])
    wait_for(lambda: way_out() == [(ROUTER, "eth0")])
    add(drive.BRIDGE, container("c1"))
    assert way_out() == [(ROUTER, "eth0")]


# --- containers that would be it -------------------------------------------------------------


@pytest.mark.parametrize("gateway", [False, True])
@in_host
def test_on_a_bridge_of_somebody_else_s_no_container_becomes_the_host_s_router(
    gateway: bool,
) -> None:
    bridge_of_somebody_else_s()
    before = rest()
    network = {**NO_GATEWAY, "isGateway": gateway}
    first, second = quick("c1"), quick("c2")
    results = [add(network, one) for one in (first, second)]
    assert not become_the_host_s_router(first, "br0")
    succeed("CHECK", {**network, "prevResult": results[0]}, first)
    succeed("DEL", network, first)
    assert not become_the_host_s_router(second, "br0")
    succeed("DEL", network, second)
    assert accepted("br0") == "1"
    # That the bridge was found there is remembered, and with a gateway forwarding stays.
    left = [line for line in nothing_left(before, rest()) if not line.startswith("row shared")]
    assert gateway or left == []


@in_host
def test_without_that_it_would_be() -> None:
    bridge_of_somebody_else_s()
    runtime = quick("c1")
    add(NO_GATEWAY, runtime)
    run("sysctl -qw net.ipv6.conf.br0.accept_ra=1")
    assert become_the_host_s_router(runtime, "br0")


@in_host
def test_a_bridge_that_is_the_host_s_uplink_is_left_alone() -> None:
    uplink = Uplink(bridge="br0")
    uplink.advertise()
    runtime = container("c1")
    result = add(NO_GATEWAY, runtime)
    assert accepted("br0") == "1"
    assert way_out() == [(ROUTER, "br0")]
    succeed("CHECK", {**NO_GATEWAY, "prevResult": result}, runtime)
    # And where the host is made to forward, it stays the uplink.
    add({**drive.BRIDGE, "name": "dual"}, container("c2"))
    assert way_out() == [(ROUTER, "br0")]
    run("ip -6 route del default")
    uplink.advertise()


@in_host
def test_it_stays_the_uplink_where_it_is_the_gateway_of_containers() -> None:
    uplink = Uplink(bridge="br0")
    uplink.advertise()
    network = {**drive.BRIDGE, "bridge": "br0"}
    runtime = container("c1")
    result = add(network, runtime)
    assert (accepted("br0"), way_out()) == ("2", [(ROUTER, "br0")])
    succeed("CHECK", {**network, "prevResult": result}, runtime)
    run("ip -6 route del default")  # the router is away when the next one comes
    add(network, container("c2"))
    uplink.advertise()


@in_host
def test_a_bridge_with_a_card_by_which_nothing_is_advertised_is_closed() -> None:
    quick()
    Uplink(bridge="br0")
    runtime = quick("c1")
    add(NO_GATEWAY, runtime)
    assert not become_the_host_s_router(runtime, "br0")
