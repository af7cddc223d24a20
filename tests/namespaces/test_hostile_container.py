"""What a hostile container can't do.

The tables in docs/plugins/bridge.md and firewall.md are read and compared with what comes of each
attempt, really made, under each key and policy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import drive
import pytest
from attempts import ATTEMPTS, Variants, be_the_host_s_router, reach_the_host_s_loopback
from bridges import with_result
from evidence import elements
from hostile import (
    ARP,
    NONE,
    arp,
    frame,
    icmpv6,
    multicast_mac,
    solicit,
    solicited_node,
    tap,
    udp,
)
from hostile_site import GATEWAY, OUTSIDE, Party, Scene, network
from intrusions import INTRUSIONS
from scenes import BROADCAST, add, container, in_host, run, succeed, the_error

import pynet
from pynet.testnets.lab.lab import DiedBySignal, Host

PAGES = Path(pynet.__file__).resolve().parent / "docs" / "plugins"
KEYS: dict[str, dict[str, bool]] = {
    "neither": {"macspoofchk": False},
    "macspoofchk": {"macspoofchk": True},
    "ipspoofchk": {"macspoofchk": False, "ipspoofchk": True},
    "both": {"macspoofchk": True, "ipspoofchk": True},
}
POLICIES = ("open", "same-bridge", "isolated")
BOTH = KEYS["both"]


def documented(page: str, opening: str, columns: tuple[str, ...]) -> dict[str, dict[str, bool]]:
    """What the page's table under the cell `opening` says of each attempt, by column."""
    text = (PAGES / page).read_text().partition(f"| {opening} |")[2].partition("\n\n")[0]
    found = {}
    for row in text.splitlines()[2:]:
        attempt, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        answers = [{"yes": True, "no": False}[cell] for cell in cells]
        found[attempt] = dict(zip(columns, answers, strict=True))
    return found


KEYED = documented("bridge.md", "it tries to", tuple(KEYS))
GUARDED = documented("firewall.md", "a container that", POLICIES)


def test_the_tables_have_every_attempt() -> None:
    assert set(KEYED) == set(ATTEMPTS)
    assert set(GUARDED) == set(INTRUSIONS)


def differences(
    attempts: dict[str, Callable[[Scene], Variants]],
    table: dict[str, dict[str, bool]],
    column: str,
    scene: Scene,
) -> Iterator[str]:
    """Where an attempt, in any of its variants, ends otherwise than the table says."""
    for name, attempt in attempts.items():
        variants = list(attempt(scene))
        assert variants, name
        for variant, succeeded in variants:
            if succeeded != table[name][column]:
                yield f"{name}: {variant}: {succeeded}"


@pytest.mark.parametrize("keys", KEYS)
@in_host
def test_every_attempt_of_the_table(keys: str) -> None:
    assert list(differences(ATTEMPTS, KEYED, keys, Scene(**KEYS[keys]))) == []


@pytest.mark.parametrize("keys", ["neither", "both"])
@in_host
def test_every_attempt_on_a_bridge_that_was_there(keys: str) -> None:
    """Somebody else has made it: what the page says of that is all that is different."""
    scene = Scene(theirs=True, **KEYS[keys])
    assert "no_linklocal_learn 0" in run("ip -d link show cni0")
    table = KEYED | {"get it by way of `01:80:c2:00:00:0e`": dict.fromkeys(KEYS, True)}
    assert list(differences(ATTEMPTS, table, keys, scene)) == []


@pytest.mark.parametrize("policy", POLICIES)
@in_host
def test_every_intrusion_of_the_table(policy: str) -> None:
    scene = Scene()
    scene.firewall(scene.good, policy)
    assert list(differences(INTRUSIONS, GUARDED, policy, scene)) == []


@in_host
def test_every_intrusion_on_a_bridge_that_was_there() -> None:
    scene = Scene(theirs=True)
    scene.firewall(scene.good, "isolated")
    assert list(differences(INTRUSIONS, GUARDED, "isolated", scene)) == []


