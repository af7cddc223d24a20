"""Who is dead: only whose namespace is gone, whatever became of names, MACs, paths and numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import drive
import pytest
from drive import Runtime
from evidence import rest
from scenes import container, in_host, ip, run, the_error, wait_for

from pynet.daemon.serve import Services
from pynet.engine.witness import Fate, fate
from pynet.kernel import namespaces, witness
from pynet.kernel.netlink import links
from pynet.kernel.netlink.rtnl_socket import Socket
from pynet.kernel.warm import Warm
from pynet.kernel.world import KernelWorld
from pynet.model.place import own_number
from pynet.model.query import DYING
from pynet.store.records import Record
from pynet.store.store import Store

Config = dict[str, Any]

FULL: Config = {
    **drive.BRIDGE,
    # One address for containers, beside the gateway's.
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/30"},
}
FULL_LAN: Config = {
    **drive.MACVLAN,
    "ipam": {"type": "host-local", "subnet": "10.6.0.0/24", "rangeEnd": "10.6.0.2",
             "rangeStart": "10.6.0.2"},
}  # fmt: skip
PORTMAP: Config = {
    **drive.PORTMAP,
    "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]},
}


class Place:
    """Calls as a warm daemon serves them, or as a process of its own does."""

    def __init__(self, warm: bool) -> None:
        self.services = Services(drive.STATE, warm=Warm() if warm else None)

    def call(self, command: str, config: Config, runtime: Runtime | None = None) -> drive.Outcome:
        return drive.call(command, config, runtime, self.services)

    def succeed(self, command: str, config: Config, runtime: Runtime | None = None) -> Any:
        outcome = self.call(command, config, runtime)
        assert outcome.status == 0, outcome.stdout
        return outcome.document

    def records(self) -> list[Record]:
        with self.services.store.read() as tx:
            return tx.records()

    def fate(self, record: Record) -> Fate:
        fd = namespaces.own()
        try:
            world = KernelWorld(fd, None, netns="", our_plugins=frozenset())
            with world:
                return fate(Store.open(drive.STATE), world, record)
        finally:
            os.close(fd)


warm_or_not = pytest.mark.parametrize("warm", [True, False], ids=["warm", "one-shot"])


@contextmanager
def out_of_sight(name: str) -> Iterator[None]:
    """The namespace lives, and no path leads to it from here."""
    kept = os.open(f"/run/netns/{name}", os.O_RDONLY)
    run(f"umount -l /run/netns/{name}")
    Path(f"/run/netns/{name}").unlink()
    yield
    os.close(kept)


def die(name: str) -> None:
    """The one container that is attached."""
    run(f"ip netns del {name}")
    wait_for(lambda: not ip("link show type veth"))


def host_end() -> str:
    (link,) = ip("link show type veth")
    return str(link["ifname"])


def renamed() -> None:
    run(f"ip link set {host_end()} name uplink7")


def given_another_mac() -> None:
    run(f"ip link set {host_end()} address 02:11:22:33:44:55")


def renamed_and_given_another_mac() -> None:
    renamed()
    given_another_mac()


def moved() -> None:
    run("ip netns add elsewhere")
    run(f"ip link set {host_end()} netns elsewhere")


DISGUISES = [renamed, given_another_mac, renamed_and_given_another_mac, moved]


# --- the living -----------------------------------------------------------------------------------


@warm_or_not
@pytest.mark.parametrize("hidden", [False, True], ids=["in sight", "out of sight"])
@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda disguise: disguise.__name__)
@in_host
def test_nobody_who_lives_is_collected(
    disguise: Callable[[], None], hidden: bool, warm: bool
) -> None:
    place = Place(warm)
    place.succeed("ADD", FULL, container("c1"))
    other = container("c2")
    disguise()
    if not hidden:
        _all_that_collects(place, other)
        return
    with out_of_sight("c1"):
        _all_that_collects(place, other)


def _all_that_collects(place: Place, other: Runtime) -> None:
    before = rest()
    place.succeed("GC", FULL)
    assert the_error(place.call("STATUS", FULL))["code"] == 50
    assert the_error(place.call("ADD", FULL, other))["code"] == 50
    assert rest() == before


@pytest.mark.parametrize("disguise", DISGUISES[:3], ids=lambda disguise: disguise.__name__)
@in_host
def test_nobody_who_lives_is_collected_without_a_number(disguise: Callable[[], None]) -> None:
    """As it is on record of an earlier version: then the pair is looked for under every name."""
    place = Place(warm=False)
    place.succeed("ADD", FULL, container("c1"))
    _forget_numbers()
    disguise()
    with out_of_sight("c1"):
        assert [place.fate(record) for record in place.records()] == [Fate.UNKNOWN]
        _all_that_collects(place, container("c2"))
    wait_for(lambda: not ip("link show type veth"))
    assert [place.fate(record) for record in place.records()] == [Fate.DEAD]


def _forget_numbers() -> None:
    import sqlite3

    with sqlite3.connect(drive.STATE / "pynet.db") as database:
        database.execute("UPDATE record SET nsid = -1")
    database.close()


@in_host
def test_without_pair_and_number_nobody_knows() -> None:
    place = Place(warm=False)
    place.succeed("ADD", drive.LOOPBACK, container("c1"))
    _forget_numbers()
    run("ip netns del c1")
    assert [place.fate(record) for record in place.records()] == [Fate.UNKNOWN]


# --- the dead -------------------------------------------------------------------------------------


@warm_or_not
@in_host
def test_status_removes_nothing_and_counts_what_the_dead_hold_as_free(warm: bool) -> None:
    place = Place(warm)
    place.succeed("ADD", FULL, container("c1"))
    before = rest()
    assert the_error(place.call("STATUS", FULL))["code"] == 50
    assert rest() == before
    die("c1")
    before = rest()
    place.succeed("STATUS", FULL)
    assert rest() == before
    assert place.succeed("ADD", FULL, container("c2"))["ips"][0]["address"] == "10.1.0.2/30"


@in_host
def test_an_address_that_was_asked_for_is_taken_back_from_the_dead() -> None:
    place = Place(warm=False)
    asked = {**FULL, "runtimeConfig": {"ips": ["10.1.0.2/30"]}, "capabilities": {"ips": True}}
    place.succeed("ADD", asked, container("c1"))
    other = container("c2")
    assert the_error(place.call("ADD", asked, other))["code"] == 104
    die("c1")
    assert place.succeed("ADD", asked, other)["ips"][0]["address"] == "10.1.0.2/30"


@in_host
def test_the_number_on_record_is_the_namespaces_own() -> None:
    place = Place(warm=False)
    runtime = container("c1")
    result = place.succeed("ADD", drive.BRIDGE, runtime)
    place.succeed("ADD", {**PORTMAP, "prevResult": result}, runtime)
    records = place.records()
    assert {record.nsid for record in records} == {own_number(records[0].sandbox)}
    assert f"nsid {records[0].nsid} " in run("ip netns list-id")
    assert [place.fate(record) for record in records] == [Fate.ALIVE, Fate.ALIVE]


# --- behind somebody else's main plugin -----------------------------------------------------------


def theirs(name: str, address: str) -> tuple[Runtime, Config]:
    """A container that somebody else has attached, and portmap's configuration for it."""
    runtime = container(name)
    run(f"ip link add cali-{name} type veth peer name eth0 netns {name}")
    run(f"ip addr add {address}/24 dev eth0", netns=name)
    run("ip link set eth0 up", netns=name)
    mac = ip("link show eth0", name)[0]["address"]
    result = {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": f"cali-{name}", "mac": ip(f"link show cali-{name}")[0]["address"]},
            {"name": "eth0", "mac": mac, "sandbox": runtime.netns},
        ],
        "ips": [{"address": f"{address}/24", "interface": 1}],
    }
    return runtime, {**PORTMAP, "prevResult": result}


