"""What the rules do to packets: whose source is changed, and whose frames are dropped."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest

from pynet.kernel import namespaces
from pynet.kernel.nft.table import Table
from pynet.model.resources import Element, MasqueradePrefix, SharedElement
from pynet.testnets.lab.lab import Container, Host, Lab

PORT = 4000
ETHERTYPE = 0x88B5  # IEEE 802: for local experiments
MACS = {"c1": "02:00:00:00:00:01", "c2": "02:00:00:00:00:02"}


@dataclass(frozen=True)
class Addresses:
    """One IP family's addresses in the lab; containers are on the host by single routes."""

    family: socket.AddressFamily
    bits: int
    prefix: MasqueradePrefix
    network: str
    gateway: str
    c1: str
    c2: str
    near: str  # the host's, towards the outside
    far: str
    group: str

    @property
    def version(self) -> int:
        return self.prefix.family

    def resources(self, container: str) -> list[SharedElement]:
        return [
            SharedElement(
                set=f"network{self.version}_{self.prefix.length}", item=(self.network,) * 2
            ),
            SharedElement(set=f"masquerade{self.version}", item=(container,)),
        ]


V4 = Addresses(
    socket.AF_INET, 32, MasqueradePrefix(family=4, length=16),
    "10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.200.3", "192.0.2.1", "192.0.2.2", "239.1.1.1",
)  # fmt: skip
V6 = Addresses(
    socket.AF_INET6, 128, MasqueradePrefix(family=6, length=64),
    "fd00:1::", "fd00:1::1", "fd00:1::2", "fd00:1::3", "2001:db8::1", "2001:db8::2", "ff05::1:3",
)  # fmt: skip
BOTH = pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])


