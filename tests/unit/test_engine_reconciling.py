"""What belongs on the host is told by records, while others make and undo theirs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from recorded import SHARED, during_a_rebuild, own, record, reload
from recorded import site as site
from recorded import world as world

from pynet.engine.reconciling import reconcile, reconcile_tables
from pynet.engine.site import Site
from pynet.engine.undoing import undo
from pynet.model.errors import KernelError
from pynet.model.owner import Owner
from pynet.model.resource import Resource
from pynet.model.resources import Forwarding, GatewayAddress, LinkForwarding, LinkUp, Sysctl
from pynet.testing import RecordingWorld


def test_all_that_is_recorded_for_the_tables_is_put_in(site: Site, world: RecordingWorld) -> None:
    record(site, "c1", own(2), SHARED, LinkUp(name="v1"))
    record(site, "c2", own(3), SHARED, ready=False)
    reconcile_tables(site)
    assert set(world.standing.values()) == {own(2), own(3), SHARED}


def test_what_a_failed_del_has_left_is_not(site: Site, world: RecordingWorld) -> None:
    left = record(site, "c1", own(2))
    with site.store.write() as tx:
        tx.releasing(left)
    reconcile_tables(site)
    assert world.standing == {}


def test_what_is_undone_meanwhile_is_not_put_back(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(site, "c1", own(2), SHARED)
    record(site, "c2", own(3), SHARED)
    during_a_rebuild(world, monkeypatch, lambda: undo(site, first))
    reconcile_tables(site)
    assert set(world.standing.values()) == {own(3), SHARED}


def test_what_is_put_in_while_a_table_is_replaced_is_put_in_again(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(site, "c1", own(2))
    rebuild = world.rebuild
    replaced = []

    def replace(resources: Sequence[Resource], owner: Owner) -> bool:
        if replaced:
            return rebuild(resources, owner)
        replaced.append(owner)
        record(site, "c2", own(3))
        world.standing.clear()
        rebuild(resources, owner)
        return True

    monkeypatch.setattr(world, "rebuild", replace)
    reconcile_tables(site)
    assert set(world.standing.values()) == {own(2), own(3)}


def test_what_the_last_user_leaves_meanwhile_is_not_put_back(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = record(site, "c1", own(2), SHARED)
    during_a_rebuild(world, monkeypatch, lambda: undo(site, only))
    reconcile_tables(site)
    assert world.standing == {}


def test_an_address_that_another_is_given_meanwhile_keeps_its_element(
    site: Site, world: RecordingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(site, "c1", own(2))

    def change_hands() -> None:
        undo(site, first)
        record(site, "c2", own(2), ready=False)

    during_a_rebuild(world, monkeypatch, change_hands)
    reconcile_tables(site)
    assert list(world.standing.values()) == [own(2)]


def test_a_reload_says_what_it_found_and_sets_forwarding_again(
    site: Site, world: RecordingWorld
) -> None:
    forwarding = Forwarding(family=4)
    record(site, "c1", own(2), forwarding)
    done = reload(site)
    assert done.count == 2
    assert {drift.found for drift in done.wrong} == {"missing"}
    assert len(done.wrong) == 2
    assert done.left == ()
    assert set(world.standing.values()) == {own(2), forwarding}
    assert reload(site).wrong == ()


def test_nothing_is_put_in_where_nothing_is_missed(site: Site, world: RecordingWorld) -> None:
    record(site, "c1", own(2))
    reconcile_tables(site, lambda recorded: own(3) in recorded)
    assert world.standing == {}
    reconcile_tables(site, lambda recorded: own(2) in recorded)
    assert list(world.standing.values()) == [own(2)]


def test_what_is_shared_on_the_host_is_made_again(site: Site, world: RecordingWorld) -> None:
    gateway = GatewayAddress(name="cni0", address="10.1.0.1/24")
    localnet = Sysctl(setting="ipv4/conf/cni0/route_localnet", value="1")
    of_a_link = Sysctl(setting="ipv6/conf/v1/accept_ra", value="0", inside="veth\tv1")
    record(site, "c1", gateway, localnet, of_a_link, Forwarding(family=6))
    reconcile(site)
    assert set(world.standing.values()) == {gateway, localnet, Forwarding(family=6)}
    world.standing.clear()
    done = reload(site)
    assert len(done.wrong) == 3
    assert set(world.standing.values()) == {gateway, localnet, Forwarding(family=6), of_a_link}
    (outcome,) = done.attachments
    assert len(outcome.mended) == 4
    assert reload(site).is_fine


def test_what_several_set_is_as_the_latest_has_it(site: Site, world: RecordingWorld) -> None:
    for number, value in enumerate("121"):
        record(site, f"c{number}", Sysctl(setting="core/somaxconn", value=value))
    record(site, "c3", Sysctl(setting="core/somaxconn", value="3"))
    reconcile(site)
    assert [one.value for one in world.standing.values() if isinstance(one, Sysctl)] == ["3"]


def test_one_failure_does_not_keep_the_rest_from_being_mended(
    site: Site, world: RecordingWorld
) -> None:
    record(site, "c1", GatewayAddress(name="cni0", address="10.1.0.1/24"), Forwarding(family=4))
    world.fail_at, world.failure = "gateway-address", KernelError("no such interface")
    done = reload(site)
    assert [str(failure) for failure in done.failures] == ["no such interface"]
    assert set(world.standing.values()) == {Forwarding(family=4), LinkForwarding(name="cni0")}
    assert len(done.left) == 1
