"""Who reaches a container, by its address or by a published port, under each ingress policy.

The table in docs/plugins/firewall.md is read and compared with real traffic, cell by cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drive
import pytest
from evidence import elements
from published import FAMILIES, V4, Served, ask, both

import pynet
from pynet.testnets.lab import Container, Forked, Host, Lab

POLICIES = ("open", "same-bridge", "isolated")
PLACES = ("host", "outside", "same network", "other network", "itself")
PAGE = Path(pynet.__file__).resolve().parent / "docs" / "plugins" / "firewall.md"
PORT = 8080
HOST = {"v4": "192.0.2.1", "v6": "2001:db8::1"}
OUTSIDE = {"v4": "192.0.2.2", "v6": "2001:db8::2"}
SUBNETS = {"web": ("10.1.0.0/24", "fd00:1::/64"), "db": ("10.2.0.0/24", "fd00:2::/64")}


def bridge(network: str, name: str) -> dict[str, Any]:
    return {
        **drive.BRIDGE,
        "name": network,
        "bridge": name,
        "hairpinMode": True,  # where bridged frames are translated, the only way back to oneself
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": subnet}] for subnet in SUBNETS[network]],
        },
    }


def firewall(network: str = "web", **keys: Any) -> dict[str, Any]:
    return {"cniVersion": "1.1.0", "name": network, "type": "firewall", **keys}


@dataclass
class Site:
    """A host with two networks, a neighbour of the host, and a target that is published."""

    places: dict[str, Host | Container]
    target: Served

    def ask(self, place: str, protocol: str, address: str, port: int) -> Forked[str]:
        where = self.places[place]
        host, netns = (where.host, where) if isinstance(where, Container) else (where, None)
        return host.fork_call(ask, protocol, address, port, netns=netns)


def guard(served: Served, config: dict[str, Any]) -> None:
    given = {**config, "prevResult": served.result}
    outcome = served.host.call(drive.call, "ADD", given, served.runtime)
    assert outcome.status == 0, outcome.stdout
    assert outcome.document == served.result, "passed through"


def site_of(lab: Lab, policy: str) -> Site:
    host, outside = lab.host("h1"), lab.host("outside")
    addresses = tuple([f"{HOST[f]}/{n}", f"{OUTSIDE[f]}/{n}"] for f, n in (("v4", 24), ("v6", 64)))
    lab.wire(host, "out0", outside, "eth0", addresses=tuple(zip(*addresses, strict=True)))
    for network in SUBNETS.values():
        for subnet, family in zip(network, ("v4", "v6"), strict=True):
            outside.run(["ip", "route", "add", subnet, "via", HOST[family]])
    target = Served(lab, host, "target", bridge("web", "cni0"))
    neighbour = Served(lab, host, "neighbour", bridge("web", "cni0"))
    other = Served(lab, host, "other", bridge("db", "cni1"))
    for served in (target, neighbour):
        guard(served, firewall(ingressPolicy=policy))
    guard(other, firewall("db", ingressPolicy="open"))
    target.publish(both(PORT))
    target.container.run(["ip", "link", "set", "lo", "up"])
    places = {
        "host": host,
        "outside": outside,
        "same network": neighbour.container,
        "other network": other.container,
        "itself": target.container,
    }
    return Site(places, target)


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
    site = site_of(lab, policy)
    for name in ("iptables", "ip6tables"):
        setting = f"net.bridge.bridge-nf-call-{name}={bridged}"
        # Where there is no such setting, there is no br_netfilter.
        site.target.host.run(["sysctl", "-w", setting], check=False)
    asked: dict[tuple[str, str, str, str], Forked[str]] = {}
    for place in PLACES:
        for family in FAMILIES:
            for protocol in ("tcp", "udp"):
                inner = site.target.address(FAMILIES[family])
                key = (place, family, protocol)
                asked["unpublished", *key] = site.ask(place, protocol, inner, 80)
                asked["published", *key] = site.ask(place, protocol, HOST[family], PORT)
    wrong = []
    table = documented()
    for (how, place, family, protocol), asking in asked.items():
        if reached(asking) != table[place, how, policy]:
            wrong.append(f"{how} from {place}, {family}, {protocol}")
    assert wrong == []


def reached(asking: Forked[str]) -> bool:
    try:
        return bool(asking.wait())
    except OSError:
        return False


def test_what_a_closed_container_begins_is_answered(lab: Lab) -> None:
    site = site_of(lab, "isolated")
    other = site.places["other network"]
    assert isinstance(other, Container)
    shown = other.run(["ip", "-4", "-o", "addr", "show", "dev", "eth0"]).stdout.decode()
    address = re.search(r"inet ([\d.]+)/", shown)
    assert address is not None
    for protocol in ("tcp", "udp"):
        assert reached(site.ask("itself", protocol, address[1], 80))
    # A packet too large for the way on is answered with an error, which is let in.
    target = site.target.container
    site.places["outside"].run(["ip", "link", "set", "eth0", "mtu", "1400"])
    target.run(["ping", "-c", "1", "-W", "2", OUTSIDE["v4"]])


def test_after_del_everybody_is_let_in_again(lab: Lab) -> None:
    site = site_of(lab, "same-bridge")
    served = site.target
    inner = served.address(V4)
    assert not reached(site.ask("other network", "tcp", inner, 80))
    config = {**firewall(ingressPolicy="same-bridge"), "prevResult": served.result}
    outcome = served.host.call(drive.call, "DEL", config, served.runtime)
    assert outcome.status == 0, outcome.stdout
    assert reached(site.ask("other network", "tcp", inner, 80))
    left = served.host.call(elements)
    policies = ("element closed", "element within")
    assert [one for one in left if one.startswith(policies) and f'"{inner}"' in one] == []
