"""What becomes of the host's own link beside `macvlan`: what is lost is mended, and it goes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import lan
import pytest
from drive import MACVLAN, STATE, Runtime
from drive import MACVLAN_LEG as LEGGED
from evidence import nothing_left, rest
from executables import Executables
from legs import HOST, LEG, attached, bare, host_reaches
from references import REFERENCE, needs_reference
from scenes import container, in_host, reaches, refused, run, succeed, wait_for, whole
from test_findings import commands, obey, pynet

from pynet.testnets.lab.host import Host

OTHER_RANGES = [
    [{"subnet": "10.6.0.0/24", "rangeStart": "10.6.0.100", "rangeEnd": "10.6.0.199"}],
    [{"subnet": "fd00:6::/64", "rangeStart": "fd00:6::100", "rangeEnd": "fd00:6::199"}],
]
"""Of which `LEGGED` gives none."""


def leg_goes() -> None:
    run(f"ip link del {LEG}")


def leg_down() -> None:
    run(f"ip link set {LEG} down")


def address_goes() -> None:
    run(f"ip addr del {HOST[0]}/32 dev {LEG}")


def ipv6_address_goes() -> None:
    run(f"ip addr del {HOST[1]}/128 dev {LEG}")


def route_goes() -> None:
    run(f"ip route del 10.6.0.2/32 dev {LEG}")


def ipv6_route_goes() -> None:
    run(f"ip -6 route del fd00:6::2/128 dev {LEG}")


def other_mode() -> None:
    run(f"ip link set {LEG} type macvlan mode private")


def other_mac() -> None:
    run(f"ip link set {LEG} address 02:00:00:00:77:01")


each_loss = pytest.mark.parametrize(
    ("happens", "words"),
    [
        (leg_goes, f"{LEG} is missing"),
        (leg_down, f"{LEG}: state is down, should be up"),
        (address_goes, f"{LEG}: address 10.6.0.250/32 is missing"),
        (ipv6_address_goes, f"{LEG}: address fd00:6::250/128 is missing"),
        (route_goes, f"route 10.6.0.2/32 dev {LEG} src 10.6.0.250 is missing"),
        (ipv6_route_goes, f"route fd00:6::2/128 dev {LEG} src fd00:6::250 is missing"),
        (other_mac, f"{LEG}: MAC is 02:00:00:00:77:01"),
    ],
)


@each_loss
@in_host
def test_check_sees_what_is_lost_and_reload_mends_it(
    happens: Callable[[], None], words: str
) -> None:
    lan.wire()
    before = rest()
    runtime, result = attached("c1")
    given = {**LEGGED, "prevResult": result}
    whole_before = whole()
    happens()
    refused(101, words, "CHECK", given, runtime)
    assert "put right" in pynet("reload")
    succeed("CHECK", given, runtime)
    assert nothing_left(whole_before, whole()) == []
    for host, own in zip(HOST, bare(result), strict=True):
        assert host_reaches(own) and reaches("c1", host)
    succeed("DEL", given, runtime)
    assert nothing_left(before, rest()) == []


@in_host
def test_inspect_shows_the_leg_and_what_mends_it() -> None:
    lan.wire()
    runtime, result = attached("c1")
    attached("c2")
    shown = pynet("inspect")
    assert shown.count(f"the host beside it:  {LEG}  10.6.0.250/32  fd00:6::250/128") == 2
    assert all("c1" in pynet(f"inspect {word}") for word in (LEG, *HOST))
    (one, _) = json.loads(pynet("inspect --json"))["attachments"]
    assert (one["leg"], one["leg_addresses"]) == (LEG, ["10.6.0.250/32", "fd00:6::250/128"])
    for happens, words in (
        (leg_down, f"{LEG}: state is down, should be up (for 2 attachments)"),
        (address_goes, f"{LEG}: address 10.6.0.250/32 is missing (for 2 attachments)"),
        (leg_goes, f"{LEG} is missing (for 2 attachments)"),
    ):
        happens()
        said = pynet("inspect", status=1)
        assert words in said, said
        assert commands(said) == ["pynet reload"], said
        obey(said)
        assert "all as made" in pynet("inspect")
        succeed("CHECK", {**LEGGED, "prevResult": result}, runtime)


@in_host
def test_check_sees_another_mode() -> None:
    lan.wire()
    runtime, result = attached("c1")
    other_mode()
    refused(101, f"{LEG}: mode is private", "CHECK", {**LEGGED, "prevResult": result}, runtime)
    succeed("DEL", {**LEGGED, "prevResult": result}, runtime)
    assert LEG not in run("ip -br link")


@pytest.mark.parametrize("gone", [LEG, "nic0"])
@in_host
def test_del_without_the_leg_or_the_master(gone: str) -> None:
    lan.wire()
    runtime, result = attached("c1")
    run(f"ip link del {gone}")
    succeed("DEL", {**LEGGED, "prevResult": result}, runtime)
    succeed("DEL", {**LEGGED, "prevResult": result}, runtime)
    assert "eth0" not in run("ip -n c1 -br link") and LEG not in run("ip -br link")


def lose() -> None:
    shutil.rmtree(STATE)


@pytest.mark.parametrize("first", [0, 1])
@in_host
def test_a_leg_whose_store_was_lost_goes_with_the_last_container(first: int) -> None:
    """Whichever of both that is: the one on no record, or the one that came after the loss."""
    lan.wire()
    before = rest()
    lost = attached("c1")
    lose()
    elsewhere = {**LEGGED, "ipam": {**LEGGED["ipam"], "ranges": OTHER_RANGES}}
    known = attached("c2", elsewhere)
    both = [(LEGGED, *lost), (elsewhere, *known)]
    config, runtime, result = both[first]
    succeed("DEL", {**config, "prevResult": result}, runtime)
    config, runtime, result = both[1 - first]
    for host, own in zip(HOST, bare(result), strict=True):
        assert reaches(runtime.container, host) and host_reaches(own)
    succeed("DEL", {**config, "prevResult": result}, runtime)
    assert nothing_left(before, rest()) == []


@in_host
def test_gc_removes_the_leg_of_those_who_died_on_no_record() -> None:
    lan.wire()
    before = rest()
    one, _ = attached("c1")
    two, _ = attached("c2")
    lose()
    run("ip netns del c2")
    given = {**LEGGED, "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]}
    succeed("GC", given, one)  # which of both a route leads to nobody can tell
    assert reaches("c1", HOST[0])
    run("ip netns del c1")
    succeed("GC", {**LEGGED, "cni.dev/valid-attachments": []}, two)
    wait_for(lambda: nothing_left(before, rest()) == [])  # the kernel takes its time


@in_host
def test_gc_leaves_what_is_another_network_s_or_somebody_else_s() -> None:
    lan.wire()
    attached("c1")
    lose()
    run("ip link add nic1 type veth peer name peer1")
    run("ip link add link nic1 name mv-nic1 type macvlan mode bridge")
    other = {**LEGGED, "name": "second", "hostAddresses": ["10.6.0.251"]}
    before = rest()
    for config in (other, {**other, "master": "nic1"}):
        succeed("GC", {**config, "cni.dev/valid-attachments": []}, Runtime("c1"))
    assert nothing_left(before, rest()) == []


@needs_reference("macvlan")
def test_a_container_of_the_reference_on_the_same_master_is_unaffected(host: Host) -> None:
    theirs = {**MACVLAN, "name": "old", "cniVersion": "1.0.0"}
    theirs["ipam"] = {"type": "host-local", "subnet": "10.6.0.0/24", "rangeStart": "10.6.0.100"}
    reference = Executables(REFERENCE)
    host.call(lan.wire)
    old = host.call(lambda: container("old"))
    outcome = reference.call(host, "ADD", theirs, old)
    assert outcome.status == 0, outcome.stdout
    host.call(lambda: beside_the_reference(bare(outcome.document)[0]))
    assert reference.call(host, "DEL", theirs, old).status == 0


def beside_the_reference(address: str) -> None:
    before = whole()
    assert reaches("old", "10.6.0.1")
    runtime, result = attached("c1")
    assert reaches("c1", address) and reaches("old", "10.6.0.1")
    assert not reaches("old", HOST[0])  # no route of the host leads back
    succeed("DEL", {**LEGGED, "prevResult": result}, runtime)
    run("ip netns del c1")
    assert reaches("old", "10.6.0.1")
    assert {line for line in before if line.startswith("old: ")} <= whole()
