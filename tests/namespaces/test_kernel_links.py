"""Bridges, veth pairs, ports and link state in real namespaces, as `ip` shows them."""

from __future__ import annotations

import errno
import os

import pytest
from pair import NETNS, Pair

from pynet.kernel import sysctls
from pynet.kernel.netlink import links
from pynet.kernel.netlink.rtnl_socket import Socket
from pynet.kernel.world import KernelWorld
from pynet.model.errors import AlreadyAttached, KernelError, NamespaceError, UnsupportedField
from pynet.model.query import LinkNamed
from pynet.model.resources import (
    Bridge,
    BridgePort,
    LinkUp,
    Promiscuous,
    Veth,
    VlanGateway,
)

pytestmark = pytest.mark.vm
BRIDGE = Bridge(name="cni0", mac="02:00:00:00:00:01")
VETH = Veth(
    name="veth1", mac="02:00:00:00:01:01", peer="eth0", peer_mac="02:00:00:00:02:01", mtu=1400
)
PORT = BridgePort(name="veth1", bridge="cni0")


def drifts(world: KernelWorld, resource: object) -> list[str]:
    return [str(drift) for drift in world.verify(resource)]  # type: ignore[arg-type]


# --- bridges ---------------------------------------------------------------------------


def test_a_bridge_is_made_up_with_its_mac_and_takes_no_router_advertisements(
    world: KernelWorld, pair: Pair
) -> None:
    assert not world.exists(BRIDGE)
    world.create([BRIDGE])
    shown = pair.link(pair.host, "cni0")
    assert shown["linkinfo"]["info_kind"] == "bridge"
    assert shown["address"] == BRIDGE.mac
    assert "UP" in shown["flags"]
    assert sysctls.read(pair.host, "ipv6/conf/cni0/accept_ra") == "0"
    assert world.exists(BRIDGE)
    assert drifts(world, BRIDGE) == []


def test_a_bridges_mtu_and_mac_stay_when_ports_come_and_go(world: KernelWorld, pair: Pair) -> None:
    bridge = Bridge(name="cni0", mac=BRIDGE.mac, mtu=9000)
    world.create([bridge])
    world.create([VETH])
    world.create([PORT])
    assert drifts(world, bridge) == []
    world.delete([(VETH, None)])
    assert drifts(world, bridge) == []
    assert pair.link(pair.host, "cni0")["mtu"] == 9000


def test_a_bridge_that_is_there_is_kept_as_it_is_but_set_up(world: KernelWorld, pair: Pair) -> None:
    pair.run(
        pair.host, "ip", "link", "add", "cni0", "address", "02:aa:00:00:00:01", "type", "bridge"
    )
    world.create([BRIDGE])
    shown = pair.link(pair.host, "cni0")
    assert shown["address"] == "02:aa:00:00:00:01"
    assert "UP" in shown["flags"]
    world.delete([(BRIDGE, None)])
    assert pair.link(pair.host, "cni0")  # not ours: another MAC than the recorded one


def test_what_is_no_bridge_is_refused_by_its_kind(world: KernelWorld, pair: Pair) -> None:
    pair.run(pair.host, "ip", "link", "add", "cni0", "type", "veth")
    with pytest.raises(KernelError, match="cni0 is there already and is no bridge but veth"):
        world.create([BRIDGE])


def test_a_bridge_with_ports_is_not_deleted_and_one_without_is(world: KernelWorld) -> None:
    for resource in (BRIDGE, VETH, PORT):
        world.create([resource])
    world.delete([(BRIDGE, None)])
    assert world.exists(BRIDGE)
    world.delete([(VETH, None)])
    world.delete([(BRIDGE, None)])
    assert not world.exists(BRIDGE)
    world.delete([(BRIDGE, None)])


def test_each_property_of_a_bridge_that_changed_is_named(world: KernelWorld, pair: Pair) -> None:
    bridge = Bridge(name="cni0", mac=BRIDGE.mac, mtu=1400)
    world.create([bridge])
    pair.run(
        pair.host,
        "ip",
        "link",
        "set",
        "cni0",
        "down",
        "address",
        "02:00:00:00:00:99",
        "mtu",
        "1300",
    )
    assert drifts(world, bridge) == [
        "cni0: MAC is 02:00:00:00:00:99, should be 02:00:00:00:00:01",
        "cni0: MTU is 1300, should be 1400",
        "cni0: state is down, should be up",
    ]
    pair.run(pair.host, "ip", "link", "del", "cni0")
    assert drifts(world, bridge) == ["cni0 is missing"]


def test_vlan_filtering_is_turned_on_or_refused_by_key(world: KernelWorld, pair: Pair) -> None:
    filtering = Bridge(name="cni0", mac=BRIDGE.mac, vlan_filtering=True)
    capable = _knows_vlans(pair)
    if not capable:
        with pytest.raises(UnsupportedField, match=r"(?i)vlan.*CONFIG_BRIDGE_VLAN_FILTERING"):
            world.create([filtering])
        assert not world.exists(BRIDGE)
        world.create([BRIDGE])
        with pytest.raises(UnsupportedField, match="cni0"):
            world.create([filtering])
        return
    world.create([BRIDGE])
    assert drifts(world, filtering) == ["cni0: vlan filtering is off, should be on"]
    world.create([filtering])
    assert drifts(world, filtering) == []


