"""Who reaches a container, by its address or by a published port, under each ingress policy.

The table in docs/plugins/firewall.md is read and compared with real traffic, cell by cell.
"""

from __future__ import annotations

import re
from pathlib import Path

import drive
import pytest
from evidence import elements
from published import FAMILIES, V4
from reachability import HOST, OUTSIDE, PLACES, PORT, Site, reached

import pynet
from pynet.testnets.lab.lab import Forked, Lab

POLICIES = ("open", "same-bridge", "isolated")
PAGE = Path(pynet.__file__).resolve().parent / "docs" / "plugins" / "firewall.md"


def documented() -> dict[tuple[str, str, str], bool]:
    """(place, "published" or "unpublished", policy) -> whether the page says it is reached."""
    found = {}
    pattern = re.compile(r"^\| ([a-z ]+?) +\| (published|unpublished) +\|(.+)\|$", re.MULTILINE)
    for place, how, cells in pattern.findall(PAGE.read_text()):
        for policy, cell in zip(POLICIES, cells.split("|"), strict=True):
            found[place, how, policy] = {"yes": True, "no": False}[cell.strip()]
    return found


def test_the_table_has_every_cell() -> None:
    assert set(documented()) == {
        (place, how, policy)
        for place in PLACES
        for how in ("published", "unpublished")
        for policy in POLICIES
    }


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("bridged", ["0", "1"])
def test_every_cell_of_the_table(lab: Lab, policy: str, bridged: str) -> None:
    """Whether or not bridged frames pass the tables of IP (br_netfilter)."""
    site = Site.of(lab, policy)
    for name in ("iptables", "ip6tables"):
        setting = f"net.bridge.bridge-nf-call-{name}={bridged}"
        # Where there is no such setting, there is no br_netfilter.
        site.host.run(["sysctl", "-w", setting], check=False)
    table = documented()
    asked: dict[tuple[str, str, str, str], Forked[str]] = {}
    for place in PLACES:
        for family in FAMILIES:
            for protocol in ("tcp", "udp"):
                inner = site.target.address(FAMILIES[family])
                key = (place, family, protocol)
                for how, address, port in (
                    ("unpublished", inner, 80),
                    ("published", HOST[family], PORT),
                ):
                    hopeful = table[place, how, policy]
                    asking = site.ask(place, protocol, address, port, hopeful=hopeful)
                    asked[how, *key] = asking
    wrong = []
    for (how, place, family, protocol), asking in asked.items():
        if reached(asking) != table[place, how, policy]:
            wrong.append(f"{how} from {place}, {family}, {protocol}")
    assert wrong == []


def test_what_a_closed_container_begins_is_answered(lab: Lab) -> None:
    site = Site.of(lab, "isolated")
    for family, index in FAMILIES.items():
        for protocol in ("tcp", "udp"):
            assert reached(site.ask("itself", protocol, OUTSIDE[family], 80))
            assert reached(site.ask("itself", protocol, site.other.address(index), 80))


def test_after_del_everybody_is_let_in_again(lab: Lab) -> None:
    site = Site.of(lab, "same-bridge")
    inner = site.target.address(V4)
    assert not reached(site.ask("other network", "tcp", inner, 80, hopeful=False))
    site.release(site.target)
    assert reached(site.ask("other network", "tcp", inner, 80))
    policies = ("element closed", "element within")
    left = site.host.call(elements)
    assert [one for one in left if one.startswith(policies) and f'"{inner}"' in one] == []


def test_check_notices_an_element_a_rule_and_a_port_s_flag(lab: Lab) -> None:
    site = Site.of(lab, "isolated")
    inner = site.target.address(V4)
    site.succeed("CHECK", site.target)
    veth = site.target.result["interfaces"][1]["name"]
    for spoil, words in (
        (f"ip link set {veth} type bridge_slave isolated off", "isolated is off"),
        (f"nft delete element inet pynet closed4 {{ {inner} }}", "closed4"),
        ("nft flush chain inet pynet forward", "forward"),
    ):
        site.host.run(spoil.split())
        outcome = site.call("CHECK", site.target)
        assert outcome.code == 101
        assert words in outcome.document["msg"]


def test_the_bridge_does_not_complain_of_a_port_that_was_isolated(lab: Lab) -> None:
    site = Site.of(lab, "isolated")
    config = {**site.target.bridge, "prevResult": site.target.result}
    outcome = site.host.call(drive.call, "CHECK", config, site.target.runtime)
    assert outcome.status == 0, outcome.stdout
