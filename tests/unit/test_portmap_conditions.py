"""What `conditionsV4` and `conditionsV6` may say, and what it becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.model.errors import UnsupportedField
from pynet.model.resources import PublishCondition, PublishedPort
from pynet.plugins.conditions import Unreadable, compiled
from pynet.plugins.portmap_config import PortmapConf


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["-s", "10.0.0.0/8"], "ip saddr 10.0.0.0/8"),
        (["!", "-s", "10.1.2.3/8"], "ip saddr != 10.0.0.0/8"),
        (["!", "--source", "10.0.0.0/255.0.0.0"], "ip saddr != 10.0.0.0/8"),
        (["-d", "192.0.2.2", "-i", "eth0"], 'iifname "eth0" ip daddr 192.0.2.2/32'),
        (["! -i docker+"], 'iifname != "docker*"'),
        (["-p", "tcp", "-m", "tcp", "--dport", "80:90"], "meta l4proto tcp th dport 80-90"),
        (
            ["-p", "17", "-m", "multiport", "--dports", "90,53,80:89"],
            "meta l4proto udp th dport { 53, 80-90 }",
        ),
        (["-s", "10.0.0.0/8,10.1.0.0/16,192.0.2.0/24"], "ip saddr { 10.0.0.0/8, 192.0.2.0/24 }"),
        (["ip", "saddr", "10.0.0.0/8"], "ip saddr 10.0.0.0/8"),
        (["ip saddr != 10.0.0.0/8", "meta iifname eth0"], 'iifname "eth0" ip saddr != 10.0.0.0/8'),
        (["iifname", "!=", "{", '"eth0",', "eth1", "}"], 'iifname != { "eth0", "eth1" }'),
        (["iifname == eth*"], 'iifname "eth*"'),
        (["tcp dport != {80, 8080-8090}"], "meta l4proto tcp th dport != { 80, 8080-8090 }"),
        (["meta l4proto { udp, tcp }"], "meta l4proto { tcp, udp }"),
        (["th", "sport", "1-1024"], "th sport 1-1024"),
    ],
)
def test_both_syntaxes(words: list[str], match: str) -> None:
    assert compiled(words, 4) == match


def test_ipv6() -> None:
    assert compiled(["-s", "2001:db8::/32"], 6) == "ip6 saddr 2001:db8::/32"
    assert compiled(["ip6 daddr fd00::1"], 6) == "ip6 daddr fd00::1/128"
    assert compiled(["ip6 nexthdr tcp"], 6) == "meta l4proto tcp"


def test_the_order_of_terms_makes_no_other_condition() -> None:
    one = compiled(["-i", "eth0", "-s", "10.0.0.0/8"], 4)
    assert one == compiled(["ip saddr 10.0.0.0/8 iifname eth0"], 4)


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "conntrack", "--ctstate", "NEW"],
        ["-m", "comment", "--comment", "x"],
        ["-o", "eth0"],
        ["-j", "ACCEPT"],
        ["-s"],
        ["!"],
        ["-s", "host.example"],
        ["-s", "2001:db8::/32"],
        ["-p", "icmp"],
        ["-i", 'eth0" accept'],
        ["-i", "eth*0"],
        ["--dport", "0x50"],
        ["--dport", "90:80"],
        ["--dport", "70000"],
        ["ip saddr 10.0.0.1 accept"],
        ["ip saddr 10.0.0.1; drop"],
        ["ip6 saddr fd00::1"],
        ["ip ttl 5"],
        ["meta mark 1"],
        ["ct state new"],
        ["ip saddr { 10.0.0.1"],
        ["ip saddr {}"],
        ["ip saddr @set"],
        ["iifname { eth*, lo }"],
        ["tcp dport 80 # comment"],
        ["-s", ",".join(f"10.{a}.{b}.1" for a in range(20) for b in range(20))],
    ],
)
def test_anything_else_is_refused_naming_key_and_value(words: list[str]) -> None:
    with pytest.raises(Unreadable):
        compiled(words, 4)
    with pytest.raises(UnsupportedField, match="conditionsV4: ") as refusal:
        PortmapConf(conditionsV4=tuple(words))
    assert words[0][:20].replace('"', '\\"') in refusal.value.msg


@given(st.lists(st.text(max_size=12), max_size=5))
def test_nothing_but_the_grammar_gets_through(words: list[str]) -> None:
    """Whatever is accepted holds no word, quote or sign that could say something else."""
    try:
        match = compiled(words, 4) if "".join(words).strip() else ""
    except Unreadable:
        return
    assert set(match) <= set(
        'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ."*/-!={},_@'
    )


def test_a_condition_is_known_by_its_words() -> None:
    one = PublishCondition(family=4, match="ip saddr 10.0.0.0/8")
    assert one.id == PublishCondition(family=4, match="ip saddr 10.0.0.0/8").id
    assert one.id != PublishCondition(family=4, match="ip saddr 10.0.0.0/9").id
    fields = {"protocol": "tcp", "host_address": "0.0.0.0", "host_port": 80, "port": 80}
    plain = PublishedPort(address="10.1.0.2", **fields)  # type: ignore[arg-type]
    conditional = PublishedPort(address="10.1.0.2", condition=one.id, **fields)  # type: ignore[arg-type]
    assert plain.key == conditional.key, "a port is one's alone, on whatever condition"
