"""dhcp's plan: what the agent is to ask a server, and what comes of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.model.errors import ConfigError
from pynet.model.plan import Plan
from pynet.model.query import Link, LinkNamed, PluginBinary, Unanswered
from pynet.model.resources import InterfaceAddress, KeptLease, LinkMtu, LinkUp, Sysctl
from pynet.model.result import Address, Route
from pynet.plugins.bridge import Bridge
from pynet.plugins.dhcp import Dhcp
from pynet.testing import request, seen

DOWN = Link(2, "eth0", "veth", "02:00:00:00:00:01", 1500, False)
ANSWER: dict[str, Any] = {
    "address": "192.168.7.20/24",
    "gateway": "192.168.7.1",
    "routes": [["0.0.0.0/0", "192.168.7.1"]],
    "mtu": 0,
    "nameservers": ["192.168.7.53"],
    "domain": "lan.example",
    "search": ["lan.example", "example"],
}
SIXTH: dict[str, Any] = {
    "address": "fd00:7::20/128",
    "gateway": "",
    "routes": [],
    "mtu": 0,
    "nameservers": ["fd00:7::53"],
    "domain": "",
    "search": ["example"],
}


def asked(args: dict[str, str] | None = None, **ipam: Any) -> list[KeptLease]:
    """The leases it asks for, one after the other."""
    answers: dict[Any, Any] = {LinkNamed("eth0", "sandbox"): DOWN}
    found = []
    call = request(Dhcp(), {"ipam": {"type": "dhcp", **ipam}}, args=args or {})
    while True:
        try:
            Dhcp().plan(call, seen(answers))
        except Unanswered as gap:
            [lease] = gap.questions
            assert isinstance(lease, KeptLease)
            found.append(lease)
            answers[lease] = SIXTH if lease.name == "ipv6" else ANSWER
        else:
            return found


def planned(answer: dict[str, Any], **ipam: Any) -> Plan:
    leases = asked(**ipam)
    answers: dict[Any, Any] = {LinkNamed("eth0", "sandbox"): DOWN}
    answers |= {one: SIXTH if one.name == "ipv6" else answer for one in leases}
    return Dhcp().plan(request(Dhcp(), {"ipam": {"type": "dhcp", **ipam}}), seen(answers))


def test_what_the_reference_answers_and_what_it_leaves_out() -> None:
    plan = planned(ANSWER)
    assert plan.result.ips == (Address("192.168.7.20/24", "192.168.7.1"),)
    assert plan.result.routes == (Route("0.0.0.0/0", "192.168.7.1"),)
    assert plan.result.dns.nameservers == ("192.168.7.53",)
    assert plan.result.dns.domain == "lan.example"
    assert plan.result.dns.search == ("lan.example", "example")
    [lease] = plan.resources
    assert isinstance(lease, KeptLease) and (lease.keeper, lease.lapses) == ("dhcp", True)


def test_a_route_on_the_link_is_not_led_by_the_gateway() -> None:
    plan = planned({**ANSWER, "routes": [["10.9.0.0/16", ""]]})
    [route] = plan.result.routes
    assert plan.result.next_hop(route) == ""


def test_routes_have_the_priority_that_is_configured() -> None:
    assert [route.priority for route in planned(ANSWER, priority=50).result.routes] == [50]


def test_a_network_that_takes_less_lowers_the_mtu() -> None:
    assert planned({**ANSWER, "mtu": 1400}).resources[-1] == LinkMtu(
        name="eth0", place="sandbox", mtu=1400
    )
    both = ["ipv4", "ipv6"]
    [mtu] = [
        one.mtu
        for one in planned({**ANSWER, "mtu": 900}, families=both).resources
        if isinstance(one, LinkMtu)
    ]
    assert mtu == 1280  # below it the kernel has no IPv6


def test_options_by_name_and_by_number() -> None:
    [lease] = asked(
        {"USER": "blue", "IgnoreUnknown": "1"},
        provide=[
            {"option": "host-name", "value": "web"},
            {"option": "77", "fromArg": "USER"},
            {"option": "60", "fromArg": "NOBODY"},
        ],
        request=[{"option": "routers"}, {"option": "42"}],
    )
    told = dict(lease.parameters)
    assert told["say"] == f"12:{b'web'.hex()},77:{b'blue'.hex()}"
    assert told["ask"] == "3,42,1,121,33,6,12,15,119,26,28,51,54,58,59"


def test_options_have_their_counterparts_in_dhcpv6() -> None:
    wishes: dict[str, Any] = {
        "families": ["ipv6"],
        "provide": [
            {"option": "host-name", "value": "web"},
            {"option": "77", "value": "blue"},
            {"option": "60", "value": "nothing like it there"},
        ],
        "request": [{"option": "42"}, {"option": "routers"}],
    }
    [lease] = asked(**wishes)
    assert dict(lease.parameters) == {
        "ask": "31,23,24",
        "say": f"39:0103{b'web'.hex()},15:0004{b'blue'.hex()}",
    }
    [lease] = asked(**{**wishes, "request": [{"skipDefault": True}, {"option": "6"}]})
    assert dict(lease.parameters)["ask"] == "23"


def test_without_the_defaults_only_what_is_named_is_asked_for() -> None:
    [lease] = asked(request=[{"skipDefault": True}, {"option": "subnet-mask"}])
    assert dict(lease.parameters)["ask"] == "1"


@pytest.mark.parametrize(
    ("ipam", "words"),
    [
        ({"provide": [{"option": "nonsense", "value": "x"}]}, "ipam.provide[0].option"),
        ({"provide": [{"option": ""}]}, "ipam.provide[0].option"),
        ({"provide": [{"option": "53", "value": "x"}]}, "ipam.provide[0].option"),
        ({"request": [{"option": "255"}]}, "ipam.request[0].option"),
        ({"provide": [{"option": "12", "value": "x" * 256}]}, "ipam.provide[0]"),
        (
            {"families": ["ipv6"], "provide": [{"option": "12", "value": "no name"}]},
            "ipam.provide: 'no name' is no host name",
        ),
        ({"families": []}, "families"),
        ({"families": ["ipv4", "ipv4"]}, "families"),
        ({"families": ["ipv5"]}, "ipam.families[0]"),
        ({"priority": -1}, "ipam.priority"),
    ],
)
def test_what_is_wrong_is_named(ipam: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(**ipam)
    assert words in caught.value.msg


def test_without_an_interface_nothing_is_asked_for() -> None:
    call = request(Dhcp(), {"ipam": {"type": "dhcp"}})
    with pytest.raises(ConfigError, match="no interface eth0 in"):
        Dhcp().plan(call, seen({LinkNamed("eth0", "sandbox"): None}))


def test_under_somebody_elses_plugin_the_interface_is_set_up() -> None:
    four, six = asked(families=["ipv4", "ipv6"])
    up = LinkUp(name="eth0", place="sandbox")
    assert four.first == six.first
    *settings, last = six.first
    assert [one.setting for one in settings if isinstance(one, Sysctl)] == [
        "ipv6/conf/eth0/disable_ipv6",
        "ipv6/conf/eth0/optimistic_dad",
    ]
    assert last == up
    assert asked()[0].first == (up,)


def test_behind_a_bridge_it_is_asked_once_the_link_is_up() -> None:
    """And the plan has each of the things that it was asked after, as it was made."""
    config = {"type": "bridge", "ipam": {"type": "dhcp", "families": ["ipv4", "ipv6"]}}
    call = request(Bridge(), config)
    answers: dict[Any, Any] = {
        LinkNamed("cni0", "host"): None,
        PluginBinary("dhcp", ()): "",
    }
    leases: list[KeptLease] = []
    while True:
        try:
            plan = Bridge().plan(call, seen(answers))
            break
        except Unanswered as gap:
            for question in gap.questions:
                assert isinstance(question, KeptLease), question
                leases.append(question)
                answers[question] = SIXTH if question.name == "ipv6" else ANSWER
    for lease in leases:
        ups = [one.name for one in lease.first if isinstance(one, LinkUp)]
        assert ups == [call.attachment.host_end, "eth0"]
        [beside] = set(lease.first) - set(plan.resources)
        assert isinstance(beside, Sysctl) and beside.setting.endswith("optimistic_dad")
        assert lease in plan.resources
    settings = [one.setting for one in leases[1].first if isinstance(one, Sysctl)]
    assert settings.count("ipv6/conf/eth0/disable_ipv6") == 1
    addresses = [one.address for one in plan.resources if isinstance(one, InterfaceAddress)]
    assert addresses == ["192.168.7.20/24", "fd00:7::20/128"]
    keys = [one.key for one in plan.resources]
    assert len(keys) == len(set(keys))
