"""Addresses and routes in real namespaces, as `ip` shows them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from pair import Pair

from pynet.kernel.kinds import addresses as handlers
from pynet.kernel.netlink import addresses
from pynet.kernel.netlink.rtnl import Operation
from pynet.kernel.world import KernelWorld
from pynet.model.errors import KernelError
from pynet.model.query import AddressesOn
from pynet.model.resources import (
    AddressRemoved,
    Bridge,
    GatewayAddress,
    InterfaceAddress,
    InterfaceRoute,
    LinkUp,
    Sysctl,
    Veth,
)

VETH = Veth(name="veth1", mac="02:00:00:00:01:01", peer="eth0", peer_mac="02:00:00:00:02:01")


@pytest.fixture
def world(pair: Pair) -> Iterator[KernelWorld]:
    """With a veth pair, both ends up, and 10.1.0.2/24 and 2001:db8::2/64 inside."""
    with pair.world() as made:
        made.create([VETH])
        for address in ("10.1.0.2/24", "2001:db8::2/64"):
            made.create([inside(address)])
        made.create([LinkUp(name="veth1")])
        made.create([LinkUp(name="eth0", place="sandbox")])
        yield made


def inside(address: str, *, dad: bool = False) -> InterfaceAddress:
    return InterfaceAddress(name="eth0", address=address, place="sandbox", dad=dad)


def through(dst: str, gw: str = "", **more: int) -> InterfaceRoute:
    return InterfaceRoute(name="eth0", place="sandbox", dst=dst, gw=gw, **more)  # type: ignore[arg-type]


def shown_addresses(pair: Pair, where: int, name: str) -> dict[str, dict[str, object]]:
    (link,) = pair.ip(where, "address", "show", "dev", name)
    return {f"{each['local']}/{each['prefixlen']}": each for each in link["addr_info"]}


# --- addresses ----------------------------------------------------------------------------


def test_addresses_are_usable_at_once_and_ipv4_has_its_broadcast_address(
    world: KernelWorld, pair: Pair
) -> None:
    found = shown_addresses(pair, pair.sandbox, "eth0")
    assert found["10.1.0.2/24"]["broadcast"] == "10.1.0.255"
    assert found["2001:db8::2/64"]["nodad"] is True
    assert "tentative" not in found["2001:db8::2/64"]
    assert world.look(AddressesOn("eth0", "sandbox")) == ("10.1.0.2/24", "2001:db8::2/64")
    assert world.look(AddressesOn("nowhere", "sandbox")) == ()


@pytest.mark.parametrize("address", ["10.9.0.1/32", "10.9.0.1/31", "10.9.0.1"])
def test_a_subnet_without_room_for_a_broadcast_address_gets_none(
    world: KernelWorld, pair: Pair, address: str
) -> None:
    resource = inside(address)
    world.create([resource])
    shown = shown_addresses(pair, pair.sandbox, "eth0")
    assert "broadcast" not in shown[address if "/" in address else f"{address}/32"]
    assert world.verify(resource) == []


def test_an_address_is_made_once_verified_and_removed(world: KernelWorld, pair: Pair) -> None:
    for text in ("10.1.0.2/24", "2001:DB8:0:0::2/64"):
        resource = inside(text)
        world.create([resource])
        assert world.exists(resource)
        assert world.verify(resource) == []
        world.delete([(resource, None)])
        assert not world.exists(resource)
        (drift,) = world.verify(resource)
        assert str(drift) == f"eth0: address {text} is missing"
        world.delete([(resource, None)])
    assert not world.exists(inside("10.1.0.2/16"))


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("10.7.0.1/32", "10.7.0.2/32"),
        ("2001:db8:7::1/64", "2001:db8:7::2/64"),
        ("10.7.0.2/24", "10.7.0.3/24"),  # neither is the first of its subnet
    ],
)
def test_what_others_remove_at_the_same_time_stays_removed(
    world: KernelWorld, pair: Pair, monkeypatch: pytest.MonkeyPatch, mine: str, theirs: str
) -> None:
    """Between the look at what is there and the removal of ours."""
    if mine.endswith("/24"):
        world.create([inside("10.7.0.1/24")])
    world.create([inside(mine), inside(theirs)])
    before = set(shown_addresses(pair, pair.sandbox, "eth0"))

    def removed(index: int, name: str, cidr: str) -> Operation:
        pair.run(pair.sandbox, "ip", "address", "del", theirs, "dev", "eth0")
        return addresses.removed(index, name, cidr)

    monkeypatch.setattr(
        handlers, "addresses", SimpleNamespace(**{**vars(addresses), "removed": removed})
    )
    world.delete([(inside(mine), None)])
    assert set(shown_addresses(pair, pair.sandbox, "eth0")) == before - {mine, theirs}


def test_others_of_the_subnet_stay_when_its_first_address_is_removed(
    world: KernelWorld, pair: Pair
) -> None:
    """The kernel would take them with it."""
    listed = [inside(f"10.7.0.{n}/24") for n in range(1, 5)]
    world.create(listed)
    world.delete([(listed[0], None), (listed[2], None)])
    found = {one for one in shown_addresses(pair, pair.sandbox, "eth0") if one.startswith("10.7")}
    assert found == {"10.7.0.2/24", "10.7.0.4/24"}


def test_an_address_of_no_interface_says_which_is_missing(world: KernelWorld) -> None:
    gone = InterfaceAddress(name="eth7", address="10.1.0.9/24", place="sandbox")
    with pytest.raises(KernelError, match="no interface eth7 in /run/netns/c1"):
        world.create([gone])
    assert not world.exists(gone)
    assert [str(drift) for drift in world.verify(gone)] == ["eth7 is missing"]
    world.delete([(gone, None)])


def test_duplicate_address_detection_is_waited_for(world: KernelWorld, pair: Pair) -> None:
    # Half a second instead of one or two.
    probing = Sysctl(setting="ipv6/neigh/eth0/retrans_time_ms", value="200", place="sandbox")
    world.create([probing])
    world.create([inside("2001:db8::5/64", dad=True)])
    assert "tentative" not in shown_addresses(pair, pair.sandbox, "eth0")["2001:db8::5/64"]


def test_a_duplicate_address_is_an_error(world: KernelWorld, pair: Pair) -> None:
    pair.run(pair.host, "ip", "address", "add", "2001:db8::6/64", "dev", "veth1", "nodad")
    with pytest.raises(KernelError, match=r"2001:db8::6/64 .*another host on the link uses it"):
        world.create([inside("2001:db8::6/64", dad=True)])
    (drift,) = world.verify(inside("2001:db8::6/64"))
    assert "duplicate" in drift.found


def test_detection_on_a_link_that_is_down_is_not_waited_for(world: KernelWorld) -> None:
    world.delete([(LinkUp(name="eth0", place="sandbox"), None)])
    world.create([inside("2001:db8::7/64", dad=True)])
    assert world.exists(inside("2001:db8::7/64"))


def test_a_gateway_address_pins_the_bridges_mac(pair: Pair) -> None:
    """A bridge made without one takes its lowest port's, and would go on changing it."""
    pair.run(pair.host, "ip", "link", "add", "br0", "type", "bridge")
    before = pair.link(pair.host, "br0")["address"]
    gateway = GatewayAddress(name="br0", address="10.2.0.1/24", bridge_mac=before)
    with pair.world() as world:
        world.create([gateway])
        low = Veth(name="low", mac="00:00:00:00:00:01", peer="e", peer_mac="02:00:00:00:00:02")
        world.create([low])
        pair.run(pair.host, "ip", "link", "set", "low", "master", "br0")
        assert pair.link(pair.host, "br0")["address"] == before
        world.create([gateway])
        assert world.verify(gateway) == []
        removed = AddressRemoved(name="br0", address="10.2.0.1/24")
        assert not world.exists(removed)
        world.create([removed])
        assert world.exists(removed)
        assert len(world.verify(gateway)) == 1
        world.delete([(removed, None), (gateway, None)])