def _knows_vlans(pair: Pair) -> bool:
    try:
        pair.run(pair.host, "ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1")
    except Exception:
        return False
    pair.run(pair.host, "ip", "link", "del", "probe")
    return True


# --- veth pairs ------------------------------------------------------------------------


def test_a_pair_has_its_ends_in_both_namespaces_with_names_macs_and_mtu(
    world: KernelWorld, pair: Pair
) -> None:
    world.create([VETH])
    for where, name, mac in (
        (pair.host, "veth1", VETH.mac),
        (pair.sandbox, "eth0", VETH.peer_mac),
    ):
        shown = pair.link(where, name)
        assert (shown["address"], shown["mtu"]) == (mac, 1400)
        assert "UP" not in shown["flags"]
    assert drifts(world, VETH) == []
    link = world.look(LinkNamed("eth0", "sandbox"))
    assert link.kind == "veth"
    assert link.peer == world.look(LinkNamed("veth1")).index


def test_which_end_is_there_already_is_told(world: KernelWorld, pair: Pair) -> None:
    world.create([VETH])
    with pytest.raises(
        AlreadyAttached, match=f"container interface eth0 already exists in {NETNS}"
    ):
        world.create([VETH])
    other = Veth(name="veth1", mac=VETH.mac, peer="eth1", peer_mac=VETH.peer_mac)
    with pytest.raises(AlreadyAttached, match="host interface veth1 already exists"):
        world.create([other])
    assert len(pair.ip(pair.sandbox, "link", "show")) == 2  # lo, eth0


def test_only_our_own_pair_is_deleted(world: KernelWorld, pair: Pair) -> None:
    """By the MAC of either end: of another pair with those names neither is ours."""
    world.create([VETH])
    pair.run(pair.host, "ip", "link", "set", "veth1", "address", "02:00:00:00:01:99")
    pair.run(pair.sandbox, "ip", "link", "set", "eth0", "address", "02:00:00:00:02:99")
    world.delete([(VETH, None)])
    assert pair.link(pair.host, "veth1")
    pair.run(pair.host, "ip", "link", "set", "veth1", "address", VETH.mac)
    world.delete([(VETH, None)])
    assert not world.exists(VETH)
    assert world.look(LinkNamed("eth0", "sandbox")) is None
    world.delete([(VETH, None)])


def test_each_property_of_a_pair_that_changed_is_named(world: KernelWorld, pair: Pair) -> None:
    world.create([VETH])
    pair.run(
        pair.sandbox, "ip", "link", "set", "eth0", "address", "02:00:00:00:02:99", "mtu", "1300"
    )
    assert drifts(world, VETH) == [
        "eth0: MAC is 02:00:00:00:02:99, should be 02:00:00:00:02:01",
        "eth0: MTU is 1300, should be 1400",
    ]
    pair.run(pair.sandbox, "ip", "link", "set", "eth0", "name", "eth9")
    assert drifts(world, VETH) == ["eth0 is missing"]


def test_ends_of_two_different_pairs_are_no_pair(world: KernelWorld, pair: Pair) -> None:
    world.create([VETH])
    pair.run(pair.sandbox, "ip", "link", "set", "eth0", "name", "old")
    pair.run(
        pair.sandbox,
        *("ip", "link", "add", "eth0", "address", VETH.peer_mac, "mtu", "1400"),
        *("type", "veth", "peer", "name", "far"),
    )
    assert drifts(world, VETH) == ["veth1: peer is , should be eth0"]


def test_a_refusal_is_in_the_kernels_words_and_those_after_it_are_done(pair: Pair) -> None:
    sock = Socket.inside(pair.host, "the host")
    try:
        with pytest.raises(
            KernelError,
            match=r"`ip link set lo mtu 4294967295 up` in the host: .*mtu less than device minimum",
        ) as raised:
            sock.transact(links.up("lo", mtu=-1 % 2**32), links.promisc("lo", True))
        assert raised.value.errno == errno.EINVAL
        found = links.by_name(sock, "lo")
        assert found is not None
        assert found.promisc
    finally:
        sock.close()


# --- ports, state, promiscuity --------------------------------------------------------------


