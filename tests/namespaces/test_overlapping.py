"""Two networks of one host with the same addresses: what is true of the one is not of the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import drive
import pytest
from published import SERVER, Served, both, seen
from test_nft_traffic import _socket, seen_by

from pynet.kernel import namespaces
from pynet.testnets.lab.lab import Lab

NEAR, FAR = ("192.0.2.1", "2001:db8::1"), ("192.0.2.2", "2001:db8::2")
SUBNETS = ("10.1.0.0/24", "fd00:1::/64")
PORT = 4444
SOURCE = 5555
BOTH = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])


def network(name: str, bridge: str, first: int = 2, **keys: Any) -> dict[str, Any]:
    """One of two whose containers get the same addresses, from `first` on."""
    starts = (f"10.1.0.{first}", f"fd00:1::{first}")
    ranges = [[{"subnet": s, "rangeStart": a}] for s, a in zip(SUBNETS, starts, strict=True)]
    ipam = {"type": "host-local", "ranges": ranges}
    return {**drive.BRIDGE, "name": name, "bridge": bridge, "ipam": ipam, **keys}


class Site:
    """A host, an outside that knows the way to its containers, and a server on both sides."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self.lab, self._stack = lab, stack
        self.host, self.outside = lab.host("h1"), lab.host("outside")
        for place in (self.host, self.outside):
            place.run(["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
        ends = [(f"{v4}/24", f"{v6}/64") for v4, v6 in (NEAR, FAR)]
        lab.wire(self.host, "up0", self.outside, "eth0", addresses=(ends[0], ends[1]))
        for subnet, near in zip(SUBNETS, NEAR, strict=True):
            self.outside.run(["ip", "route", "add", subnet, "via", near])
        self.far = self._open(f"/proc/{self.outside.pid}/ns/net")

    def _open(self, path: str) -> int:
        descriptor = namespaces.open_namespace(path)
        self._stack.callback(os.close, descriptor)
        return descriptor

    def attach(self, name: str, config: dict[str, Any]) -> Served:
        return Served(self.lab, self.host, name, config)

    def source(self, sender: Served, family: int) -> str:
        """Whom the outside takes a container for. Always from the same port."""
        kind = (socket.AF_INET, socket.AF_INET6)[family]
        within = self._open(f"/proc/{self.host.pid}/root{sender.container.path}")
        with (
            _socket(self.far, kind, socket.SOCK_DGRAM) as into,
            _socket(within, kind, socket.SOCK_DGRAM) as out,
        ):
            into.bind(("", PORT))
            out.bind(("", SOURCE))
            return seen_by(into, out, FAR[family])

    def nft(self, what: str) -> str:
        return self.host.run(["nft", "list", *what.split()]).stdout.decode()

    def detach(self, *all_served: Served) -> None:
        for served in all_served:
            outcome = self.host.call(drive.call, "DEL", served.bridge, served.runtime)
            assert outcome.status == 0, outcome.stdout


@pytest.fixture
def site(lab: Lab) -> Iterator[Site]:
    if os.geteuid():
        pytest.skip("needs root, to enter another user's network namespace")
    with ExitStack() as stack:
        yield Site(lab, stack)


@BOTH
@pytest.mark.parametrize("first", [True, False], ids=["masqueraded first", "masqueraded last"])
def test_only_the_network_that_asks_is_masqueraded(site: Site, family: int, first: bool) -> None:
    plain, masked = network("plain", "cni0", ipMasq=False), network("masked", "cni1", ipMasq=True)
    order = [masked, plain] if first else [plain, masked]
    ones = {config["name"]: site.attach(config["name"], config) for config in order}
    addresses = {name: [ip["address"] for ip in one.result["ips"]] for name, one in ones.items()}
    assert addresses["plain"] == addresses["masked"]
    inner = addresses["plain"][family].partition("/")[0]
    for _ in range(2):
        assert site.source(ones["masked"], family) == NEAR[family]
        assert site.source(ones["plain"], family) == inner
    site.detach(ones["masked"])
    assert site.source(ones["plain"], family) == inner
    site.detach(ones["plain"])


def test_networks_of_their_own_have_no_zone(site: Site) -> None:
    other = network("right", "cni1")
    other["ipam"] = {"type": "host-local", "subnet": "10.2.0.0/24"}
    ones = [site.attach("left", network("left", "cni0")), site.attach("right", other)]
    again = site.attach("again", network("left", "cni0"))
    assert "elements" not in site.nft("map inet pynet zones")
    site.detach(*ones, again)


def test_a_network_keeps_its_zone_as_long_as_it_has_containers(site: Site) -> None:
    left = site.attach("left", network("left", "cni0"))
    first = site.attach("first", network("right", "cni1"))
    zones = site.nft("map inet pynet zones")
    assert '"cni1" : ' in zones and '"cni0"' not in zones
    site.detach(left)
    second = site.attach("second", network("right", "cni1"))
    assert site.nft("map inet pynet zones") == zones
    for one in (first, second):
        assert site.source(one, 0) == NEAR[0]
    back = site.attach("back", network("left", "cni0"))
    third = network("third", "cni2")
    last = site.attach("last", third)
    assert site.source(back, 0) == NEAR[0]
    site.detach(first, second, back, last)
    assert "elements" not in site.nft("map inet pynet zones")
    assert "elements" not in site.nft("set inet pynet zoned")
    assert "elements" not in site.nft("set inet pynet masquerade4")


def test_a_second_container_finds_the_address_of_its_own_bridge(site: Site) -> None:
    """The one that came first has no zone, also where packets would leave by the other."""
    first = site.attach("first", network("left", "cni0"))
    right = site.attach("right", network("right", "cni1"))
    site.host.run(["ip", "route", "replace", SUBNETS[0], "dev", "cni1", "metric", "0"])
    site.host.run(["ip", "route", "del", SUBNETS[0], "dev", "cni0"], check=False)
    second = site.attach("second", network("left", "cni0"))
    assert '"cni0"' not in site.nft("map inet pynet zones")
    for one in (first, second):
        assert site.source(one, 0) == NEAR[0]
    site.detach(first, right, second)


@BOTH
def test_published_ports_lead_to_either(site: Site, family: int) -> None:
    """The host is told which of the two an address is behind; that is not for us to know."""
    left = site.attach("left", network("left", "cni0", ipMasq=False))
    right = site.attach("right", network("right", "cni1", first=3))
    assert '"cni1"' in site.nft("map inet pynet zones")
    inner = right.result["ips"][family]["address"].partition("/")[0]
    bits = (32, 128)[family]
    site.host.run(["ip", "route", "add", f"{inner}/{bits}", "dev", "cni1"])
    left.publish(both(8080))
    right.publish(both(8081), masqAll=True)
    for protocol in ("tcp", "udp"):
        assert seen(site.outside, protocol, NEAR[family], 8080) == FAR[family]
        assert seen(site.outside, protocol, NEAR[family], 8081) not in ("", FAR[family])
        assert seen(site.host, protocol, inner, SERVER), "the host is answered, too"
    for served, port in ((left, 8080), (right, 8081)):
        assert served.portmap("DEL", both(port), masqAll=port == 8081).status == 0
    site.detach(left, right)


@BOTH
def test_a_policy_is_that_of_one_network(site: Site, family: int) -> None:
    left = site.attach("left", network("left", "cni0", ipMasq=False))
    right = site.attach("right", network("right", "cni1", ipMasq=False))
    policy = {**drive.FIREWALL, "name": "right", "prevResult": right.result}
    outcome = site.host.call(drive.call, "ADD", policy, right.runtime)
    assert outcome.status == 0, outcome.stdout
    inner = left.result["ips"][family]["address"].partition("/")[0]
    assert seen(site.outside, "tcp", inner, SERVER) == FAR[family]
    # The same address behind the other bridge, which is the closed one.
    site.host.run(["ip", "route", "add", f"{inner}/{(32, 128)[family]}", "dev", "cni1"])
    assert seen(site.outside, "tcp", inner, SERVER) == ""
    assert site.host.call(drive.call, "CHECK", policy, right.runtime).status == 0
    assert site.host.call(drive.call, "DEL", policy, right.runtime).status == 0
    assert seen(site.outside, "tcp", inner, SERVER) == FAR[family]
    site.detach(left, right)