# --- routes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (through("0.0.0.0/0", "10.1.0.1"), {"dst": "default", "gateway": "10.1.0.1"}),
        (through("::/0", "2001:db8::1"), {"dst": "default", "gateway": "2001:db8::1"}),
        (through("10.7.0.0/16"), {"dst": "10.7.0.0/16", "scope": "link"}),
        (through("10.7.0.9/32", scope=0), {"dst": "10.7.0.9", "scope": "global"}),
        (through("10.7.0.0/16", "10.1.0.1", priority=50), {"metric": 50}),
        (through("2001:db8:7::/48", "2001:db8::1", priority=50), {"metric": 50}),
        (
            through("10.7.0.0/16", "10.1.0.1", mtu=1300, advmss=1200),
            {"metrics": [{"mtu": 1300, "advmss": 1200}]},
        ),
        (through("10.7.0.0/16", "10.1.0.1", table=100), {"table": "100"}),
        (through("10.7.0.0/16", "10.1.0.1", table=70000), {"table": "70000"}),
        (through("2001:db8:7::/48", table=70000), {"table": "70000"}),
    ],
)
def test_a_route_is_made_verified_and_removed(
    world: KernelWorld, pair: Pair, route: InterfaceRoute, expected: dict[str, object]
) -> None:
    assert not world.exists(route)
    world.create([route])
    world.create([route])
    family = "-6" if ":" in route.dst else "-4"
    shown = [
        each
        for each in pair.ip(pair.sandbox, family, "route", "show", "table", "all", "dev", "eth0")
        if each["dst"] in (route.dst, route.dst.removesuffix("/32"), "default")
    ]
    assert len(shown) == 1
    assert {**{"table": "254"}, **shown[0]} | expected == {**{"table": "254"}, **shown[0]}
    assert world.exists(route)
    assert world.verify(route) == []
    world.delete([(route, None)])
    assert not world.exists(route)
    assert len(world.verify(route)) == 1
    world.delete([(route, None)])