@in_host
def test_nobody_answers_for_another_with_ipspoofchk() -> None:
    """What the firewall's table leaves open: a connection's packets are told by addresses."""
    scene = Scene(**BOTH)
    scene.firewall(scene.good, "isolated")
    name = "sends what looks like the answer to what it asked"
    assert [succeeded for _, succeeded in INTRUSIONS[name](scene)] == [False, False]


@pytest.mark.parametrize("keys", [{}, {"snat": False}, {"masqAll": True}], ids=str)
@pytest.mark.parametrize("hairpin", [False, True])
@in_host
def test_loopback_whatever_is_published(keys: dict[str, bool], hairpin: bool) -> None:
    scene = Scene(macspoofchk=False, hairpinMode=hairpin)
    scene.portmap = keys
    assert [what for what, reached in reach_the_host_s_loopback(scene) if reached] == []


@in_host
def test_it_is_the_table_that_guards_loopback() -> None:
    scene = Scene(macspoofchk=False)
    attempt = reach_the_host_s_loopback(scene)
    next(attempt)
    run("nft flush set inet pynet loopback_guarded")
    reached = {what.partition(" by ")[0] for what, arrived in attempt if arrived}
    assert {"127.9.9.9", "the gateway from 127.9.9.9"} <= reached


@in_host
def test_it_is_the_bridge_that_does_not_learn() -> None:
    scene = Scene(**BOTH)
    run("ip link set cni0 type bridge no_linklocal_learn 0")
    attempt = ATTEMPTS["get it by way of `01:80:c2:00:00:0e`"]
    assert [succeeded for _, succeeded in attempt(scene)] == [True]


@in_host
def test_it_is_accept_ra_that_keeps_routers_off() -> None:
    scene = Scene(macspoofchk=False)
    run("sysctl -qw net.ipv6.conf.cni0.accept_ra=2")
    accepted = {what for what, succeeded in be_the_host_s_router(scene) if succeeded}
    assert accepted == {"advertised", "behind a header"}


# --- who is honest is not disturbed -------------------------------------------------------


@pytest.mark.parametrize("keys", ["macspoofchk", "ipspoofchk", "both"])
@in_host
def test_what_an_honest_container_sends_arrives(keys: str) -> None:
    scene = Scene(**KEYS[keys])
    bad, friend = scene.bad, scene.friend
    mine, group = bad.address, solicited_node(bad.address[6])
    dhcp = udp("0.0.0.0", "255.255.255.255", b"discover", 67, 68)
    dhcp6 = udp(bad.link_local, "ff02::1:2", b"solicit", 547, 546)
    name = udp(mine[4], "224.0.0.251", b"who is it", 5353, 5353)
    for what, where, packet, kind in (
        ("a DHCP request", BROADCAST, dhcp, 0),
        ("a DHCPv6 request", multicast_mac("ff02::1:2"), dhcp6, 0),
        ("a question by mDNS", multicast_mac("224.0.0.251"), name, 0),
        ("an ARP probe", BROADCAST, arp(1, (bad.mac, "0.0.0.0"), (bad.mac, mine[4])), ARP),
        ("an ARP announcement", BROADCAST, arp(1, (bad.mac, mine[4]), (bad.mac, mine[4])), ARP),
        ("DAD", multicast_mac(group), solicit(NONE, group, mine[6]), 0),
        ("DAD, link-local", multicast_mac(group), solicit(NONE, group, bad.link_local), 0),
        ("MLD", multicast_mac("ff02::16"), icmpv6(NONE, "ff02::16", 143, bytes(4)), 0),
        ("who is a router", multicast_mac("ff02::2"), icmpv6(NONE, "ff02::2", 133, bytes(4)), 0),
    ):
        ear = tap("eth0", "friend")
        scene.send(frame(bad.mac, where, packet, kind), to=friend)
        assert ear.heard(packet[-20:]), what
    for version in (4, 6):
        for address in (friend.address[version], GATEWAY[version], OUTSIDE[version]):
            run(f"ping -c 1 -W 3 {address}", netns="bad")
        run(f"ping -c 1 -W 3 {mine[version]}", netns="friend")
    run(f"ping -c 1 -W 3 {friend.link_local}%eth0", netns="bad")


