"""What the others on a bridge hear of a container that comes or goes: it is copied to each of them.
And that link-local addresses and router advertisements work where they do with the reference.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import Any

import pytest
from bridges import ADDRESSED, Config, config, sysctl, with_result
from drive import call
from hostile import (
    ALL_NODES,
    END,
    IPV6,
    SOLICIT,
    frame,
    link_mac,
    mac,
    multicast_mac,
    router_advert,
    send,
)
from scenes import (
    BROADCAST,
    ETHERTYPE,
    PATIENCE,
    add,
    container,
    entered,
    in_host,
    ip,
    run,
    succeed,
    the_error,
    wait_for,
)

V4: Config = config(ipam={"type": "host-local", "subnet": "10.1.0.0/24"}, isDefaultGateway=True)
DUAL: Config = {**ADDRESSED, "isDefaultGateway": True}
ROUTER_SOLICIT, LISTENER_REPORT = 133, 143
LATER = 0.3
"""Seconds in which what was set off is sent, but for the repetitions."""


class Neighbour:
    """A container of the network, and the kinds of all that comes in there."""

    def __init__(self, name: str, wanted: Config) -> None:
        self.name = name
        add(wanted, container(name))
        own(name)
        time.sleep(2 * LATER)  # its own groups are joined
        with entered(name):
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._sock.bind(("eth0", 3))
        self._sock.settimeout(PATIENCE)
        self._bridge = mac(link_mac("cni0"))

    def heard(self) -> Counter[int]:
        """Since the last call: types of ICMPv6, and EtherTypes of all else.

        Not what the bridge says by itself when it has come up.
        """
        found: Counter[int] = Counter()
        _end()
        while True:
            data, told = self._sock.recvfrom(2000)
            if END in data:
                return found
            if told[2] != socket.PACKET_OUTGOING and data[6:12] != self._bridge:
                found[_kind(data)] += 1


def _kind(data: bytes) -> int:
    protocol = int.from_bytes(data[12:14])
    if protocol != IPV6:
        return protocol
    return data[62] if data[20] == 0 else data[54]  # 0: behind a hop-by-hop header


def _end() -> None:
    """END from the host to all ports, by the way that all else has taken."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("cni0", 0))
        sock.send(frame(link_mac("cni0"), BROADCAST, END.ljust(46), ETHERTYPE))


def own(netns: str, *, dev: str = "eth0") -> str:
    """The link-local address there, once it is usable."""

    def listed() -> list[str]:
        found = ip(f"-6 addr show dev {dev} scope link -tentative", netns) or []
        return [each["local"] for link in found for each in link.get("addr_info", ()) if each]

    wait_for(lambda: bool(listed()))
    return listed()[0]


def reaches(netns: str, address: str) -> None:
    run(f"ping -6 -c 1 -W 3 {address}%eth0", netns=netns)


def advertise(netns: str) -> str:
    """As a router does; its address."""
    source, at = own(netns), link_mac("eth0", netns)
    send(netns, [frame(at, multicast_mac(ALL_NODES), router_advert(source, at))])
    return source


def gateways(netns: str) -> list[str]:
    return [route["gateway"] for route in ip("-6 route show default", netns) or ()]


# --- who comes and goes ----------------------------------------------------------------


@pytest.mark.parametrize("wanted", [V4, DUAL], ids=["IPv4", "both"])
@in_host
def test_who_comes_asks_nobody_anything_and_who_goes_says_nothing(wanted: Config) -> None:
    neighbour, runtime = Neighbour("c1", wanted), container("c2")
    add(wanted, runtime)
    own("c2")
    time.sleep(LATER)
    came = neighbour.heard()
    assert set(came) <= {LISTENER_REPORT} and came.total() <= 6
    time.sleep(1)  # the reports are repeated once: RFC 3810, section 9.11
    neighbour.heard()
    succeed("DEL", wanted, runtime)
    assert neighbour.heard() == Counter()


@in_host
def test_duplicates_are_looked_for_where_that_is_asked() -> None:
    wanted = {**V4, "enabledad": True}
    neighbour = Neighbour("c1", wanted)
    add(wanted, container("c2"))
    for key in ("accept_dad", "enhanced_dad"):
        assert sysctl(f"ipv6/conf/eth0/{key}", "c2") == "1"
    own("c2")
    assert neighbour.heard()[SOLICIT] == 1


# --- what works as ever ------------------------------------------------------------------


@in_host
def test_link_local_addresses_of_an_ipv4_network_are_usable_at_once() -> None:
    for name in ("c1", "c2"):
        add(V4, container(name))
    reaches("c2", own("c1"))
    reaches("c2", own("", dev="cni0"))


@in_host
def test_who_has_ipv6_only_later_has_it_then() -> None:
    add(V4, container("c1"))
    late = container("c2")
    run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1", netns="c2")
    result = add(V4, late)
    assert ip("-6 addr show dev eth0", "c2") in (None, [])
    run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0", netns="c2")
    reaches("c1", own("c2"))
    succeed("CHECK", with_result(V4, result), late)


def _of_others(**keys: Any) -> Config:
    run("ip link add cni0 type bridge")
    run("ip link set cni0 up")
    return {**V4, "isDefaultGateway": False, **keys}


@pytest.mark.parametrize("keys", [{}, {"isGateway": True}], ids=["no gateway", "gateway"])
@in_host
def test_on_a_bridge_of_somebody_else_s_routers_are_asked(keys: dict[str, Any]) -> None:
    wanted = _of_others(**keys)
    neighbour = Neighbour("c1", wanted)
    add(wanted, container("c2"))
    heard: Counter[int] = Counter()

    def asked() -> bool:
        heard.update(neighbour.heard())
        return heard[ROUTER_SOLICIT] > 0

    wait_for(asked)
    assert heard[SOLICIT] == 0
    router = advertise("c1")
    wait_for(lambda: gateways("c2") == [router])


@in_host
def test_without_a_gateway_routers_are_asked_on_a_bridge_of_ours_too() -> None:
    add({**V4, "isDefaultGateway": False}, container("c1"))
    assert sysctl("ipv6/conf/eth0/router_solicitations", "c1") != "0"


@in_host
def test_what_a_router_says_unasked_is_taken() -> None:
    for name in ("c1", "c2"):
        add(V4, container(name))
    assert sysctl("ipv6/conf/eth0/router_solicitations", "c2") == "0"
    own("c2")
    router = advertise("c1")
    wait_for(lambda: gateways("c2") == [router])


# --- the host's end -----------------------------------------------------------------------


@in_host
def test_the_host_has_no_ipv6_on_a_port_and_that_is_checked() -> None:
    runtime = container("c1")
    result = add(DUAL, runtime)
    port = result["interfaces"][1]["name"]
    own("c1")
    wait_for(lambda: "LOWER_UP" in run(f"ip link show {port}"))
    assert ip(f"-6 addr show dev {port}") in (None, [])
    assert ip(f"-6 route show table all dev {port}") in (None, [])
    reaches("c1", own("", dev="cni0"))
    succeed("CHECK", with_result(DUAL, result), runtime)
    run(f"sysctl -qw net.ipv6.conf.{port}.disable_ipv6=0")
    error = the_error(call("CHECK", with_result(DUAL, result), runtime))
    assert f"net/ipv6/conf/{port}/disable_ipv6" in str(error)
    succeed("DEL", DUAL, runtime)