def test_a_route_hidden_by_another_is_found_all_the_same(world: KernelWorld, pair: Pair) -> None:
    hidden = through("10.7.0.0/16", "10.1.0.1", priority=100)
    world.create([hidden])
    pair.run(pair.sandbox, "ip", "route", "add", "10.7.0.0/24", "via", "10.1.0.9")
    pair.run(pair.sandbox, "ip", "route", "add", "10.7.0.0/16", "via", "10.1.0.9", "metric", "1")
    pair.run(pair.sandbox, "ip", "route", "add", "prohibit", "10.7.0.0/32")
    assert world.verify(hidden) == []
    assert not world.exists(through("10.7.0.0/16", "10.1.0.7"))
    assert not world.exists(through("10.7.0.0/16", "10.1.0.1", priority=100, mtu=1400))


def test_a_second_gateway_of_one_destination_is_another_route(
    world: KernelWorld, pair: Pair
) -> None:
    for gateways in (("10.1.0.1", "10.1.0.3"), ("2001:db8::1", "2001:db8::3")):
        dst = "::/0" if ":" in gateways[0] else "0.0.0.0/0"
        for gateway in gateways:
            world.create([through(dst, gateway)])
        assert all(world.verify(through(dst, gateway)) == [] for gateway in gateways)
        world.delete([(through(dst, gateways[0]), None)])
        assert not world.exists(through(dst, gateways[0]))
        assert world.exists(through(dst, gateways[1]))


def test_a_gateway_that_can_not_be_reached_is_an_error_in_the_kernels_words(
    world: KernelWorld,
) -> None:
    with pytest.raises(
        KernelError,
        match=r"`ip route prepend 0.0.0.0/0 via 192.0.2.1 dev eth0` in /run/netns/c1: .*gateway",
    ):
        world.create([through("0.0.0.0/0", "192.0.2.1")])


def test_a_route_of_no_interface_does_not_exist(world: KernelWorld) -> None:
    gone = InterfaceRoute(name="eth7", place="sandbox", dst="10.7.0.0/16")
    assert not world.exists(gone)
    world.delete([(gone, None)])
    with pytest.raises(KernelError, match="no interface eth7"):
        world.create([gone])


def test_a_bridge_address_leaves_others_alone(pair: Pair) -> None:
    with pair.world() as world:
        world.create([Bridge(name="cni0", mac="02:00:00:00:00:01")])
        for address in ("10.2.0.1/24", "10.3.0.1/24", "2001:db8:2::1/64", "10.2.0.9/24"):
            world.create([GatewayAddress(name="cni0", address=address)])
        world.delete([(GatewayAddress(name="cni0", address="10.2.0.1/24"), None)])
        assert set(world.look(AddressesOn("cni0"))) == {
            "10.2.0.9/24",  # which the kernel took, as the second of its subnet
            "10.3.0.1/24",
            "2001:db8:2::1/64",
        }
