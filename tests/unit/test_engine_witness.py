"""The one rule for death, fact by fact: what proves it, what proves life, and what proves none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pynet.engine.request_record import Call
from pynet.engine.witness import Fate, fate
from pynet.model.place import NO_NUMBER, own_number
from pynet.model.query import Link, LinkNamed, Query
from pynet.model.resources import LinkAddress, Veth
from pynet.model.witness import AddressesNumbered, LinksNumbered, NumberKnown, PairStands
from pynet.store.records import Record, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld

SANDBOX = "4711"
OURS = own_number(SANDBOX)
THEIRS = 3
"""A number as the kernel chooses it."""
PAIR = Veth(name="veth1", mac="m1", peer="eth0", peer_mac="p1")
STANDS = PairStands("m1", "p1")
RESULT = {
    "interfaces": [
        {"name": "cali1", "mac": "EE:EE"},
        {"name": "eth0", "mac": "AA:01", "sandbox": "/run/netns/c1"},
    ],
    "ips": [{"address": "10.9.0.2/24"}],
}


def link(name: str = "eth0", mac: str = "", kind: str = "veth") -> Link:
    return Link(index=2, name=name, kind=kind, mac=mac, mtu=1500, up=True)


class Blind(RecordingWorld):
    """No path leads anywhere, unless `visible`."""

    visible = False

    def reaches(self, netns: str, sandbox: str) -> bool:
        return self.visible


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


Made = Callable[..., Record]


@pytest.fixture
def made(store: Store) -> Made:
    def make(
        nsid: int = OURS,
        *steps: Any,
        sandbox: str = SANDBOX,
        container: str = "c1",
        result: Any = None,
        previous: Any = None,
    ) -> Record:
        config = {"prevResult": previous} if previous else {}
        with store.write() as tx:
            record = tx.begin(
                host="host-1",
                network="web",
                container=container,
                interface="eth0",
                plugin="any",
                digest="",
                sandbox=sandbox,
                netns="/run/netns/c1",
                request=Call({}, config).dump(),
                nsid=nsid,
            )
            record = tx.pend(record, [Step(at, step) for at, step in enumerate(steps)])
            return tx.ready(record, json.dumps(result) if result else "")

    return make


def seen(store: Store, record: Record, facts: dict[Query[Any], Any], **world: Any) -> Fate:
    blind = Blind(facts, sandbox=world.pop("sandbox", ""))
    for name, value in world.items():
        setattr(blind, name, value)
    return fate(store, blind, record)


def test_a_number_of_ours_tells_by_itself(store: Store, made: Made) -> None:
    record = made()
    assert seen(store, record, {NumberKnown(OURS): True}) is Fate.ALIVE
    assert seen(store, record, {NumberKnown(OURS): False}) is Fate.DEAD
    assert seen(store, record, {}) is Fate.UNKNOWN


def test_a_number_of_ours_is_none_that_the_kernel_chooses() -> None:
    assert own_number("1") != own_number("2")
    assert all(own_number(str(cookie)) >= 1 << 30 for cookie in (0, 1, 1 << 30, 1 << 62))
    assert all(own_number(str(cookie)) < 1 << 31 for cookie in (0, 1, 1 << 31, 1 << 62))
    assert own_number("") == NO_NUMBER


def test_who_asks_from_within_lives(store: Store, made: Made) -> None:
    assert seen(store, made(), {NumberKnown(OURS): False}, sandbox=SANDBOX) is Fate.ALIVE
    within = made(NO_NUMBER, sandbox="host-1")
    assert seen(store, within, {}) is Fate.ALIVE


def test_of_another_host_and_of_no_namespace_nothing_is_known(store: Store, made: Made) -> None:
    facts: dict[Query[Any], Any] = {NumberKnown(OURS): False, STANDS: False}
    assert seen(store, replace(made(), host="host-2"), facts) is Fate.UNKNOWN
    assert seen(store, replace(made(), sandbox=""), facts) is Fate.UNKNOWN


def test_a_path_that_leads_there_proves_life(store: Store, made: Made) -> None:
    record = made(NO_NUMBER, PAIR)
    assert seen(store, record, {STANDS: False}, visible=True) is Fate.ALIVE
    assert seen(store, record, {STANDS: False}) is Fate.DEAD


@pytest.mark.parametrize("nsid", [OURS, THEIRS, NO_NUMBER])
def test_the_hosts_end_stands_against_all_else(store: Store, made: Made, nsid: int) -> None:
    record = made(nsid, PAIR)
    facts: dict[Query[Any], Any] = {NumberKnown(nsid): False, STANDS: False}
    assert seen(store, record, facts) is Fate.DEAD
    facts[LinkNamed("veth1")] = link("veth1", "m1")
    assert seen(store, record, facts) is Fate.UNKNOWN
    facts[LinkNamed("veth1")] = link("veth1", "another")
    assert seen(store, record, facts) is Fate.DEAD


def test_without_a_number_a_pair_is_looked_for_under_every_name(store: Store, made: Made) -> None:
    record = made(NO_NUMBER, PAIR)
    assert seen(store, record, {STANDS: True}) is Fate.UNKNOWN
    assert seen(store, record, {STANDS: None}) is Fate.UNKNOWN
    assert seen(store, record, {STANDS: False}) is Fate.DEAD
    assert seen(store, made(NO_NUMBER, container="c2"), {}) is Fate.UNKNOWN


def test_the_pair_may_be_another_plugins(store: Store, made: Made) -> None:
    made(NO_NUMBER, PAIR)
    chained = made(NO_NUMBER)
    assert seen(store, chained, {STANDS: False}) is Fate.DEAD
    assert seen(store, chained, {STANDS: True}) is Fate.UNKNOWN


# --- a number that the kernel chose ---------------------------------------------------------------


def behind(*links: Link, addresses: tuple[str, ...] = ()) -> dict[Query[Any], Any]:
    return {
        NumberKnown(THEIRS): True,
        LinksNumbered(THEIRS): links,
        AddressesNumbered(THEIRS): addresses,
    }


@pytest.mark.parametrize("by", ["result", "previous"])
def test_a_mac_that_is_on_record_proves_life(store: Store, made: Made, by: str) -> None:
    record = made(THEIRS, **{by: RESULT})
    assert seen(store, record, behind(link(mac="aa:01"))) is Fate.ALIVE
    assert seen(store, record, behind(link(name="renamed", mac="aa:01"))) is Fate.ALIVE
    assert seen(store, record, behind(link(mac="aa:02"))) is Fate.DEAD
    # The host's end has its MAC outside.
    assert seen(store, record, behind(link(mac="ee:ee"))) is Fate.DEAD


def test_so_does_one_that_was_made_or_given(store: Store, made: Made) -> None:
    record = made(THEIRS, PAIR, LinkAddress(name="eth0", mac="t1", place="sandbox"))
    facts: dict[Query[Any], Any] = {STANDS: False}
    assert seen(store, record, behind(link(mac="p1")) | facts) is Fate.ALIVE
    assert seen(store, record, behind(link(mac="t1")) | facts) is Fate.ALIVE
    assert seen(store, record, behind(link(mac="x")) | facts) is Fate.DEAD
    assert seen(store, record, behind(link(mac="x")) | {STANDS: True}) is Fate.UNKNOWN


@pytest.mark.parametrize(("bridge", "expected"), [(True, Fate.UNKNOWN), (False, Fate.DEAD)])
def test_without_an_end_on_the_host_nothing_is_missed(
    store: Store, made: Made, bridge: bool, expected: Fate
) -> None:
    """Not even where none of its MACs and addresses is: they may have been changed."""
    inside = {**RESULT, "interfaces": RESULT["interfaces"][1:]}
    there = behind(link(mac="aa:02"))
    assert seen(store, made(THEIRS, result=inside), there) is Fate.UNKNOWN
    inside["interfaces"] = [{"name": "br0", "mac": "bb:01"}, *inside["interfaces"]]
    facts = {LinkNamed("br0"): link("br0", "bb:01", "bridge") if bridge else None}
    assert seen(store, made(THEIRS, container="c2", result=inside), there | facts) is expected


def test_an_address_proves_no_death(store: Store, made: Made) -> None:
    record = made(THEIRS, previous=RESULT)
    there = behind(link(mac="aa:02"), addresses=("127.0.0.1/8", "10.9.0.2/16"))
    assert seen(store, record, there) is Fate.UNKNOWN
    assert seen(store, record, there | {AddressesNumbered(THEIRS): None}) is Fate.UNKNOWN
    assert seen(store, record, there | {LinksNumbered(THEIRS): None}) is Fate.UNKNOWN


def test_of_what_nothing_is_on_record_nothing_is_missed(store: Store, made: Made) -> None:
    record = made(THEIRS)
    assert seen(store, record, behind(link(mac="aa:02"))) is Fate.UNKNOWN


def test_the_end_that_somebody_else_has_made_counts(store: Store, made: Made) -> None:
    record = made(THEIRS, previous=RESULT)
    facts: dict[Query[Any], Any] = {NumberKnown(THEIRS): False}
    assert seen(store, record, facts) is Fate.DEAD
    cali = LinkNamed("cali1")
    assert seen(store, record, {**facts, cali: link("cali1", "ee:ee")}) is Fate.UNKNOWN
    assert seen(store, record, {**facts, cali: link("cali1", "ee:ff")}) is Fate.DEAD
    # A bridge stays whoever dies.
    assert seen(store, record, {**facts, cali: link("cali1", "ee:ee", "bridge")}) is Fate.DEAD


def test_a_number_that_is_anothers_by_now(store: Store, made: Made) -> None:
    """By a later record, or by who asks; whatever that one has in common with the dead."""
    earlier = made(THEIRS, sandbox="1", container="c0", previous=RESULT)
    record = made(THEIRS, previous=RESULT)
    there = behind(link(mac="aa:01"))
    assert seen(store, record, there) is Fate.ALIVE
    assert seen(store, earlier, there) is Fate.DEAD

    class Asking(Blind):
        def number(self) -> int:
            return THEIRS

    assert fate(store, Asking(there, sandbox="5000"), record) is Fate.DEAD


def test_what_is_in_no_store_is_judged_by_what_it_says(store: Store, made: Made) -> None:
    remembered = replace(made(THEIRS), id=0, request="", result=json.dumps(RESULT))
    blind = Blind(behind(link(mac="aa:01")), sandbox="")
    assert fate(None, blind, remembered) is Fate.ALIVE
    blind = Blind(behind(link(mac="aa:02")), sandbox="")
    assert fate(None, blind, remembered) is Fate.DEAD
