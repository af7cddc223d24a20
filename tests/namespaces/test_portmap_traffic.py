"""Who reaches a published port, from where, and as whom; and who must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import drive
import pytest
from published import (
    FAMILIES,
    SERVER,
    V4,
    V6,
    Client,
    Listening,
    Served,
    both,
    datagram,
    mapping,
    seen,
    start_servers,
    throw,
)

from pynet.kernel.netlink import flows
from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Host, Lab

OUTSIDE = {V4: "192.0.2.1", V6: "2001:db8:1::1"}
GATEWAY = {V4: "10.1.0.1", V6: "fd00:1::1"}
WEB: dict[str, Any] = {**drive.BRIDGE, "hairpinMode": True}
OTHER: dict[str, Any] = {
    **drive.BRIDGE,
    "name": "other",
    "bridge": "cni1",
    "ipMasq": False,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00:2::/64"}]],
    },
}


class Place:
    """A host with a way out, and the containers that a test asks for."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host: Host = lab.host("h1")
        self.outside = Internet(lab, self.host).outside

    def container(self, name: str, bridge: dict[str, Any] = WEB) -> Served:
        return Served(self.lab, self.host, name, bridge)

    def nft(self, words: str) -> None:
        self.host.run(["nft", words])


@pytest.fixture
def place(lab: Lab) -> Iterator[Place]:
    yield Place(lab)


def test_from_everywhere(place: Place) -> None:
    """The client is seen as what it is, where the answer comes back through the host anyway."""
    c1, same, other = place.container("c1"), place.container("c2"), place.container("c3", OTHER)
    c1.publish(both(8080))
    for family in FAMILIES.values():
        address = HOST_ADDRESSES[family]
        expected = {
            place.outside: OUTSIDE[family],
            place.host: address,
            same.container: GATEWAY[family],
            other.container: other.address(family),
            c1.container: GATEWAY[family],
        }
        for protocol in ("tcp", "udp"):
            found = {one: seen(one, protocol, address, 8080) for one in expected}
            assert found == expected, (protocol, address)
            assert seen(place.host, protocol, GATEWAY[family], 8080) == GATEWAY[family]
    assert seen(place.outside, "tcp", HOST_ADDRESSES[V4], SERVER) == "", "not published"


def test_loopback(place: Place) -> None:
    """127.0.0.1 leads to the container; [::1] can't, and stays the host's own."""
    c1 = place.container("c1")
    start_servers(place.lab, place.host)
    c1.publish([*both(8080), *both(SERVER)])
    for protocol in ("tcp", "udp"):
        assert seen(place.host, protocol, "127.0.0.1", 8080) == GATEWAY[V4]
        assert seen(place.host, protocol, "127.0.0.1", SERVER) == GATEWAY[V4]
        assert seen(place.host, protocol, "::1", SERVER) == "::1"
        assert seen(place.host, protocol, "::1", 8080) == ""


def test_a_specific_address_wins(place: Place) -> None:
    everywhere, here, there = (place.container(name) for name in ("c1", "c2", "c3"))
    everywhere.publish(both(8080, to=81) + both(9000))
    here.publish(both(8080, address=HOST_ADDRESSES[V4]) + both(8080, address=HOST_ADDRESSES[V6]))
    there.publish(both(8080, address="10.1.0.1"))
    for family in FAMILIES.values():
        for protocol in ("tcp", "udp"):
            for caller in (place.host, place.outside):
                assert seen(caller, protocol, HOST_ADDRESSES[family], 8080)
                assert seen(caller, protocol, HOST_ADDRESSES[family], 9000)
    for protocol in ("tcp", "udp"):
        assert seen(place.host, protocol, "10.1.0.1", 8080) == "10.1.0.1"
        # Nobody listens where the wildcard leads.
        assert seen(place.host, protocol, "127.0.0.1", 8080) == ""


def test_all_sources_masqueraded_or_none(place: Place) -> None:
    masked, plain = place.container("c1"), place.container("c2")
    masked.publish(both(8080), masqAll=True)
    plain.publish(both(9090), snat=False, masqAll=True)
    for family in FAMILIES.values():
        address = HOST_ADDRESSES[family]
        for protocol in ("tcp", "udp"):
            assert seen(place.outside, protocol, address, 8080) == GATEWAY[family]
            assert seen(place.outside, protocol, address, 9090) == OUTSIDE[family]
    assert seen(place.host, "tcp", "127.0.0.1", 9090) == "", "snat is what loopback needs"


def test_what_is_gone_is_out_of_reach(place: Place) -> None:
    c1 = place.container("c1")
    c1.publish(both(8080))
    assert seen(place.outside, "tcp", HOST_ADDRESSES[V4], 8080)
    assert c1.portmap("DEL", both(8080)).status == 0
    for family in FAMILIES.values():
        for protocol in ("tcp", "udp"):
            assert seen(place.outside, protocol, HOST_ADDRESSES[family], 8080) == ""


