"""tuning's plan: where each value comes from, which keys there may be, what the result says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.cni.config import decode, parse_model
from pynet.model.errors import ConfigError
from pynet.model.plan import Plan
from pynet.model.query import FileText, Link, LinkNamed
from pynet.model.resources import Promiscuous, Sysctl
from pynet.model.result import Address, Interface, Result
from pynet.plugins.tuning import Tuning
from pynet.plugins.tuning_config import ALLOWLIST
from pynet.testing import request, seen

BEFORE = Result(
    interfaces=(
        Interface("eth0", mac="02:00:00:00:00:aa", mtu=1500),
        Interface("eth0", mac="02:00:00:00:00:01", mtu=1500, sandbox="/run/netns/c1"),
    ),
    ips=(Address("10.1.0.2/24", interface=1),),
)
ETH0 = Link(2, "eth0", "veth", "02:00:00:00:00:01", 1500, True)


def planned(
    config: dict[str, Any],
    *,
    allowlist: str | None = None,
    before: Result | None = BEFORE,
    link: Link | None = ETH0,
    interface: str = "eth0",
    **fields: Any,
) -> Plan:
    answers = {LinkNamed(interface, "sandbox"): link, FileText(ALLOWLIST): allowlist}
    asked = request(Tuning(), config, prev_result=before, interface=interface, **fields)
    return Tuning().plan(asked, seen(answers))


def sysctls(config: dict[str, Any], **options: Any) -> dict[str, str]:
    resources = planned(config, **options).resources
    return {one.setting: one.value for one in resources if isinstance(one, Sysctl)}


def test_nothing_asked_is_nothing_done_and_nothing_looked_at() -> None:
    asked = request(Tuning(), {"dataDir": "/nowhere"}, prev_result=BEFORE)
    assert Tuning().plan(asked, seen()) == Plan((), BEFORE)


def test_every_key_is_a_resource_of_the_container() -> None:
    config = {
        "sysctl": {"net.core.somaxconn": "500"},
        "mac": "02:00:00:00:00:02",
        "promisc": True,
        "mtu": 1400,
        "txQLen": 0,
        "allmulti": False,
    }
    resources = planned(config).resources
    assert [one.describe() for one in resources] == [
        "sysctl net/core/somaxconn=500 in the container",
        "eth0 MAC 02:00:00:00:00:02 in the container",
        "eth0 promisc on in the container",
        "eth0 MTU 1400 in the container",
        "eth0 allmulti off in the container",
        "eth0 txqueuelen 0 in the container",
    ]
    assert {one.place for one in resources} == {"sandbox"}


MACS = {
    "conf": "02:00:00:00:00:11",
    "CNI_ARGS": "02:00:00:00:00:22",
    "runtimeConfig": "02:00:00:00:00:33",
    "args.cni": "02:00:00:00:00:44",
}


@given(st.sets(st.sampled_from(sorted(MACS)), min_size=1))
def test_the_mac_of_the_last_source_that_gives_one_holds(sources: set[str]) -> None:
    config: dict[str, Any] = {}
    if "conf" in sources:
        config["mac"] = MACS["conf"]
    if "runtimeConfig" in sources:
        config["runtimeConfig"] = {"mac": MACS["runtimeConfig"]}
    if "args.cni" in sources:
        config["args"] = {"cni": {"mac": MACS["args.cni"]}}
    args = {"MAC": MACS["CNI_ARGS"]} if "CNI_ARGS" in sources else {}
    result = planned(config, args=args).result
    expected = max(MACS[source] for source in sources)
    assert [one.mac for one in result.interfaces] == ["02:00:00:00:00:aa", expected]


def test_args_cni_overrides_every_other_key_and_adds_sysctls() -> None:
    config = {
        "sysctl": {"net.core.somaxconn": "1", "net.core.optmem_max": "2"},
        "promisc": True,
        "args": {"cni": {"sysctl": {"net.core.somaxconn": "9"}, "promisc": False, "mtu": 1300}},
    }
    assert sysctls(config) == {"core/somaxconn": "9", "core/optmem_max": "2"}
    plan = planned(config)
    assert [one.on for one in plan.resources if isinstance(one, Promiscuous)] == [False]
    assert plan.result.interfaces[1].mtu == 1300


def test_the_result_is_what_came_before_but_for_mac_and_mtu() -> None:
    result = planned({"mac": "02-00-00-00-00-0B", "mtu": 1400}).result
    assert result.interfaces == (
        BEFORE.interfaces[0],
        Interface("eth0", mac="02:00:00:00:00:0b", mtu=1400, sandbox="/run/netns/c1"),
    )
    assert result.ips == BEFORE.ips


@pytest.mark.parametrize(
    ("key", "interface", "setting"),
    [
        ("net.ipv4.conf.IFNAME.arp_filter", "eth0", "ipv4/conf/eth0/arp_filter"),
        ("net/ipv4/conf/IFNAME/arp_filter", "eth0", "ipv4/conf/eth0/arp_filter"),
        ("net.ipv4/conf.IFNAME/arp_filter", "eth0", "ipv4/conf/eth0/arp_filter"),
        ("net.ipv4.conf.IFNAME.arp_filter", "eth0.5", "ipv4/conf/eth0.5/arp_filter"),
        ("net/ipv4/conf/eth0.5/arp_filter", "eth0", "ipv4/conf/eth0.5/arp_filter"),
    ],
)
def test_spellings_of_a_key(key: str, interface: str, setting: str) -> None:
    assert sysctls({"sysctl": {key: "1"}}, interface=interface) == {setting: "1"}


@pytest.mark.parametrize(
    "key",
    [
        "kernel.hostname",
        "net",
        "net.",
        "ipv4.ip_forward",
        "net/../kernel/hostname",
        "",
        "net..x",
        "/net/core/somaxconn",
        "net/./x",
        "net.ipv4./x",
    ],
)
def test_keys_that_are_not_below_net_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="/proc/sys/net"):
        planned({"sysctl": {key: "1"}})


@pytest.mark.parametrize("around", ["%s", '{"args": {"cni": %s}}'])
def test_one_key_twice_is_refused(around: str) -> None:
    keys = '{"sysctl": {"net.core.somaxconn": "1", "net.core.somaxconn": "2"}}'
    with pytest.raises(ConfigError, match=r"net\.core\.somaxconn. is given twice"):
        planned(decode((around % keys).encode()))


def test_sysctls_alone_need_no_interface() -> None:
    assert sysctls({"sysctl": {"net.core.somaxconn": "1"}}, link=None)
    with pytest.raises(ConfigError, match="no interface eth0"):
        planned({"mtu": 1400}, link=None)


def test_two_spellings_of_one_key_are_refused() -> None:
    keys = {"net.ipv4.conf.IFNAME.arp_filter": "1", "net/ipv4/conf/eth0/arp_filter": "0"}
    with pytest.raises(ConfigError, match="same key"):
        planned({"sysctl": keys})


def test_the_allow_list_is_searched_by_each_of_its_lines() -> None:
    allowlist = r"^net\.core\.somaxconn$" + "\n\n  ^net.ipv4.conf.IFNAME.[a-z_]*$\n"
    allowed = {"net.core.somaxconn": "1", "net.ipv4.conf.IFNAME.arp_filter": "1"}
    assert len(sysctls({"sysctl": allowed}, allowlist=allowlist)) == 2
    for key in ("net.core.optmem_max", "net.core.somaxconn2"):
        with pytest.raises(ConfigError, match=f'"{key}" is not allowed by {ALLOWLIST}'):
            planned({"sysctl": {**allowed, key: "1"}}, allowlist=allowlist)
    assert sysctls({"sysctl": {"net.x.y": "1"}}, allowlist=None) == {"x/y": "1"}
    with pytest.raises(ConfigError, match="not allowed"):
        planned({"sysctl": allowed}, allowlist="")
    with pytest.raises(ConfigError, match="no regular expression"):
        planned({"sysctl": allowed}, allowlist="net(")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"mac": "01:00:00:00:00:01"}, "not a unicast MAC"),
        ({"args": {"cni": {"mac": "nonsense"}}}, "not a unicast MAC"),
        ({"mtu": -1}, "mtu: -1"),
        ({"txQLen": -1}, "txQLen: -1"),
    ],
)
def test_wrong_values(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        planned(config)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"sysctl": {"net.core.somaxconn": 5}}, "sysctl.net.core.somaxconn"),
        ({"args": {"cni": {"mtu": "1"}}}, "args.cni.mtu"),
        ({"runtimeConfig": {"mac": 1}}, "runtimeConfig.mac"),
        ({"promisc": "yes"}, "promisc"),
    ],
)
def test_wrong_types_are_named_by_their_path(config: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_model(Tuning.config, config)
    assert path in error.value.msg


def test_it_needs_what_stands_before_it() -> None:
    with pytest.raises(ConfigError, match="prevResult: missing"):
        planned({}, before=None)
    with pytest.raises(ConfigError, match="no interface eth0 in /run/netns/c1"):
        planned({"mtu": 1400}, link=None)
