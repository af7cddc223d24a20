"""sbr: rules and tables as `ip` shows them, which way an answer goes, and what each key does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import drive
import pytest
from chains import add_list, check_list, delete_list, with_result
from evidence import inside
from scenes import add, container, in_host, reaches, refused, run, succeed
from source_routing import DB, LIST, SBR, SECOND, WEB, rules, shown


@in_host
def test_what_ip_shows() -> None:
    """The numbers of the tables are the reference plugin's: one for each address."""
    runtime = container("c1")
    given = add(WEB, runtime)
    before = inside("c1")
    result = add(with_result(SBR, given), runtime)
    assert result == given
    assert rules(4) == ["from 10.1.0.2 lookup 100"]
    assert rules(6) == ["from fd00:1::2 lookup 101"]
    assert sorted(shown("route show table 100")) == [
        "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2",
        "default via 10.1.0.1 dev eth0",
    ]
    own = [line for line in shown("-6 route show table 101") if "fe80" not in line]
    assert sorted(own) == [
        "default via fd00:1::1 dev eth0 metric 1024",
        "fd00:1::/64 dev eth0 proto kernel metric 256",
    ]
    assert shown("route show table main") == []
    assert all(line.startswith("fe80::/64") for line in shown("-6 route show table main"))
    check_list(LIST, runtime, result)
    run("ping -c 1 -W 2 -I 10.1.0.2 10.1.0.1", netns="c1")
    run("ping -c 1 -W 2 -I fd00:1::2 fd00:1::1", netns="c1")
    succeed("DEL", with_result(SBR, result), runtime)
    assert inside("c1") == before
    check_list([WEB], runtime, result)


@in_host
def test_two_attachments_of_one_container() -> None:
    first = container("c1")
    second = replace(first, interface="eth1")
    result = add_list(LIST, first)
    between = inside("c1")
    other = add_list(SECOND, second)
    assert rules(4) == ["from 10.2.0.2 lookup 102", "from 10.1.0.2 lookup 100"]
    assert rules(6) == ["from fd00:2::2 lookup 103", "from fd00:1::2 lookup 101"]
    for _ in range(2):
        check_list(LIST, first, result)
        check_list(SECOND, second, other)
        # The first goes and comes back, under the second one's eyes.
        alone = inside("c1")
        delete_list(LIST, first, result)
        assert rules(4) == ["from 10.2.0.2 lookup 102"]
        check_list(SECOND, second, other)
        run("ping -c 1 -W 2 -I 10.2.0.2 10.2.0.1", netns="c1")
        result = add_list(LIST, first)
        assert len(inside("c1")) == len(alone)
    delete_list(SECOND, second, other)
    assert len(inside("c1")) == len(between)
    check_list(LIST, first, result)
    delete_list(LIST, first, result)
    assert rules(4) == rules(6) == []


# --- which way an answer goes -----------------------------------------------------------

ASKING = {4: "10.99.0.1", 6: "fd00:99::1"}
"""Somebody whom both networks lead to by their gateways."""
ASKED = {4: ("10.1.0.2", "10.2.0.2"), 6: ("fd00:1::2", "fd00:2::2")}


def asking_host() -> None:
    """The host has an address of its own, and drops what comes from a container's address by
    another bridge than that is behind.
    """
    run("ip link add asking type bridge")
    run("ip link set asking up")
    run(f"ip addr add {ASKING[4]}/32 dev asking")
    run(f"ip addr add {ASKING[6]}/128 dev asking nodad")
    run("nft add table inet crossed")
    run("nft add chain inet crossed in { type filter hook prerouting priority -350 ; }")
    for family, match in ((4, "ip"), (6, "ip6")):
        for bridge, address in zip(("cni1", "cni0"), ASKED[family], strict=True):
            run(f"nft add rule inet crossed in iifname {bridge} {match} saddr {address} drop")


def answered() -> list[str]:
    """The addresses of c1 that answer whoever asks from afar."""
    return [
        address
        for family in (4, 6)
        for address in ASKED[family]
        if reaches("", address, f"-I {ASKING[family]}")
    ]


@pytest.mark.parametrize("chained", [True, False])
@in_host
def test_an_answer_goes_by_the_interface_that_was_asked(chained: bool) -> None:
    """Without sbr the first default route takes it, whichever address was asked."""
    asking_host()
    first = container("c1")
    add_list(LIST if chained else [WEB], first)
    add_list(SECOND if chained else [DB], replace(first, interface="eth1"))
    both = sorted((*ASKED[4], *ASKED[6]))
    if chained:
        assert sorted(answered()) == both
    else:
        assert sorted(answered()) != both


