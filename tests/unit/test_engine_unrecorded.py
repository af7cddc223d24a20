"""What stands and no record has is taken out, unless who needs it lives or is just being made."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from recorded import ACCEPT, JUMP, SHARED, during_a_rebuild, own, record
from recorded import site as site
from recorded import world as world

from pynet.engine.reconciling import reconcile, reconcile_tables
from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.kernel.machine import machine
from pynet.model.forwarding import ForwardBlockers
from pynet.model.query import AddressesOn, HostEnds, Link, LinkNamed
from pynet.model.request import bridge_mac, leg_mac
from pynet.model.resource import Resource
from pynet.model.resources import (
    Element,
    Forwarding,
    GatewayAddress,
    MasqueradePrefix,
    PublishedPort,
    Veth,
    VlanGateway,
)
from pynet.model.witness import Bridges, NumberKnown, Pair, PairNamed
from pynet.store.leases import EVERY_POOL
from pynet.store.records import NOT_ON_RECORD
from pynet.testing import RecordingWorld

HOST = f"{machine()}:host-1"
LOST, KNOWN = "veth" + "a" * 11, "veth" + "c" * 11


def port(address: str) -> PublishedPort:
    return PublishedPort(
        protocol="tcp", host_address="0.0.0.0", host_port=8080, address=address, port=80
    )


def port9(address: str) -> PublishedPort:
    return replace(port(address), host_port=9090)


def put_in(world: RecordingWorld, *resources: Resource) -> None:
    world.standing.update((each.key, each) for each in resources)


def test_what_no_record_has_is_taken_out(site: Site, world: RecordingWorld) -> None:
    """A ruleset that was saved, and loaded again when its containers had gone."""
    record(site, "c1", own(2))
    put_in(world, own(2), own(3), SHARED, port("10.1.0.3"), JUMP, ACCEPT)
    world.answers[ForwardBlockers()] = ()
    done = reconcile(site)
    assert set(done.removed) == {own(3), SHARED, port("10.1.0.3"), JUMP, ACCEPT}
    assert list(world.standing.values()) == [own(2)]
    assert reconcile(site).removed == ()


def test_what_leads_to_the_dead_leads_to_the_living(site: Site, world: RecordingWorld) -> None:
    record(site, "c1", port("10.1.0.2"))
    put_in(world, port("10.1.0.9"))
    reconcile_tables(site)
    assert list(world.standing.values()) == [port("10.1.0.2")]


def lives(world: RecordingWorld, *addresses: str, ours: bool = True) -> None:
    """A container behind cni0 that no record tells of."""
    mac = bridge_mac(HOST, "cni0") if ours else "02:00:00:00:00:01"
    bridge = Link(1, "cni0", "bridge", mac, 1500, True)
    end = Link(2, LOST, "veth", "m", 1500, True, master=1, peer=3, peer_number=7)
    world.answers[HostEnds()] = (LOST, KNOWN)
    world.answers[PairNamed(LOST)] = Pair(
        end, bridge, Link(3, "eth0", "veth", "p", 1500, True), addresses
    )
    world.answers[Bridges()] = (bridge,)
    world.answers[AddressesOn("cni0")] = ("10.1.0.1/24",)
    world.answers[LinkNamed(LOST)] = end


def steps(site: Site) -> list[Resource]:
    """Of all who are not on record."""
    with site.store.read() as tx:
        records = tx.records(network=NOT_ON_RECORD)
        return [step.resource for each in records for step in tx.steps(each)]


def test_who_lives_without_a_record_is_given_one(site: Site, world: RecordingWorld) -> None:
    """Its store was lost: its host's end stands, and is in no record."""
    guard, stale = (Element(set="guarded", item=(f"veth{n * 11}",)) for n in "ab")
    record(site, "c1", own(2), Veth(name=KNOWN, mac="m", peer="e", peer_mac="p"))
    put_in(world, own(2), own(3), own(4), guard, stale, SHARED, port("10.1.0.3"), port9("10.1.0.9"))
    lives(world, "10.1.0.3/24")
    said: list[str] = []
    assert set(reconcile_tables(replace(site, say=said.append))) == {
        stale,
        own(4),
        port9("10.1.0.9"),
    }
    assert len(said) == 1
    assert LOST in said[0]
    prefix = MasqueradePrefix(family=4, length=24)
    kept = {own(2), own(3), guard, SHARED, prefix, port("10.1.0.3")}
    assert set(world.standing.values()) == kept
    assert set(steps(site)) >= {
        own(3), guard, SHARED, port("10.1.0.3"), Forwarding(family=4),
        GatewayAddress(name="cni0", address="10.1.0.1/24"),
        Veth(name=LOST, mac="m", peer="eth0", peer_mac="p"),
    }  # fmt: skip
    assert reconcile_tables(site) == []
    assert len(steps(site)) == len(set(steps(site)))
    world.answers[HostEnds()] = (KNOWN,)
    world.answers |= {LinkNamed(LOST): None, NumberKnown(7): False}
    reconcile(site)
    assert steps(site) == []
    assert own(2) in world.standing.values()
    assert not {own(3), guard, SHARED, port("10.1.0.3")} & set(world.standing.values())


