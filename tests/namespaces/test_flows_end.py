"""What an address began, or others with it, ends with its container: the next has none of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from drive import BRIDGE, FIREWALL
from scenes import add, container, in_host, run, succeed

from pynet.kernel import namespaces
from pynet.kernel.nft.table import Table
from pynet.testnets.lab.lab import Host

FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
ONE_ADDRESS: dict[str, Any] = {
    **BRIDGE,
    "ipMasq": False,
    "ipam": {
        "type": "host-local",
        "ranges": [
            [{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.2", "rangeEnd": "10.1.0.2"}],
            [{"subnet": "fd00:1::/64", "rangeStart": "fd00:1::2", "rangeEnd": "fd00:1::2"}],
        ],
    },
}
OTHER: dict[str, Any] = {
    **BRIDGE,
    "name": "db",
    "bridge": "cni1",
    "ipMasq": False,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00:2::/64"}]],
    },
}
CONTAINER = {socket.AF_INET: "10.1.0.2", socket.AF_INET6: "fd00:1::2"}
PEER = {socket.AF_INET: "10.2.0.2", socket.AF_INET6: "fd00:2::2"}


TRACKED = """
add table inet t
add chain inet t o { type filter hook output priority raw; }
add rule inet t o udp dport 7777 ct original zone set 5
add chain inet t p { type filter hook prerouting priority -100; }
add rule inet t p ct state new
"""


def prepare() -> None:
    """A host that has connections tracked from the beginning, without waiting for addresses."""
    for key in ("default", "all"):
        run(f"sysctl -qw net.ipv6.conf.{key}.accept_dad=0")
    Path("/run/t.nft").write_text(TRACKED)
    run("nft -f /run/t.nft")


@contextmanager
def sockets(netns: str, family: int, *ports: int) -> Iterator[list[socket.socket]]:
    """UDP sockets in a namespace, one a port."""
    opened = []
    descriptor = namespaces.open_namespace(netns)
    with namespaces.entered(descriptor):
        for port in ports:
            opened.append(socket.socket(family, socket.SOCK_DGRAM))
            opened[-1].bind(("", port))
            opened[-1].settimeout(5)
    os.close(descriptor)
    yield opened
    for each in opened:
        each.close()


def exchange(sender: socket.socket, to: str, receiver: socket.socket) -> None:
    """A datagram, and its answer."""
    sender.sendto(b"?", (to, receiver.getsockname()[1]))
    _, back = receiver.recvfrom(9)
    receiver.sendto(b"!", back)
    assert sender.recv(9) == b"!"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_next_holder_is_reached_by_no_flow_of_the_former(host: Host, family: int) -> None:
    host.call(former_and_next, family)


def former_and_next(family: int) -> None:
    """`peer` has begun a flow with the former, and answers one that the former has begun."""
    address, away = CONTAINER[family], PEER[family]
    prepare()
    former, following, peer = container("former"), container("next"), container("peer")
    add(ONE_ADDRESS, former)
    add(OTHER, peer)
    with sockets(peer.netns, family, 4000, 4001, 4002) as (to_him, from_him, control):
        with sockets(former.netns, family, 5000, 5001) as (called, calling):
            exchange(to_him, address, called)
            exchange(calling, away, from_him)
            exchange(to_him, address, called)
        succeed("DEL", ONE_ADDRESS, former)
        isolated = {**FIREWALL, "prevResult": add(ONE_ADDRESS, following)}
        add(isolated, following)
        with sockets(following.netns, family, 5000, 5001, 5002) as (called, calling, asking):
            exchange(asking, away, control)
            for each, port in ((to_him, 5000), (from_him, 5001), (control, 5002)):
                each.sendto(b"...", (address, port))
            assert asking.recv(9) == b"...", "what it has begun itself goes on"
            for each in (called, calling):
                each.setblocking(False)
                with pytest.raises(BlockingIOError):
                    each.recv(9)
        for config in (isolated, ONE_ADDRESS):
            succeed("DEL", config, following)
    succeed("DEL", OTHER, peer)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_closing_an_address_ends_what_others_have_begun(host: Host, family: int) -> None:
    host.call(closed_under_way, family)


def closed_under_way(family: int) -> None:
    address, away = CONTAINER[family], PEER[family]
    prepare()
    one, peer = container("one"), container("peer")
    isolated = {**FIREWALL, "prevResult": add(ONE_ADDRESS, one)}
    add(OTHER, peer)
    with (
        sockets(peer.netns, family, 4000, 4001) as (to_him, from_him),
        sockets(one.netns, family, 5000, 5001) as (called, calling),
    ):
        exchange(to_him, address, called)
        exchange(calling, away, from_him)
        add(isolated, one)
        to_him.sendto(b"...", (address, 5000))
        from_him.sendto(b"...", (address, 5001))
        assert calling.recv(9) == b"...", "what it has begun itself goes on"
        called.setblocking(False)
        with pytest.raises(BlockingIOError):
            called.recv(9)
    for config in (isolated, ONE_ADDRESS):
        succeed("DEL", config, one)
    succeed("DEL", OTHER, peer)


# --- which ------------------------------------------------------------------------------


@in_host
def test_those_of_the_address_and_zone_end_and_no_others() -> None:
    run("ip link set lo up")
    for number in (1, 2):
        run(f"ip addr add 10.9.0.{number}/32 dev lo")
        run(f"ip addr add fd00::{number}/128 dev lo nodad")
    prepare()
    own = namespaces.own()
    table = Table(own)
    for first, second in (("10.9.0.1", "10.9.0.2"), ("fd00::1", "fd00::2")):
        pairs = {(a, b, port) for a, b in ((first, second), (second, first), (second, second))
                 for port in (1234, 7777)}  # fmt: skip
        for pair in pairs:
            _send(*pair)
        assert tracked(first, second) == pairs
        table.flows.end([first])
        left = {(first, second, 7777), (second, second, 1234), (second, second, 7777)}
        assert tracked(first, second) == left
        table.flows.end([first], 5)
        assert tracked(first, second) == left - {(first, second, 7777)}
        table.flows.end([second], 5)
        assert tracked(first, second) == set(), "what others begin with it ends in every zone"
    table.close()
    os.close(own)


def _send(source: str, destination: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as into:
        into.bind((destination, port))
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            out.bind((source, 0))
            out.sendto(b"?", (destination, port))
            into.recv(9)


def tracked(*addresses: str) -> set[tuple[str, str, int]]:
    """(source, destination, port) of the flows between these, by the kernel's own text."""
    from ipaddress import ip_address

    found = set()
    for line in Path("/proc/net/nf_conntrack").read_text().splitlines():
        words = dict(word.split("=") for word in reversed(line.split()) if "=" in word)
        ends = str(ip_address(words["src"])), str(ip_address(words["dst"]))
        if set(ends) <= set(addresses):
            found.add((*ends, int(words["dport"])))
    return found
