"""bandwidth's plan: where each direction is limited, which rates and subnets hold, and how much."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.model.errors import Code, ConfigError, KernelLacks
from pynet.model.kernel_kinds import KernelMakes
from pynet.model.plan import Plan
from pynet.model.query import HostEnd, IpvlanMode, Link, LinkNamed
from pynet.model.request import Request
from pynet.model.resource import Resource
from pynet.model.resources import Ifb, RateLimit, Redirect, TrafficHook
from pynet.model.result import Address, Interface, Result
from pynet.plugins.bandwidth import Bandwidth
from pynet.plugins.bandwidth_config import MAX_BURST, MAX_RATE
from pynet.testing import request, seen

BEFORE = Result(
    interfaces=(
        Interface("veth1", mac="02:00:00:00:00:aa", mtu=1500),
        Interface("eth0", mac="02:00:00:00:00:01", mtu=1500, sandbox="/run/netns/c1"),
    ),
    ips=(Address("10.1.0.2/24", interface=1),),
)
ETH0 = Link(2, "eth0", "veth", "02:00:00:00:00:01", 1500, True)
VETH = Link(7, "veth1", "veth", "02:00:00:00:00:aa", 1500, True)
IN = {"ingressRate": 8_000_000, "ingressBurst": 800_000}
OUT = {"egressRate": 16_000_000, "egressBurst": 1_600_000}


def asked(config: dict[str, Any], **fields: Any) -> Request:
    return request(Bandwidth(), config, **{"prev_result": BEFORE, **fields})


def planned(config: dict[str, Any], end: Link | None = VETH, **fields: Any) -> Plan:
    answers = {LinkNamed("eth0", "sandbox"): ETH0, HostEnd("eth0"): end}
    return Bandwidth().plan(asked(config, **fields), seen(answers))


def made(kind: type[Resource], plan: Plan) -> list[Any]:
    return [each for each in plan.resources if isinstance(each, kind)]


@pytest.mark.parametrize(
    ("config", "lacks", "words"),
    [
        (IN, KernelMakes("queue", "tbf"), "no queues of kind tbf|modprobe sch_tbf"),
        ({**IN, **OUT}, KernelMakes("link", "ifb"), "no links of kind ifb|modprobe ifb"),
        (
            {**OUT, "shapedSubnets": ["10.9.0.0/16"]},
            KernelMakes("link", "ifb"),
            "no links of kind ifb",
        ),
    ],
)
def test_status_tells_what_the_kernel_lacks(
    config: dict[str, Any], lacks: KernelMakes, words: str
) -> None:
    has = {KernelMakes("queue", "tbf"): True, KernelMakes("link", "ifb"): True}
    Bandwidth().status(asked(config), seen(has))
    with pytest.raises(KernelLacks) as caught:
        Bandwidth().status(asked(config), seen({**has, lacks: False}))
    assert caught.value.code is Code.NOT_AVAILABLE
    assert all(word in caught.value.msg for word in words.split("|"))


def test_status_asks_for_no_more_than_any_interface_needs() -> None:
    Bandwidth().status(asked({}), seen())
    Bandwidth().status(asked(IN), seen({KernelMakes("queue", "tbf"): True}))


def test_nothing_asked_is_nothing_done_and_nothing_looked_at() -> None:
    for config in ({}, {"runtimeConfig": {"bandwidth": dict.fromkeys((*IN, *OUT), 0)}}):
        assert Bandwidth().plan(asked(config), seen()) == Plan((), BEFORE)


def test_what_the_hosts_end_sends_has_its_bucket_there() -> None:
    plan = planned(IN)
    [bucket] = plan.resources
    assert isinstance(bucket, RateLimit)
    assert (bucket.place, bucket.name) == ("host", "veth1")
    assert (bucket.rate, bucket.burst) == (8_000_000, 100_000)
    assert plan.result == BEFORE


def test_what_it_receives_goes_by_an_interface_of_its_own() -> None:
    plan = planned(OUT)
    hook, ifb, bucket, redirect = plan.resources
    assert isinstance(hook, TrafficHook) and isinstance(ifb, Ifb)
    assert isinstance(bucket, RateLimit) and isinstance(redirect, Redirect)
    assert {each.place for each in plan.resources} == {"host"}
    assert (bucket.name, bucket.rate, bucket.inside) == (ifb.name, 16_000_000, ifb.key)
    assert (redirect.name, redirect.hook, redirect.to) == ("veth1", "ingress", ifb.name)
    told = Interface(ifb.name, mac=ifb.mac, mtu=1500)
    assert plan.result.interfaces == (*BEFORE.interfaces, told)


def test_without_an_end_on_the_host_it_is_the_other_way_round_inside() -> None:
    plan = planned({**IN, **OUT}, end=None)
    assert {each.place for each in plan.resources} == {"sandbox"}
    direct = next(each for each in made(RateLimit, plan) if each.name == "eth0")
    assert direct.rate == 16_000_000
    [redirect], [ifb] = made(Redirect, plan), made(Ifb, plan)
    assert redirect.hook == "ingress"
    by_ifb = next(each for each in made(RateLimit, plan) if each.name == ifb.name)
    assert by_ifb.rate == 8_000_000
    assert plan.result.interfaces[-1].sandbox == "/run/netns/c1"


@pytest.mark.parametrize("end", [VETH, None])
@pytest.mark.parametrize(("key", "only"), [("shapedSubnets", True), ("unshapedSubnets", False)])
def test_subnets_are_those_of_the_other_side(end: Link | None, key: str, only: bool) -> None:
    plan = planned({**IN, **OUT, key: ["10.1.2.3/8", "fd00::1/64"]}, end)
    assert len(made(TrafficHook, plan)) == 1, "both directions share it"
    assert len(made(Ifb, plan)) == 2
    sides = {each.side: each for each in made(Redirect, plan)}
    assert set(sides) == {"src", "dst"}
    for redirect in sides.values():
        assert (redirect.subnets, redirect.only) == (("10.0.0.0/8", "fd00::/64"), only)
    received = "egress" if end else "ingress"
    assert sides["src"].hook == received
    rate = {each.name: each.rate for each in made(RateLimit, plan)}
    assert (rate[sides["src"].to], rate[sides["dst"].to]) == (8_000_000, 16_000_000)


def test_the_configurations_rates_hold_both_or_else_the_runtimes() -> None:
    theirs = {"runtimeConfig": {"bandwidth": {**IN, **OUT}}}
    assert len(made(RateLimit, planned(theirs))) == 2
    [bucket] = made(RateLimit, planned({**theirs, "ingressRate": 9000, "ingressBurst": 9000}))
    assert bucket.rate == 9000
    both = planned({**theirs, "shapedSubnets": ["10.0.0.0/8"]})
    assert {each.subnets for each in made(Redirect, both)} == {("10.0.0.0/8",)}
    runtimes = {"runtimeConfig": {"bandwidth": {**OUT, "unshapedSubnets": ["::/0"]}}}
    [redirect] = made(Redirect, planned(runtimes))
    assert (redirect.subnets, redirect.only) == (("::/0",), False)


def test_keys_in_any_case() -> None:
    """go-cni, containerd's library, writes them in capitals."""
    capability = {"IngressRate": 8_000_000, "IngressBurst": 2**32 - 1, "EgressRate": 0}
    theirs = {"runtimeConfig": {"bandwidth": {**capability, "EgressBurst": 0}}}
    [bucket] = made(RateLimit, planned(theirs))
    assert bucket.burst == (2**32 - 1) // 8