@in_host
def test_duplicate_address_detection_goes_on() -> None:
    """Who is guarded asks whether its address is free, and is told that it is not."""
    add(network("web", "cni0", **KEYS["neither"]), container("squatter"))
    run("ip -n squatter addr add fd00:1::3/64 dev eth0 nodad")
    wanted = network("web", "cni0", **BOTH, enabledad=True)
    assert "fd00:1::3" in the_error(drive.call("ADD", wanted, container("c1")))["msg"]


@pytest.mark.parametrize("bridged", ["0", "1"])
@in_host
def test_a_closed_network_is_one(bridged: str) -> None:
    """Whether or not bridged frames pass the tables of IP (br_netfilter)."""
    scene = Scene(**BOTH)
    for name in ("iptables", "ip6tables"):
        path = Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}")
        if path.exists():  # else there is no br_netfilter
            path.write_text(bridged)
    Party.join("inmate", scene.closed)
    mate = Party.join("mate", scene.closed)
    for address in mate.address.values():
        run(f"ping -c 1 -W 3 {address}", netns="inmate")


# --- its elements -------------------------------------------------------------------------

CLOSED = network("web", "cni0", isDefaultGateway=False, ipMasq=False, **BOTH)
SETS = ("addressed", "addressed4", "addressed6", "bridged", "confined4", "confined6")


def ours() -> set[str]:
    words = tuple(f"element {name} " for name in SETS)
    return {line for line in elements() if line.startswith(words)}


@in_host
def test_each_of_them_is_checked() -> None:
    runtime = container("c1")
    result = add(CLOSED, runtime)
    checked = with_result(CLOSED, result)
    succeed("CHECK", checked, runtime)
    for name in SETS:
        family = "bridge" if name.startswith("addressed") else "inet"
        before = run(f"nft list set {family} pynet {name}")
        run(f"nft flush set {family} pynet {name}")
        error = the_error(drive.call("CHECK", checked, runtime))
        assert error["code"] == 101 and name in error["msg"]
        Path("/run/before").write_text(before)
        run("nft -f /run/before")
        succeed("CHECK", checked, runtime)
    run("nft flush chain bridge pynet addresses")
    assert "addresses" in the_error(drive.call("CHECK", checked, runtime))["msg"]


@pytest.mark.parametrize("record", ["there", "gone"])
@in_host
def test_they_go_with_del(record: str) -> None:
    runtime = container("c1")
    result = add(CLOSED, runtime)
    assert len({line.split()[1] for line in ours()}) == len(SETS)
    if record == "gone":
        for path in Path("/run/pynet").glob("pynet.db*"):
            path.unlink()
    succeed("DEL", with_result(CLOSED, result), runtime)
    assert ours() == set()


def test_killed_anywhere_nothing_of_them_is_left(host: Host) -> None:
    host.container("c1")
    runtime = drive.Runtime()
    for command in ("ADD", "DEL"):
        for count in itertools.count(1):
            if command == "DEL":
                host.call(succeed, "ADD", CLOSED, runtime)
            calling = host.fork_call(drive.killed_at, count, command, CLOSED, runtime)
            try:
                finished = calling.wait()
            except DiedBySignal:
                finished = None
            host.call(succeed, "DEL", CLOSED, runtime)
            assert host.call(ours) == set(), f"{command} killed at {count}"
            if finished:
                assert finished.status == 0 and count > 5
                break


@in_host
def test_they_come_back_after_a_flush() -> None:
    add(CLOSED, container("c1"))
    before = ours()
    run("nft flush ruleset")
    add(CLOSED, container("c2"))
    assert before < ours()


@in_host
def test_without_addresses_there_is_nothing_to_guard() -> None:
    wanted = {**CLOSED, "ipam": {}}
    error = the_error(drive.call("ADD", wanted, container("c1")))
    assert error["code"] == 7 and "ipspoofchk" in error["msg"]