@pytest.mark.parametrize("hairpin", [False, True])
@pytest.mark.parametrize("isolated", [False, True])
def test_a_port_has_its_flags(
    world: KernelWorld, pair: Pair, hairpin: bool, isolated: bool
) -> None:
    port = BridgePort(name="veth1", bridge="cni0", hairpin=hairpin, isolated=isolated)
    world.create([BRIDGE])
    world.create([VETH])
    assert not world.exists(port)
    world.create([port])
    shown = pair.link(pair.host, "veth1")
    assert shown["master"] == "cni0"
    flags = shown["linkinfo"]["info_slave_data"]
    assert (flags["hairpin"], flags["isolated"]) == (hairpin, isolated)
    assert world.exists(port)
    assert drifts(world, port) == []
    opposite = BridgePort(name="veth1", bridge="cni0", hairpin=not hairpin, isolated=not isolated)
    assert len(drifts(world, opposite)) == 2
    world.delete([(port, None)])
    assert drifts(world, port) == ["veth1: master is none, should be cni0"]


def test_a_port_of_no_bridge_says_which_is_missing(world: KernelWorld) -> None:
    world.create([VETH])
    with pytest.raises(KernelError, match="there is no interface cni0"):
        world.create([PORT])


def test_vlans_of_a_port_are_as_planned_or_refused_by_key(world: KernelWorld, pair: Pair) -> None:
    port = BridgePort(name="veth1", bridge="cni0", pvid=20, tagged=((30, 32), (40, 40)))
    capable = _knows_vlans(pair)
    world.create([Bridge(name="cni0", mac=BRIDGE.mac, vlan_filtering=capable)])
    world.create([VETH])
    if not capable:
        with pytest.raises(UnsupportedField, match=r"vlan 20.*CONFIG_BRIDGE_VLAN_FILTERING"):
            world.create([port])
        return
    world.create([port])
    assert drifts(world, port) == []
    pair.run(pair.host, "bridge", "vlan", "del", "dev", "veth1", "vid", "31")
    assert drifts(world, port) == ["veth1: VLAN 31 is missing"]


def test_a_bridges_leg_in_a_vlan_is_made_and_removed(world: KernelWorld, pair: Pair) -> None:
    leg = VlanGateway(name="cni0.20", port="leg20", bridge="cni0", mac="02:00:00:00:03:01", vlan=20)
    capable = _knows_vlans(pair)
    world.create([Bridge(name="cni0", mac=BRIDGE.mac, vlan_filtering=capable)])
    if capable:
        world.create([leg])
        assert drifts(world, leg) == []
    else:
        with pytest.raises(UnsupportedField, match="vlan 20"):
            world.create([leg])
    assert world.exists(leg)
    world.delete([(leg, None)])
    assert not world.exists(leg)
    assert {link["ifname"] for link in pair.ip(pair.host, "link", "show")} == {"lo", "cni0"}


def test_a_link_goes_up_and_down_in_either_namespace(world: KernelWorld, pair: Pair) -> None:
    world.create([VETH])
    for where, resource in (
        (pair.host, LinkUp(name="veth1")),
        (pair.sandbox, LinkUp(name="eth0", place="sandbox")),
    ):
        assert not world.exists(resource)
        world.create([resource])
        assert "UP" in pair.link(where, resource.name)["flags"]
        assert drifts(world, resource) == []
        world.delete([(resource, None)])
        assert drifts(world, resource) == [f"{resource.name}: state is down, should be up"]
    gone = LinkUp(name="nowhere")
    world.delete([(gone, None)])
    with pytest.raises(KernelError, match="ip link set nowhere up"):
        world.create([gone])


def test_promiscuity_comes_back_as_it_was(world: KernelWorld, pair: Pair) -> None:
    world.create([BRIDGE])
    on, off = Promiscuous(name="cni0"), Promiscuous(name="cni0", on=False)
    assert world.previous(on) == "off"
    world.create([on])
    assert pair.link(pair.host, "cni0")["promiscuity"] == 1
    assert world.exists(on)
    assert drifts(world, off) == ["cni0: promisc is on, should be off"]
    world.delete([(on, "off")])
    assert world.previous(on) == "off"
    assert world.previous(Promiscuous(name="nowhere")) == "off"  # as the kernel makes a link
    world.delete([(Promiscuous(name="nowhere"), "off")])


# --- without a sandbox ------------------------------------------------------------------------


def test_what_was_in_a_lost_sandbox_is_gone(pair: Pair) -> None:
    with KernelWorld(pair.host, None, netns=NETNS, our_plugins=frozenset()) as world:
        inside = LinkUp(name="eth0", place="sandbox")
        assert world.sandbox == ""
        assert not world.exists(inside)
        assert world.previous(inside) is None
        assert len(world.verify(inside)) == 1
        world.delete([(inside, None)])
        for resource in (inside, VETH):
            with pytest.raises(NamespaceError, match=NETNS):
                world.create([resource])


def test_a_pair_goes_with_its_sandbox(pair: Pair) -> None:
    with pair.world() as world:
        world.create([VETH])
    os.close(pair.sandbox)
    pair.sandbox = os.open("/proc/self/ns/net", os.O_RDONLY)
    with KernelWorld(pair.host, None, netns="", our_plugins=frozenset()) as world:
        world.delete([(VETH, None)])  # whether the kernel was first or not
        assert not world.exists(VETH)