@pytest.mark.parametrize("ours", [True, False])
def test_of_another_s_bridge_nothing_is_removed_with_the_last(
    site: Site, world: RecordingWorld, ours: bool
) -> None:
    gateway = GatewayAddress(name="cni0", address="10.1.0.1/24")
    put_in(world, gateway)
    lives(world, "10.1.0.3/24", ours=ours)
    reconcile(site)
    world.answers[HostEnds()] = ()
    world.answers |= {LinkNamed(LOST): None, NumberKnown(7): False}
    reconcile(site)
    assert (gateway in world.standing.values()) is not ours


def test_the_leg_of_its_vlan_goes_with_the_last(site: Site, world: RecordingWorld) -> None:
    lives(world, "10.7.0.3/24")
    port, leg = "veth" + "d" * 11, "cni0.7"
    inner = Link(5, leg, "veth", leg_mac(HOST, leg), 1500, True)
    end = Link(4, port, "veth", "n", 1500, True, master=1, peer=5)
    bridge = world.answers[PairNamed(LOST)].bridge
    world.answers |= {
        HostEnds(): (LOST, port),
        PairNamed(port): Pair(end, bridge, inner, ()),
        AddressesOn(leg): ("10.7.0.1/24",),
    }
    reconcile(site)
    gateway = GatewayAddress(name=leg, address="10.7.0.1/24")
    made = VlanGateway(name=leg, port=port, bridge="cni0", mac=inner.mac, vlan=7)
    assert {gateway, made} <= set(steps(site))
    put_in(world, gateway, made)
    world.answers[HostEnds()] = (port,)
    world.answers |= {LinkNamed(LOST): None, NumberKnown(7): False}
    reconcile(site)
    assert not {gateway, made} & set(world.standing.values())


def test_what_may_not_be_looked_into_has_all_that_the_tables_tell(
    site: Site, world: RecordingWorld
) -> None:
    put_in(world, own(3), port("10.1.0.4"))
    lives(world)
    pair = world.answers[PairNamed(LOST)]
    world.answers[PairNamed(LOST)] = replace(pair, peer=None, addresses=None)
    assert reconcile(site).removed == ()
    with site.store.read() as tx:
        assert {lease.address for lease in tx.leases(EVERY_POOL)} == {"10.1.0.3", "10.1.0.4"}


def test_what_an_add_makes_meanwhile_stays(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not on record when the records were read, and stands when the tables are."""
    record(site, "c1", own(2))
    surplus = world.surplus

    def late(
        resources: Sequence[Resource], among: Sequence[Resource] | None = None
    ) -> list[Resource]:
        if among is None:
            record(site, "c2", own(3), port("10.1.0.3"), ready=False)
            put_in(world, own(3), port("10.1.0.3"), own(4))
        return surplus(resources, among)

    monkeypatch.setattr(world, "surplus", late)
    assert reconcile_tables(site) == [own(4)]
    assert set(world.standing.values()) == {own(2), own(3), port("10.1.0.3")}


def test_a_port_that_changes_hands_meanwhile_is_the_new_one_s(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(site, "c1", port("10.1.0.2"))

    def change_hands() -> None:
        monkeypatch.undo()
        undo(site, first)
        record(site, "c2", port("10.1.0.3"), ready=False)
        world.create([port("10.1.0.3")])

    during_a_rebuild(world, monkeypatch, change_hands)
    reconcile_tables(site)
    assert list(world.standing.values()) == [port("10.1.0.3")]


def test_what_a_newer_version_has_recorded_is_not_taken_for_nobody_s(
    site: Site, world: RecordingWorld
) -> None:
    record(site, "c1", own(2))
    with site.store.write() as tx:
        tx._sql.execute("UPDATE step SET body = '{\"later\": 1}'")
    put_in(world, own(2))
    assert reconcile_tables(site) == []
    assert list(world.standing.values()) == [own(2)]