@pytest.mark.parametrize("kernel", ["filters deletion", "filters lists only"])
@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
def test_who_sends_without_a_pause_arrives(
    place: Place, family: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One UDP socket, before the port is published, then to one container, then to the next."""
    if kernel == "filters lists only":  # as before Linux 6.8
        monkeypatch.setattr(flows.Flows, "_delete", _only_exactly)
    first, second = place.container("c1"), place.container("c2")
    client = Client(place.lab, place.outside, HOST_ADDRESSES[family], 8080)
    assert client.send() == ""
    first.publish(both(8080))
    assert client.send() == OUTSIDE[family]
    assert first.portmap("DEL", both(8080)).status == 0
    assert client.send() == ""
    second.publish(both(8080))
    assert client.send() == OUTSIDE[family]
    bystander = Client(place.lab, place.outside, HOST_ADDRESSES[family], 8080)
    assert bystander.send() == OUTSIDE[family]
    first.publish(both(9090))
    before = _flows(place.host, family)
    assert first.portmap("DEL", both(9090)).status == 0
    assert _flows(place.host, family) == before, "others' flows stay"


_delete = flows.Flows._delete


def _only_exactly(self: flows.Flows, wanted: list[flows.Which]) -> list[int]:
    exact = [b"\x19\x80" not in which.attributes[:80] for which in wanted]  # CTA_FILTER, nested
    return _delete(self, wanted) if all(exact) else [22] * len(wanted)


def _flows(host: Host, family: int) -> int:
    which = ["-f", "ipv6"] if family == V6 else []
    listed = host.run(["conntrack", "-L", "-p", "udp", *which]).stdout.decode()
    return sum("dport=8080" in line for line in listed.splitlines())


# --- who must not -----------------------------------------------------------------------


def link_address(host: Host, link: str) -> str:
    words = host.run(["ip", "-o", "link", "show", link]).stdout.decode().split()
    return words[words.index("link/ether") + 1]


def test_a_container_is_not_let_onto_loopback(place: Place) -> None:
    c1 = place.container("c1", drive.BRIDGE)
    c1.publish(both(8080))
    bridge = link_address(place.host, "cni0")

    def gets_through(source: str, to: str) -> bool:
        listening = Listening(place.host, to, 9999)
        throw(c1.container, "eth0", bridge, datagram(source, to, 9999))
        return listening.got()

    assert gets_through("10.1.0.2", "10.1.0.1")
    assert not gets_through("10.1.0.2", "127.0.0.1")
    assert not gets_through("127.0.0.1", "10.1.0.1")
    place.nft('delete element inet pynet loopback_guarded { "cni0" }')
    assert gets_through("10.1.0.2", "127.0.0.1"), "it is the guard that keeps it out"


def test_a_port_of_loopback_is_not_for_neighbours(place: Place) -> None:
    c1 = place.container("c1")
    c1.publish([mapping(8081, "udp", "127.0.0.1", to=81), *both(8082, address="127.0.0.1")])
    assert seen(place.host, "udp", "127.0.0.1", 8082) == GATEWAY[V4]
    assert seen(place.outside, "udp", HOST_ADDRESSES[V4], 8082) == ""
    packet = datagram(OUTSIDE[V4], "127.0.0.1", 8081)
    uplink = link_address(place.host, "eth0")
    listening = Listening(c1.container, "0.0.0.0", 81)
    throw(place.outside, "eth0", uplink, packet)
    assert not listening.got()
    place.nft("flush chain inet pynet prerouting")
    place.nft("add rule inet pynet prerouting fib daddr type local jump published")
    listening = Listening(c1.container, "0.0.0.0", 81)
    throw(place.outside, "eth0", uplink, packet)
    assert listening.got(), "it is the rule that keeps it out"


def test_only_the_containers_bridge_routes_loopback(place: Place) -> None:
    c1 = place.container("c1")
    c1.publish(both(8080))
    listed = place.host.run(["sysctl", "-a", "--pattern", r"ipv4\.conf\..*\.route_localnet"])
    on = [line for line in listed.stdout.decode().splitlines() if line.endswith("= 1")]
    assert on == ["net.ipv4.conf.cni0.route_localnet = 1"]
    assert c1.portmap("DEL", both(8080)).status == 0
    listed = place.host.run(["sysctl", "net.ipv4.conf.cni0.route_localnet"])
    assert listed.stdout.decode().endswith("= 0\n")


# --- conditions -------------------------------------------------------------------------


def test_a_port_on_a_condition(place: Place) -> None:
    """Specific before wildcard, whatever the condition; other packets go another way or none."""
    c1, c2 = place.container("c1"), place.container("c2")
    c1.publish(
        both(8080),
        conditionsV4=["!", "-s", "192.0.2.2", "-i", "eth0"],
        conditionsV6=["ip6", "saddr", "2001:db8:1::/64", "meta", "iifname", "eth0"],
    )
    c2.publish(both(8080, address=HOST_ADDRESSES[V4], to=81))
    for protocol in ("tcp", "udp"):
        assert seen(place.outside, protocol, HOST_ADDRESSES[V6], 8080) == OUTSIDE[V6]
        assert seen(place.host, protocol, HOST_ADDRESSES[V6], 8080) == ""
        assert seen(place.outside, protocol, HOST_ADDRESSES[V4], 8080) == "", "c2's, closed there"
    assert c2.portmap("DEL", both(8080, address=HOST_ADDRESSES[V4], to=81)).status == 0
    for protocol in ("tcp", "udp"):
        assert seen(place.outside, protocol, HOST_ADDRESSES[V4], 8080) == OUTSIDE[V4]
        assert seen(place.host, protocol, HOST_ADDRESSES[V4], 8080) == ""
