"""`bandwidth`: how fast bytes go, in both directions, behind a pair, macvlan and tap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import drive
import lan
import pytest
from chains import delete_list, with_result
from drive import BRIDGE, MACVLAN, Runtime
from rates import Way, assert_rate, measured, measured_at_first
from scenes import add, container, in_host, run, succeed
from taps import Tap

MBIT = 1_000_000
RATES = [1 * MBIT, 10 * MBIT, 100 * MBIT, 1000 * MBIT]
FAST = 300 * MBIT
"""No limit of these tests comes near it, and whoever has none is above it."""


@dataclass(frozen=True)
class Behind:
    """How a container is attached, where the other side is, and the addresses of both."""

    config: dict[str, Any]
    far: str
    interface: str
    theirs: tuple[str, str]
    ours: tuple[str, str]


BEHIND = {
    "bridge": Behind(BRIDGE, "", "cni0", ("10.1.0.1", "fd00:1::1"), ("10.1.0.2", "fd00:1::2")),
    "macvlan": Behind(
        {
            **MACVLAN,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.6.0.0/24"}], [{"subnet": "fd00:6::/64"}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        },
        lan.NEIGHBOUR,
        "eth0",
        ("10.6.0.1", "fd00:6::1"),
        ("10.6.0.2", "fd00:6::2"),
    ),
}
ELSEWHERE = ("10.99.0.1", "fd99::1")
"""What the other side has, too."""
SUBNETS = ["172.30.0.0/16", "10.99.0.0/16", "fd98::/20", "fd99::/64"]
each_kind = pytest.mark.parametrize("kind", sorted(BEHIND))
each_direction = pytest.mark.parametrize("direction", ["ingress", "egress"])


def limits(kind: str, direction: str, rate: int, burst: int, **more: Any) -> dict[str, Any]:
    name = BEHIND[kind].config["name"]
    pair = {f"{direction}Rate": rate, f"{direction}Burst": burst}
    return {"cniVersion": "1.1.0", "name": name, "type": "bandwidth", **pair, **more}


def attached(kind: str, config: dict[str, Any], name: str = "c1") -> Runtime:
    drive.ready(kind)
    runtime = container(name)
    add(with_result(config, add(BEHIND[kind].config, runtime)), runtime)
    return runtime


def way(kind: str, direction: str, family: int = 4, *, elsewhere: bool = False) -> Way:
    behind, which = BEHIND[kind], 0 if family == 4 else 1
    theirs = (ELSEWHERE if elsewhere else behind.theirs)[which]
    if direction == "ingress":
        return Way(behind.far, "c1", behind.ours[which], source=theirs)
    return Way("c1", behind.far, theirs)


def opposite(direction: str) -> str:
    return "egress" if direction == "ingress" else "ingress"


def check_rate(on: Way, rate: int, burst: int) -> None:
    """Over two seconds, after the burst and what may wait."""
    skip = burst // 8 + rate // 8
    assert_rate(rate, lambda: measured(on, skip=skip, size=rate // 4))


def is_free(on: Way) -> bool:
    return measured(on, skip=1 << 20, size=1 << 25) > FAST


@pytest.mark.parametrize("rate", RATES)
@each_direction
@each_kind
@in_host
def test_a_rate_is_held_within_a_tenth(kind: str, direction: str, rate: int) -> None:
    burst = rate // 25  # 40 ms of it
    attached(kind, limits(kind, direction, rate, burst))
    check_rate(way(kind, direction), rate, burst)


@each_direction
@each_kind
@in_host
def test_of_ipv6_too_and_of_that_direction_alone(kind: str, direction: str) -> None:
    rate, burst = 10 * MBIT, 400_000
    attached(kind, limits(kind, direction, rate, burst))
    check_rate(way(kind, direction, 6), rate, burst)
    # The other way there are only acknowledgements on the way of what is limited.
    assert is_free(way(kind, opposite(direction)))


@each_direction
@each_kind
@in_host
def test_a_burst_goes_at_once(kind: str, direction: str) -> None:
    rate, burst = 1 * MBIT, 16 * MBIT
    attached(kind, limits(kind, direction, rate, burst))
    speed = measured_at_first(way(kind, direction), size=burst // 8 * 9 // 10)
    assert speed > 8 * rate


@pytest.mark.parametrize("key", ["shapedSubnets", "unshapedSubnets"])
@each_direction
@each_kind
@in_host
def test_a_limit_of_some_subnets_is_about_the_other_side(
    kind: str, direction: str, key: str
) -> None:
    rate, burst = 10 * MBIT, 400_000
    attached(kind, limits(kind, direction, rate, burst, **{key: SUBNETS}))
    far = BEHIND[kind]
    for address in ELSEWHERE:
        nodad = "nodad" if ":" in address else ""
        run(f"ip addr add {address} dev {far.interface} {nodad}", netns=far.far)
    for family in (4, 6):
        in_subnet, beside = (way(kind, direction, family, elsewhere=each) for each in (True, False))
        limited, free = (in_subnet, beside) if key == "shapedSubnets" else (beside, in_subnet)
        check_rate(limited, rate, burst)
        assert is_free(free)


DB: dict[str, Any] = {
    **BRIDGE,
    "name": "db",
    "bridge": "cni1",
    "isDefaultGateway": False,
    "isGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"},
}


@in_host
def test_two_interfaces_of_a_container_have_a_limit_each() -> None:
    """The first goes, and the second keeps its own."""
    first = container("c1")
    second = replace(first, interface="eth1")
    burst = 400_000
    both = {"cniVersion": "1.1.0", "type": "bandwidth"}
    slow = {**both, "name": "web"} | pairs(5 * MBIT, burst)
    fast = {**both, "name": "db"} | pairs(40 * MBIT, burst)
    one = add(with_result(slow, add(BRIDGE, first)), first)
    two = add(with_result(fast, add(DB, second)), second)
    ifbs = [each["name"] for result in (one, two) for each in result["interfaces"][3:]]
    assert len(set(ifbs)) == 2
    check_rate(Way("c1", "", "10.1.0.1"), 5 * MBIT, burst)
    check_rate(Way("", "c1", "10.1.0.2"), 5 * MBIT, burst)
    for there in (True, False):
        check_rate(Way("c1", "", "10.2.0.1"), 40 * MBIT, burst)
        check_rate(Way("", "c1", "10.2.0.2"), 40 * MBIT, burst)
        succeed("CHECK", with_result(fast, two), second)
        if there:
            delete_list((BRIDGE, slow), first, one)


def pairs(rate: int, burst: int) -> dict[str, int]:
    return {
        "ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst,
    }  # fmt: skip


@in_host
def test_of_a_tap_it_limits_what_its_process_reads_and_writes() -> None:
    """To the container what it sends is egress, wherever its end is."""
    runtime = container("c1")
    tap = Tap("c1", "eth0")
    given = {"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": runtime.netns}]}
    burst = 400_000
    config = {"cniVersion": "1.1.0", "name": "taps", "type": "bandwidth"}
    rates = {**pairs(10 * MBIT, burst), "egressRate": 20 * MBIT}
    result = add({**config, **rates, "prevResult": given}, runtime)
    assert_rate(20 * MBIT, lambda: tap.read_rate(20 * MBIT))
    assert_rate(10 * MBIT, lambda: tap.write_rate(10 * MBIT))
    succeed("CHECK", {**config, **rates, "prevResult": result}, runtime)
    succeed("DEL", {**config, **rates, "prevResult": result}, runtime)
    assert tap.read_rate(20 * MBIT) > 40 * MBIT
    assert tap.write_rate(10 * MBIT) > 20 * MBIT