@warm_or_not
@pytest.mark.parametrize("address", ["10.9.0.2", "10.9.0.3"], ids=["its address", "another"])
@in_host
def test_a_port_comes_back_from_the_dead_behind_somebody_elses_plugin(
    address: str, warm: bool
) -> None:
    """Its number is the next container's at once, and its address may be."""
    place = Place(warm)
    runtime, config = theirs("c1", "10.9.0.2")
    number = ip("link show cali-c1")[0]["link_netnsid"]
    place.succeed("ADD", config, runtime)
    assert [record.nsid for record in place.records()] == [number]
    die("c1")
    wait_for(lambda: not run("ip netns list-id"))
    other, config = theirs("c2", address)
    assert ip("link show cali-c2")[0]["link_netnsid"] == number
    place.succeed("ADD", config, other)
    assert [record.container for record in place.records()] == ["c2"]


@in_host
def test_a_port_of_the_dead_behind_somebody_elses_plugin_is_collected() -> None:
    place = Place(warm=False)
    runtime, config = theirs("c1", "10.9.0.2")
    place.succeed("ADD", config, runtime)
    die("c1")
    theirs("c2", "10.9.0.3")
    place.succeed("GC", PORTMAP)
    assert place.records() == []


@warm_or_not
@in_host
def test_who_has_no_end_on_the_host_is_not_collected_for_another_mac_and_address(
    warm: bool,
) -> None:
    """By a number that is not of pynet's making its namespace is found, and may be another's."""
    place = Place(warm)
    drive.ready("macvlan")
    runtime = container("c1")
    run("ip netns set c1 5")
    place.succeed("ADD", FULL_LAN, runtime)
    kept = os.open(runtime.netns, os.O_RDONLY)
    run("ip link set eth0 address 02:11:22:33:44:55", netns="c1")
    run("ip addr flush dev eth0", netns="c1")
    run("umount -l /run/netns/c1")
    Path(runtime.netns).unlink()
    place.succeed("GC", FULL_LAN)
    assert {place.fate(record) for record in place.records()} == {Fate.UNKNOWN}
    assert the_error(place.call("ADD", FULL_LAN, container("c2")))["code"] == 50
    os.close(kept)


