"""Buckets, hooks and redirections in real namespaces, as `tc` shows them."""

from __future__ import annotations

import ipaddress
import json
import os
from itertools import product
from typing import Any

import pytest
from pair import Pair, new_namespace

from pynet.kernel.kinds.shaping import filters_of
from pynet.kernel.world import KernelWorld
from pynet.model.errors import KernelError
from pynet.model.query import HostEnd
from pynet.model.resources import Ifb, RateLimit, Redirect, TrafficHook, Veth

IFB = Ifb(name="bwi1", mac="02:00:00:00:01:01", mtu=1400)
VETH = Veth(name="veth1", mac="02:00:00:00:01:02", peer="eth0", peer_mac="02:00:00:00:02:02")
HOOK = TrafficHook(name="veth1")
REDIRECT = Redirect(name="veth1", hook="ingress", to="bwi1")
BITS = [8, 9, 999, 64_000, 1_000_003, 10**9, 4 * 10**9 + 1, 8 * (2**32 - 1), 10**12, 2**63 - 1]
BYTES = [1514, 100_000, 65_537, 2**29 - 1, 2**32 - 1]


def drifts(world: KernelWorld, *resources: Any) -> list[str]:
    return [str(drift) for drift in world.verify_all(resources)]


def tc(pair: Pair, *words: str) -> Any:
    return json.loads(pair.run(pair.host, "tc", "-j", *words) or "[]")