TWO_GATEWAYS: dict[str, Any] = {
    **drive.PLAIN_BRIDGE,
    "isGateway": False,
    "ipam": {
        "type": "static",
        "addresses": [
            {"address": "10.1.0.5/24", "gateway": "10.1.0.1"},
            {"address": "10.3.0.5/24", "gateway": "10.3.0.1"},
            {"address": "fd00:3::5/64", "gateway": "fd00:3::1"},
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.50.0.0/16", "gw": "10.3.0.1", "mtu": 1400}],
    },
}


@in_host
def test_each_address_goes_by_its_own_gateway() -> None:
    runtime = container("c1")
    before_it = add(TWO_GATEWAYS, runtime)
    before = inside("c1")
    result = add(with_result(SBR, before_it), runtime)
    for address, gateway in (
        ("10.1.0.5", "10.1.0.1"),
        ("10.3.0.5", "10.3.0.1"),
        ("fd00:3::5", "fd00:3::1"),
    ):
        to = "fd00:99::1" if ":" in address else "10.99.0.1"
        assert f"via {gateway}" in shown(f"route get {to} from {address}")[0]
    assert shown("route show 10.50.0.0/16 table 101") == [
        "10.50.0.0/16 via 10.3.0.1 dev eth0 mtu 1400"
    ]
    assert shown("route show 10.50.0.0/16 table 100") == []
    check_list([TWO_GATEWAYS, SBR], runtime, result)
    succeed("DEL", with_result(SBR, result), runtime)
    assert inside("c1") == before


@in_host
def test_behind_ptp_whose_gateway_is_no_part_of_the_network() -> None:
    runtime = container("c1")
    given = add(drive.PTP, runtime)
    before = inside("c1")
    sbr = {**SBR, "name": "pairs"}
    result = add(with_result(sbr, given), runtime)
    assert shown("route show table main") == []
    for address, own in (("10.8.0.1", "10.8.0.2"), ("fd00:8::1", "fd00:8::2")):
        assert reaches("c1", address, f"-I {own}")
    check_list([drive.PTP, sbr], runtime, result)
    succeed("DEL", with_result(sbr, result), runtime)
    assert inside("c1") == before


# --- keys ---------------------------------------------------------------------------------


@in_host
def test_a_table_that_is_given_gets_rules_alone() -> None:
    """Its routes are for `ipam` to put there."""
    routes = [{"dst": "0.0.0.0/0", "table": 5000}, {"dst": "::/0", "table": 5000}]
    web = {**WEB, "isDefaultGateway": False, "isGateway": True}
    web["ipam"] = {**WEB["ipam"], "routes": routes}
    sbr = {**SBR, "table": 5000}
    runtime = container("c1")
    given = add(web, runtime)
    before = inside("c1")
    result = add(with_result(sbr, given), runtime)
    assert rules(4) == ["from 10.1.0.2 lookup 5000"]
    assert rules(6) == ["from fd00:1::2 lookup 5000"]
    assert shown("route show table main") == [
        "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2"
    ]
    check_list([web, sbr], runtime, result)
    # Another interface's routes are there already.
    second = replace(runtime, interface="eth1")
    other = add(DB, second)
    words = "table: 5000 is in use in the container, by routes of eth0"
    refused(7, words, "ADD", with_result({**sbr, "name": "db"}, other), second)
    succeed("DEL", with_result(sbr, result), runtime)
    assert {line for line in inside("c1") if "eth1" not in line} >= before


@in_host
def test_gateways_are_the_way_out() -> None:
    sbr = {**SBR, "gateways": ["10.1.0.9", "fd00:1::9"]}
    runtime = container("c1")
    given = add(WEB, runtime)
    before = inside("c1")
    result = add(with_result(sbr, given), runtime)
    assert shown("route show default table 100") == ["default via 10.1.0.9 dev eth0"]
    assert shown("-6 route show default table 101") == [
        "default via fd00:1::9 dev eth0 metric 1024"
    ]
    assert shown("route show table main") == []
    succeed("CHECK", with_result(sbr, result), runtime)
    succeed("DEL", with_result(sbr, result), runtime)
    assert inside("c1") == before


@in_host
def test_source_hints_keep_the_networks_in_the_main_table() -> None:
    sbr = {**SBR, "addSourceHints": True}
    runtime = container("c1")
    given = add(WEB, runtime)
    before = inside("c1")
    result = add(with_result(sbr, given), runtime)
    assert shown("route show table main") == [
        "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2"
    ]
    networks = [line for line in shown("-6 route show table main") if "fe80" not in line]
    assert networks == ["fd00:1::/64 dev eth0 src fd00:1::2 metric 256"]
    check_list([WEB, sbr], runtime, result)
    succeed("DEL", with_result(sbr, result), runtime)
    assert inside("c1") == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": 0}, "table: 0 is not within 1..4294967295"),
        ({"table": 254}, "table: 254 is a table of the kernel's own"),
        ({"table": 1 << 32}, "table: 4294967296 is not within"),
        ({"table": "5"}, 'table: "5" is not a whole number'),
        ({"gateways": ["10.1.0.1", "10.1.0.2"]}, "one of IPv4 and one of IPv6 at most"),
        ({"gateways": ["10.1.0"]}, 'gateways: "10.1.0" is not an IP address'),
        ({"prevResult": None}, "prevResult: missing"),
        ({"prevResult": {"interfaces": []}}, "no address of eth0"),
    ],
)
@in_host
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    runtime = container("c1")
    given = add(WEB, runtime)
    refused(7, words, "ADD", {**with_result(SBR, given), **changes}, runtime)


@in_host
def test_without_an_interface() -> None:
    runtime = container("c1")
    given = add(WEB, runtime)
    run("ip link del eth0", netns="c1")
    refused(7, "there is no interface eth0", "ADD", with_result(SBR, given), runtime)