def test_names_differ_for_each_attachment_and_direction() -> None:
    names = set()
    for fields in ({}, {"interface": "eth1"}, {"container": "c2"}, {"network": "db"}):
        config = {**IN, **OUT, "shapedSubnets": ["10.0.0.0/8"]}
        interface = fields.get("interface", "eth0")
        answers = {LinkNamed(interface, "sandbox"): ETH0, HostEnd(interface): VETH}
        plan = Bandwidth().plan(asked(config, **fields), seen(answers))
        names |= {each.name for each in made(Ifb, plan)}
    assert len(names) == 8
    assert {len(name) for name in names} == {15}


def test_it_needs_a_result_and_an_interface() -> None:
    with pytest.raises(ConfigError, match="prevResult: missing"):
        planned(IN, prev_result=None)
    answers = {LinkNamed("eth0", "sandbox"): None, HostEnd("eth0"): None}
    with pytest.raises(ConfigError, match="there is no interface eth0"):
        Bandwidth().plan(asked(IN), seen(answers))


def test_a_burst_of_less_than_a_packet_would_let_none_through() -> None:
    [bucket] = made(RateLimit, planned({"ingressRate": 8000, "ingressBurst": 8}))
    assert 1514 <= bucket.burst < 2000
    assert bucket.queue >= 10 * 1514


@given(st.integers(8, MAX_RATE), st.integers(1, MAX_BURST))
def test_what_the_kernel_is_told_fits(rate: int, burst: int) -> None:
    [bucket] = made(RateLimit, planned({"ingressRate": rate, "ingressBurst": burst}))
    assert burst // 8 <= bucket.burst < 1 << 32
    assert 0 < bucket.queue < 1 << 32
    # The reference keeps a whole burst waiting beside its 25 ms.
    assert bucket.queue <= max(rate / 8 * 0.025 + min(bucket.burst, 72 * 1024), 15_640)


def test_without_a_record_all_of_it_is_found_by_name() -> None:
    config = {**IN, **OUT, "shapedSubnets": ["10.0.0.0/8"]}
    left = {(type(each), each.key) for each in Bandwidth().leftovers(asked(config))}
    host_end = Link(7, asked(config).attachment.host_end, "veth", VETH.mac, 1500, True)
    for end in (host_end, None):
        assert {(type(each), each.key) for each in planned(config, end).resources} - left <= {
            (RateLimit, each.key) for each in made(RateLimit, planned(config, end)) if each.inside
        }


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_what_an_ipvlan_receives_in_mode_l3s_comes_by_no_hook(mode: str) -> None:
    link = Link(2, "eth0", "ipvlan", "02:00:00:00:00:01", 1500, True)
    answers = {LinkNamed("eth0", "sandbox"): link, HostEnd("eth0"): None}
    modes = {IpvlanMode("eth0"): mode}
    Bandwidth().plan(asked(OUT), seen(answers))
    if mode == "l3s":
        with pytest.raises(ConfigError, match="ingressRate: eth0 is of kind ipvlan in mode l3s"):
            Bandwidth().plan(asked(IN), seen(answers | modes))
    else:
        Bandwidth().plan(asked(IN), seen(answers | modes))