def test_whatever_the_rate_and_the_burst_they_are_found_as_they_were_made(
    world: KernelWorld,
) -> None:
    """Also where the kernel's own telling of the burst overflows."""
    world.create([IFB])
    for rate, burst in product(BITS, BYTES):
        limit = RateLimit(name="bwi1", rate=rate, burst=burst, queue=20_000)
        world.create([limit])
        assert drifts(world, limit) == [], (rate, burst)
        for other in ({"burst": burst - burst // 50 - 1}, {"queue": 20_001}):
            changed = RateLimit(
                **{"name": "bwi1", "rate": rate, "burst": burst, "queue": 20_000, **other}
            )
            if rate <= 10**9:  # beyond it a tick is more than a few bytes
                assert drifts(world, changed) != [], (rate, burst, other)


def test_tc_shows_the_rate_and_the_burst(world: KernelWorld, pair: Pair) -> None:
    limit = RateLimit(name="bwi1", rate=8_000_000, burst=100_000, queue=50_000)
    world.create([IFB])
    world.create([limit])
    assert world.exists(limit)
    [shown] = tc(pair, "qdisc", "show", "dev", "bwi1")
    assert (shown["kind"], shown["handle"]) == ("tbf", "7079:")
    options = shown["options"]
    assert (options["rate"], options["burst"]) == (1_000_000, 100_000)
    world.delete([(limit, None)])
    assert not world.exists(limit)
    world.delete([(limit, None)])
    assert not any(each["kind"] == "tbf" for each in tc(pair, "qdisc", "show", "dev", "bwi1"))


def test_an_ifb_is_up_and_ours_by_its_mac(world: KernelWorld, pair: Pair) -> None:
    assert not world.exists(IFB)
    assert drifts(world, IFB) == ["bwi1 is missing"]
    world.create([IFB])
    shown = pair.link(pair.host, "bwi1")
    assert (shown["address"], shown["mtu"], "UP" in shown["flags"]) == (IFB.mac, 1400, True)
    assert world.exists(IFB) and drifts(world, IFB) == []
    world.delete([(Ifb(name="bwi1", mac="02:00:00:00:09:09"), None)])
    assert world.exists(IFB)
    world.delete([(IFB, None)])
    world.delete([(IFB, None)])
    assert not world.exists(IFB)


def test_a_hook_goes_once_nobodys_filters_are_there(world: KernelWorld, pair: Pair) -> None:
    world.create([VETH])
    world.create([IFB])
    assert not world.exists(HOOK)
    world.create([HOOK])
    world.create([HOOK])
    world.create([REDIRECT])
    assert world.exists(HOOK) and world.exists(REDIRECT)
    with pytest.raises(KernelError, match="filters of pynet's are still on veth1"):
        world.delete([(HOOK, None)])
    assert world.exists(HOOK)
    theirs = "filter add dev veth1 ingress prio 5 protocol ip u32 match u32 0 0 flowid 1:7"
    pair.run(pair.host, "tc", *theirs.split())
    world.delete([(REDIRECT, None)])
    world.delete([(HOOK, None)])
    assert world.exists(HOOK)
    pair.run(pair.host, "tc", *["filter", "del", "dev", "veth1", "ingress", "prio", "5"])
    world.delete([(REDIRECT, None)])
    world.delete([(HOOK, None)])
    assert not world.exists(HOOK)
    assert tc(pair, "filter", "show", "dev", "veth1", "ingress") == []
    world.delete([(VETH, None)])
    for gone in (REDIRECT, HOOK, RateLimit(name="veth1", rate=8, burst=8, queue=8)):
        assert not world.exists(gone)
        world.delete([(gone, None)])


def test_filters_are_in_the_order_of_their_search(world: KernelWorld) -> None:
    subnets = ("fd00::/20", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::1/128")
    for only in (True, False):
        redirect = Redirect(
            name="veth1", hook="egress", to="bwi1", side="dst", subnets=subnets, only=only
        )
        found = [*filters_of(redirect, 9)]
        assert [each.protocol for each in found[:4]] == [0x0800, 0x0800, 0x86DD, 0x86DD]
        assert {each.to for each in found[:4]} == {9 if only else 0}
        assert [each.to for each in found[4:]] == ([] if only else [9])
        assert [len(each.keys) for each in found[:4]] == [1, 0, 1, 4]
        assert found[0].keys[0].offset == 16
        assert found[2].keys[0].mask == ipaddress.IPv6Network("::/20").netmask.packed[:4]
        world.create([VETH])
        world.create([IFB])
        world.create([HOOK])
        world.create([redirect])
        assert drifts(world, redirect, HOOK) == []
        other = Redirect(
            name="veth1", hook="egress", to="bwi1", side="dst", subnets=subnets[1:], only=only
        )
        assert drifts(world, other) == ["veth1: egress filters is changed, should be those to bwi1"]
        world.delete([(VETH, None)])
        world.delete([(IFB, None)])


def test_the_hosts_end_of_a_pair(world: KernelWorld, pair: Pair) -> None:
    assert world.look(HostEnd("eth0")) is None
    world.create([VETH])
    found = world.look(HostEnd("eth0"))
    assert (found.name, found.mac) == ("veth1", VETH.mac)
    pair.run(pair.sandbox, "ip", "link", "add", "tap0", "type", "veth", "peer", "name", "tap1")
    assert world.look(HostEnd("tap0")) is None, "both of its ends are in the container"
    pair.run(pair.host, "ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
    assert world.look(HostEnd("eth9")) is None


def test_anothers_end_of_the_same_numbers_is_not_the_hosts_end(
    world: KernelWorld, pair: Pair
) -> None:
    """Both pairs have their other ends in a third namespace."""
    third = new_namespace()
    there = f"/proc/{os.getpid()}/fd/{third}"
    for where, name, index, other in (
        (pair.sandbox, "tap0", 50, 60),
        (pair.host, "eth9", 60, 50),
    ):
        words = f"link add {name} index {index} type veth peer name {name}x index {other}"
        pair.run(where, "ip", *words.split())
        pair.run(where, "ip", "link", "set", f"{name}x", "netns", there)
    inside, end = pair.link(pair.sandbox, "tap0"), pair.link(pair.host, "eth9")
    assert (inside["link_index"], end["link_index"]) == (end["ifindex"], inside["ifindex"])
    assert world.look(HostEnd("tap0")) is None
    os.close(third)


def test_inside_a_container_without_a_path_it_is_known_by_number(
    world: KernelWorld, pair: Pair
) -> None:
    """As when a process of it still runs."""
    inner = Ifb(name="bwi1", mac=IFB.mac, place="sandbox")
    world.create([inner])
    number = world.number()
    with world.visiting("/nowhere", "", number) as lost:
        lost.delete([(inner, None)])
    assert not world.exists(inner)
    assert os.fstat(pair.sandbox)


def test_what_stands_in_the_way_is_named(world: KernelWorld, pair: Pair) -> None:
    world.create([VETH])
    with pytest.raises(KernelError, match="there is no interface bwi1"):
        world.create([REDIRECT])
    words = "qdisc add dev veth1 root handle 9: tbf rate 1gbit burst 1mb limit 1mb"
    pair.run(pair.host, "tc", *words.split())
    with pytest.raises(KernelError, match=r"veth1 .* somebody else gave it"):
        world.create([RateLimit(name="veth1", rate=8000, burst=2000, queue=2000)])
