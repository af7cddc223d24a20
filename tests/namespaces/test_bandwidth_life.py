"""`bandwidth`: what it makes and takes back, what CHECK sees, what others have put there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import drive
import lan
import pytest
from chains import add_list, delete_list, with_result
from drive import BANDWIDTH, BRIDGE, LIMITED_INSIDE, MACVLAN, Runtime
from evidence import GONE, inside, nothing_left
from references import by_reference, needs_reference
from scenes import add, container, in_host, refused, run, succeed, whole
from test_findings import pynet

SOME = {**BANDWIDTH, "shapedSubnets": ["10.0.0.0/8", "fd00::/8"]}


def limited(
    config: dict[str, Any], before: dict[str, Any] = BRIDGE
) -> tuple[Runtime, dict[str, Any], list[str]]:
    """Who is attached, with what result, and the names of the interfaces of kind ifb."""
    lan.wire()
    runtime = container("c1")
    result = add_list((before, config), runtime)
    return runtime, result, ifbs(result)


def ifbs(result: dict[str, Any]) -> list[str]:
    return [each["name"] for each in result["interfaces"] if each["name"].startswith("bw")]


def host_end(result: dict[str, Any]) -> str:
    (found,) = (one["name"] for one in result["interfaces"] if one["name"].startswith("veth"))
    return str(found)


@in_host
def test_the_result_tells_of_what_was_made() -> None:
    runtime, result, names = limited(BANDWIDTH)
    assert len(names) == 1
    assert "sandbox" not in result["interfaces"][-1]
    assert result["ips"]
    succeed("DEL", with_result(BANDWIDTH, result), runtime)
    again = add(with_result(SOME, {**result, "interfaces": result["interfaces"][:3]}), runtime)
    assert len(ifbs(again)) == 2
    _, other, names = limited_inside()
    assert [one["sandbox"] for one in other["interfaces"] if one["name"] in names] == [
        "/run/netns/c2"
    ] * 2


def limited_inside() -> tuple[Runtime, dict[str, Any], list[str]]:
    lan.wire()
    runtime = container("c2")
    result = add_list((MACVLAN, LIMITED_INSIDE), runtime)
    return runtime, result, ifbs(result)


@pytest.mark.parametrize("config", [{}, {"runtimeConfig": {"bandwidth": {}}}])
@in_host
def test_no_limit_makes_nothing(config: dict[str, Any]) -> None:
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    before = whole()
    none = {"cniVersion": "1.1.0", "name": "web", "type": "bandwidth", **config}
    assert add(with_result(none, first), runtime) == first
    assert {line for line in whole() - before if not line.startswith(("row ", "lock "))} == set()
    succeed("CHECK", with_result(none, first), runtime)


@in_host
def test_two_interfaces_in_one_network() -> None:
    """The reference names its own by network and container: its second ADD fails."""
    runtime, result, names = limited(BANDWIDTH)
    before = whole()
    other = replace(runtime, interface="eth1")
    second = add_list((BRIDGE, BANDWIDTH), other)
    assert not set(names) & set(ifbs(second))
    delete_list((BRIDGE, BANDWIDTH), other, second)
    succeed("CHECK", with_result(BANDWIDTH, result), runtime)
    assert nothing_left(before, whole()) == []


# --- bad input ------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"ingressRate": 0, "ingressBurst": 1000}, "ingressRate: 0 would let nothing through"),
    ({"egressRate": 0}, "egressRate: 0 would let nothing through"),
    ({"egressRate": 8000}, "egressRate: 8000 needs egressBurst"),
    ({"egressRate": 8000, "egressBurst": 0}, "egressRate: 8000 needs egressBurst"),
    ({"ingressBurst": 8000}, "ingressBurst: 8000 needs ingressRate"),
    ({"ingressRate": 7, "ingressBurst": 8000}, "ingressRate: 7 is below 8 bit/s"),
    ({"ingressRate": -1, "ingressBurst": 8000}, "ingressRate: -1 is below 0"),
    ({"ingressRate": "1M", "ingressBurst": 8000}, 'ingressRate: "1M" is not a whole number'),
    (
        {"ingressRate": 8000, "ingressBurst": 8 * (2**32 - 1)},
        "ingressBurst: 34359738360 is above 34359738359",
    ),
    (
        {"ingressRate": 8000, "ingressBurst": 8000, "shapedSubnets": ["10.0.0.1"]},
        'shapedSubnets[0]: "10.0.0.1" is not a subnet',
    ),
    (
        {"shapedSubnets": ["10.0.0.0/8"], "unshapedSubnets": ["fd00::/8"]},
        "shapedSubnets and unshapedSubnets exclude each other",
    ),
]


@pytest.mark.parametrize("place", ["configuration", "runtimeConfig"])
@in_host
def test_one_clear_error_each_and_nothing_is_left(place: str) -> None:
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    plain = {"cniVersion": "1.1.0", "name": "web", "type": "bandwidth", "prevResult": first}
    for keys, words in BAD:
        given = keys if place == "configuration" else {"runtimeConfig": {"bandwidth": keys}}
        refused(7, words, "ADD", {**plain, **given}, runtime)


@in_host
def test_it_needs_an_interface_and_a_result() -> None:
    runtime = container("c1")
    refused(7, "prevResult: missing", "ADD", BANDWIDTH, runtime)
    nobody = {"cniVersion": "1.1.0", "interfaces": []}
    refused(7, "there is no interface eth0", "ADD", with_result(BANDWIDTH, nobody), runtime)


# --- CHECK ----------------------------------------------------------------------------------------

DAMAGE = {
    "tc qdisc del dev {dev} root": "rate limit is missing",
    "tc qdisc change dev {dev} root handle 7079: tbf rate 9mbit burst 1mb limit 1mb": "rate is 9",
    "tc qdisc change dev {dev} root handle 7079: tbf rate {rate} burst 1mb limit {limit}": "burst",
    "tc qdisc replace dev {dev} root handle 5: tbf rate {rate} burst 1mb limit 1mb": "rate limit",
    "ip link set {ifb} down": "{ifb}: state is down",
    "ip link del {ifb}": "{ifb} is missing",
    "tc filter del dev {dev} {hook}": "{dev} {hook} filters is missing",
    "tc qdisc del dev {dev} clsact": "{dev} hook for filters is missing",
    "tc filter add dev {dev} {hook} prio 2000{n} protocol all u32 match u32 0 0 flowid 1:1": (
        "{hook} filters is changed"
    ),
}


@pytest.mark.parametrize("place", ["outside", "inside"])
@in_host
def test_check_sees_damage_and_del_leaves_nothing(place: str) -> None:
    before, config = (BRIDGE, BANDWIDTH) if place == "outside" else (MACVLAN, with_egress_direct())
    lan.wire()
    runtime = container("c1")
    netns = "" if place == "outside" else "c1"
    given = add(before, runtime)
    fresh = whole() | inside("c1")
    for command, words in DAMAGE.items():
        result = add(with_result(config, given), runtime)
        complete = with_result(config, result)
        succeed("CHECK", complete, runtime)
        (ifb,) = ifbs(result)
        fields = {
            "dev": "eth0" if netns else host_end(result),
            "ifb": ifb,
            "hook": "ingress",
            "rate": "16mbit" if netns else "8mbit",
            "limit": str(123_728 if netns else 98_728),
            "n": 2,
        }
        run(command.format(**fields), netns=netns)
        refused_check(words.format(**fields), complete, runtime)
        succeed("DEL", complete, runtime)
        assert nothing_left(fresh, whole() | inside("c1")) == foreign_qdisc(command, netns), command
        if "replace" in command:
            run(f"tc qdisc del dev {fields['dev']} root", netns=netns)


@pytest.mark.parametrize("place", ["outside", "inside"])
@in_host
def test_reload_mends_it(place: str) -> None:
    before, config = (BRIDGE, SOME) if place == "outside" else (MACVLAN, LIMITED_INSIDE)
    runtime, result, names = limited(config, before)
    netns = "" if place == "outside" else "c1"
    dev = "eth0" if netns else host_end(result)
    whole_again = whole() | inside("c1")
    for damage in (f"ip link del {names[0]}", f"tc qdisc del dev {dev} clsact"):
        run(damage, netns=netns)
        pynet("reload")
        succeed("CHECK", with_result(config, result), runtime)
        # Of a filter made again the kernel numbers its tables anew; CHECK has compared the rest.
        now = nothing_left(whole_again, whole() | inside("c1"))
        assert [line for line in now if "filter" not in line] == []


def with_egress_direct() -> dict[str, Any]:
    return {key: value for key, value in LIMITED_INSIDE.items() if key != "unshapedSubnets"}


def refused_check(words: str, config: dict[str, Any], runtime: Runtime) -> None:
    outcome = drive.call("CHECK", config, runtime)
    assert outcome.status and outcome.code == 101, outcome
    said = outcome.document["msg"]
    for word in words.split():
        assert word in said, (word, said)


def foreign_qdisc(command: str, netns: str) -> list[str]:
    """What somebody else has put in the place of ours is left alone."""
    if "replace" not in command:
        return []
    now = whole() | inside("c1")
    return sorted(line for line in now if "qdisc" in line and "tbf" in line)


# --- what others have there -----------------------------------------------------------------------


@in_host
def test_filters_of_others_stay() -> None:
    runtime = container("c1")
    given = add(BRIDGE, runtime)
    dev = host_end(given)
    run(f"ip link set {dev} txqueuelen 0")  # which the kernel does not leave so by itself
    theirs = f"tc filter add dev {dev} ingress prio 5 protocol ip u32 match u32 0 0 flowid 1:7"
    run(f"tc qdisc add dev {dev} clsact")
    run(theirs)
    before = whole()
    for config in (BANDWIDTH, SOME):
        result = add(with_result(config, given), runtime)
        succeed("CHECK", with_result(config, result), runtime)
        succeed("DEL", with_result(config, result), runtime)
        assert nothing_left(before, whole()) == []
    run(f"tc qdisc del dev {dev} clsact")
    before = whole()
    result = add(with_result(BANDWIDTH, given), runtime)
    run(theirs)
    succeed("DEL", with_result(BANDWIDTH, result), runtime)
    left = nothing_left(before, whole())
    assert len(left) == len([line for line in left if dev in line and "gone" not in line]) > 0
    assert all(line.startswith(("filter", "qdisc")) for line in left)


@in_host
def test_a_discipline_of_others_is_in_the_way() -> None:
    runtime = container("c1")
    given = add(BRIDGE, runtime)
    dev = host_end(given)
    run(f"tc qdisc add dev {dev} root handle 9: tbf rate 1gbit burst 1mb limit 1mb")
    words = f"{dev}|has a queueing discipline that somebody else gave it|tc qdisc del"
    refused(102, words, "ADD", with_result(BANDWIDTH, given), runtime)
    run(f"tc qdisc del dev {dev} root")
    run(f"tc qdisc add dev {dev} ingress")
    refused(102, f"{dev}|hook of kind ingress", "ADD", with_result(SOME, given), runtime)
    result = add(with_result(BANDWIDTH, given), runtime)  # which needs only that half of it
    succeed("CHECK", with_result(BANDWIDTH, result), runtime)
    succeed("DEL", with_result(BANDWIDTH, result), runtime)
    assert "qdisc ingress" in run(f"tc qdisc show dev {dev}")


# --- from the reference plugin to ours ------------------------------------------------------------


@needs_reference("bandwidth")
@pytest.mark.parametrize("told", [True, False])
@in_host
def test_who_was_limited_by_the_reference_is_checked_and_deleted(told: bool) -> None:
    bridge = {**drive.PLAIN_BRIDGE, "cniVersion": "1.0.0"}
    config = {**BANDWIDTH, "cniVersion": "1.0.0"}
    warm = container("c0")
    by_reference("DEL", bridge, warm)
    runtime = container("c1")
    given = by_reference("ADD", bridge, runtime)
    baseline = whole()
    result = by_reference("ADD", with_result(config, given), runtime)
    assert result["interfaces"][-1]["name"].startswith("bwp")
    succeed("CHECK", with_result(config, result), runtime)
    succeed("DEL", with_result(config, result if told else None), runtime)
    # The rest is on the pair, and goes with it.
    left = nothing_left(baseline, whole())
    kinds = {line.removeprefix(GONE).split()[0] for line in left}
    assert all(host_end(result) in line for line in left)
    assert kinds <= {"attributes", "filter", "qdisc"}, left
    by_reference("DEL", with_result(bridge, result), runtime)
    assert not [line for line in whole() if "veth" in line or "bwp" in line]