class Site:
    """A router host with containers c1 and c2, and an outside host behind it."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self.host = lab.host("router")
        self.outside = lab.host("outside")
        for place in (self.host, self.outside):
            place.run(["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
        self.host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
        near = [f"{V4.near}/24", f"{V6.near}/64"]
        far = [f"{V4.far}/24", f"{V6.far}/64"]
        lab.wire(self.host, "up", self.outside, "down", addresses=(near, far))
        self.outside.run(["ip", "route", "add", "10.1.0.0/16", "via", V4.near])
        self.outside.run(["ip", "route", "add", "fd00:1::/64", "via", V6.near])
        self._stack = stack
        self.namespace = self._open(self.host, f"/proc/{self.host.pid}/ns/net")
        self.far = self._open(self.outside, f"/proc/{self.outside.pid}/ns/net")
        self.containers = {name: self._container(name) for name in ("c1", "c2")}
        self.table = Table(self.namespace)
        stack.callback(self.table.close)

    def _open(self, host: Host, path: str) -> int:
        descriptor = namespaces.open_namespace(path)
        self._stack.callback(os.close, descriptor)
        return descriptor

    def _container(self, name: str) -> int:
        container = self.host.container(name)
        container.run(["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
        self.host.run(
            ["ip", "link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0",
             "address", MACS[name], "netns", name]
        )  # fmt: skip
        self.host.run(["ip", "link", "set", f"v-{name}", "up"])
        container.run(["ip", "link", "set", "eth0", "up"])
        for addresses in (V4, V6):
            self._route(container, name, addresses)
        return self._open(self.host, f"/proc/{self.host.pid}/root{container.path}")

    def _route(self, container: Container, name: str, addresses: Addresses) -> None:
        own, bits = getattr(addresses, name), addresses.bits
        nodad = ["nodad"] if addresses.version == 6 else []
        device = f"v-{name}"
        self.host.run(["ip", "addr", "add", f"{addresses.gateway}/{bits}", "dev", device, *nodad])
        self.host.run(["ip", "route", "add", f"{own}/{bits}", "dev", device])
        container.run(["ip", "addr", "add", f"{own}/{bits}", "dev", "eth0", *nodad])
        container.run(["ip", "route", "add", f"{addresses.gateway}/{bits}", "dev", "eth0"])
        via = ["via", addresses.gateway, "dev", "eth0", "onlink"]
        container.run(["ip", f"-{addresses.version}", "route", "add", "default", *via])


@pytest.fixture
def site(lab: Lab) -> Iterator[Site]:
    if os.geteuid():
        pytest.skip("needs root, to enter another user's network namespace")
    with ExitStack() as stack:
        yield Site(lab, stack)


@contextmanager
def _socket(namespace: int, family: int, kind: int, protocol: int = 0) -> Iterator[socket.socket]:
    """A socket that stays in `namespace`."""
    with namespaces.entered(namespace):
        opened = socket.socket(family, kind, protocol)
    with opened:
        opened.settimeout(5)
        yield opened


def seen_by(into: socket.socket, out: socket.socket, destination: str) -> str:
    """The source address that `into` sees of what `out` sends to it, at `destination`.

    It is sent until it comes: on a busy machine a neighbour is given up before he has answered.
    """
    into.settimeout(0.5)
    word = os.urandom(8)  # what was sent earlier may still come
    for _ in range(60):
        out.sendto(word, (destination, into.getsockname()[1]))
        with suppress(TimeoutError):
            while True:
                data, source = into.recvfrom(16)
                if data == word:
                    return str(source[0])
    raise AssertionError(f"nothing has come to {destination}")


def source_seen(sender: int, source: str, receiver: int, destination: str, via: str = "") -> str:
    """The source address that `receiver` sees of a datagram to `destination`.

    `via` is the sender's interface for a multicast one, which the receiver then joins.
    """
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with (
        _socket(sender, family, socket.SOCK_DGRAM) as out,
        _socket(receiver, family, socket.SOCK_DGRAM) as into,
    ):
        into.bind(("", PORT))
        if via:
            with namespaces.entered(receiver):
                _join(into, destination, socket.if_nametoindex("down"))
            with namespaces.entered(sender):
                _send_through(out, socket.if_nametoindex(via))
        out.bind((source, 0))
        return seen_by(into, out, destination)


def _join(into: socket.socket, group: str, index: int) -> None:
    raw = socket.inet_pton(into.family, group)
    if into.family == socket.AF_INET6:
        option = raw + index.to_bytes(4, sys.byteorder)
        into.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, option)
    else:
        option = raw + bytes(4) + index.to_bytes(4, sys.byteorder)
        into.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, option)


def _send_through(out: socket.socket, index: int) -> None:
    if out.family == socket.AF_INET6:
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    else:
        option = bytes(8) + index.to_bytes(4, sys.byteorder)
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, option)


@BOTH
def test_traffic_that_leaves_the_network_is_masqueraded(site: Site, family: Addresses) -> None:
    c1 = site.containers["c1"]
    assert source_seen(c1, family.c1, site.far, family.far) == family.c1
    site.table.ensure([family.prefix], family.resources(family.c1))
    assert source_seen(c1, family.c1, site.far, family.far) == family.near


@BOTH
def test_traffic_within_the_network_keeps_its_source(site: Site, family: Addresses) -> None:
    c1, c2 = site.containers["c1"], site.containers["c2"]
    network, container = family.resources(family.c1)
    site.table.ensure([family.prefix], [container])
    assert source_seen(c1, family.c1, c2, family.c2) == family.gateway, "the lab shows no change"
    site.table.create([network])
    assert source_seen(c1, family.c1, c2, family.c2) == family.c1


@BOTH
def test_multicast_keeps_its_source(site: Site, family: Addresses) -> None:
    own = "10.1.0.9" if family is V4 else "fd00:1::9"
    site.host.run(["ip", "addr", "add", f"{own}/{family.bits}", "dev", "lo"])
    site.table.ensure([family.prefix], family.resources(own))
    assert source_seen(site.namespace, own, site.far, family.far) == family.near
    assert source_seen(site.namespace, own, site.far, family.group, via="up") == own


@BOTH
def test_one_containers_end_leaves_the_other_masqueraded(site: Site, family: Addresses) -> None:
    network, first = family.resources(family.c1)
    _, second = family.resources(family.c2)
    site.table.ensure([family.prefix], [network, first, second])
    site.table.delete([first])
    c1, c2 = site.containers["c1"], site.containers["c2"]
    assert source_seen(c1, family.c1, site.far, family.far) == family.c1
    assert source_seen(c2, family.c2, site.far, family.far) == family.near


def test_a_guarded_port_sends_from_its_own_mac_only(site: Site) -> None:
    site.host.run(["ip", "link", "add", "br0", "type", "bridge"])
    site.host.run(["ip", "link", "set", "br0", "up"])
    for name in MACS:
        site.host.run(["ip", "link", "set", f"v-{name}", "master", "br0"])
    guard = [
        Element(set="allowed", item=("v-c1", MACS["c1"])),
        Element(set="guarded", item=("v-c1",)),
    ]
    site.table.ensure([], guard)
    assert _frames_let_through(site, "c1", "c2") == [b"own"]
    assert _frames_let_through(site, "c2", "c1") == [b"spoofed", b"own"]
    site.table.delete(guard)
    assert _frames_let_through(site, "c1", "c2") == [b"spoofed", b"own"]


def _frames_let_through(site: Site, sender: str, receiver: str) -> list[bytes]:
    """What arrives of a frame with a foreign source MAC and, after it, one with the own."""
    protocol = socket.htons(ETHERTYPE)
    with (
        _socket(site.containers[sender], socket.AF_PACKET, socket.SOCK_RAW, protocol) as out,
        _socket(site.containers[receiver], socket.AF_PACKET, socket.SOCK_RAW, protocol) as into,
    ):
        for opened, name in ((out, sender), (into, receiver)):
            with namespaces.entered(site.containers[name]):
                opened.bind(("eth0", ETHERTYPE))
        to = bytes.fromhex(MACS[receiver].replace(":", ""))
        foreign, own = b"\x02\xff\xff\xff\xff\xff", bytes.fromhex(MACS[sender].replace(":", ""))
        for source, payload in ((foreign, b"spoofed"), (own, b"own")):
            out.send(to + source + ETHERTYPE.to_bytes(2, "big") + payload.ljust(46, b"\0"))
        arrived: list[bytes] = []
        while b"own" not in arrived:
            arrived.append(into.recv(1500)[14:].rstrip(b"\0"))
        return arrived