@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda disguise: disguise.__name__)
@in_host
def test_who_lives_behind_somebody_elses_plugin_keeps_its_port(
    disguise: Callable[[], None],
) -> None:
    place = Place(warm=False)
    runtime, config = theirs("c1", "10.9.0.2")
    place.succeed("ADD", config, runtime)
    disguise()
    with out_of_sight("c1"):
        other, wanted = theirs("c2", "10.9.0.3")
        place.succeed("GC", PORTMAP)
        assert the_error(place.call("ADD", wanted, other))["code"] == 104
        assert [record.container for record in place.records()] == ["c1"]


@in_host
def test_who_changed_its_mac_and_keeps_its_address_is_not_dead() -> None:
    place = Place(warm=False)
    runtime, config = theirs("c1", "10.9.0.2")
    place.succeed("ADD", config, runtime)
    run("ip link set eth0 address 02:00:00:00:00:07", netns="c1")
    moved()
    with out_of_sight("c1"):
        assert [place.fate(record) for record in place.records()] == [Fate.UNKNOWN]


# --- DEL ------------------------------------------------------------------------------------------


@warm_or_not
@pytest.mark.parametrize("hidden", [False, True], ids=["in sight", "out of sight"])
@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda disguise: disguise.__name__)
@in_host
def test_del_takes_the_interface_from_the_container(
    disguise: Callable[[], None], hidden: bool, warm: bool
) -> None:
    place = Place(warm)
    runtime = container("c1")
    before = rest()
    place.succeed("ADD", FULL, runtime)
    disguise()
    kept = os.open("/run/netns/c1", os.O_RDONLY)
    if hidden:
        with out_of_sight("c1"):
            place.succeed("DEL", FULL, runtime)
    else:
        place.succeed("DEL", FULL, runtime)
    with namespaces.entered(kept):
        assert [link["ifname"] for link in ip("link")] == ["lo"]
    os.close(kept)
    assert not ip("link show type veth")
    left = rest() - before
    # That the bridge is ours stays on record, as the bridge does.
    assert not [line for line in left if line.startswith("row ") and "shared" not in line]
    # The next container gets the address, and is alone with it.
    assert place.succeed("ADD", FULL, container("c2"))["ips"][0]["address"] == "10.1.0.2/30"


@in_host
def test_del_leaves_another_interface_of_that_name_alone() -> None:
    place = Place(warm=False)
    runtime = container("c1")
    place.succeed("ADD", FULL, runtime)
    run(f"ip link del {host_end()}")
    run("ip link add other type veth peer name eth0 netns c1")
    place.succeed("DEL", FULL, runtime)
    assert ip("link show eth0", "c1")
    assert place.records() == []


@in_host
def test_an_add_that_is_refused_takes_nothing_from_who_is_attached() -> None:
    """The same container and interface, with another configuration."""
    place = Place(warm=False)
    plain = {**drive.BRIDGE, "ipam": {}, "isDefaultGateway": False, "ipMasq": False}
    runtime = container("c1")
    place.succeed("ADD", plain, runtime)
    for disguise in (lambda: None, renamed):
        disguise()
        before = rest()
        assert the_error(place.call("ADD", {**plain, "mtu": 1400}, runtime))["code"] == 100
        assert rest() == before
        assert ip("link show eth0", "c1")
    place.succeed("DEL", plain, runtime)
    assert not ip("link show type veth")


@in_host
def test_a_pair_whose_other_namespace_is_being_taken_down_has_no_other_end() -> None:
    """For a moment the kernel knows that namespace by no number, and says -1."""
    sock = Socket("host")
    seen = []
    for _ in range(100):
        run("ip netns add c1")
        run("ip link add veth1 type veth peer name eth0 netns c1")
        run("ip netns del c1")
        while (end := links.by_name(sock, "veth1")) is not None:
            if end.peer_number == DYING:
                seen.append(witness.pair_named(sock, "veth1"))
        if any(seen):
            break
    pair = next(filter(None, seen))
    assert (pair.peer, pair.addresses) == (None, ())
