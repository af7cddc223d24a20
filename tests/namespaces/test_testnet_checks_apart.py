"""One network on two hosts: whose address is meant, and where sending to it proves nothing."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator

import pytest

from pynet.testnets.checks import refusals
from pynet.testnets.checks.checking import Outcome, run_checks
from pynet.testnets.checks.pinging import unanswered
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.reading import parse
from pynet.testnets.spec.topology import Target

PAIR = """
nodes: {h1: host, h2: host, r: router}
links: ["h1 -- r", "h2 -- r"]
networks:
  web: {hosts: [h1, h2], subnets: [10.1.0.0/24, "fd01::/64"]}
containers:
  a1@h1: {networks: {web: {ips: [10.1.0.10]}}}
  b1@h1: {networks: {web: {ips: [10.1.0.20]}}}
  a2@h2: {networks: {web: {ips: [10.1.0.10]}}, publish: ["8080:80"]}
  b2@h2: {networks: {web: {ips: [10.1.0.20]}}}
"""
UNLINKED = """
nodes: {h1: host, h2: host, r: router, e: external}
links: ["h1 -- r"]
networks:
  web: {hosts: [h1, h2], subnets: [10.1.0.0/24]}
containers: {a1@h1: {networks: [web]}, a2@h2: {networks: [web]}}
"""


def with_checks(topology: str, *checks: str) -> str:
    return topology + "checks:\n" + "".join(f"  - {check}\n" for check in checks)


@pytest.fixture(scope="module")
def pair() -> Iterator[Testnet]:
    with Testnet.up(parse(PAIR, "pair.yaml")) as testnet:
        yield testnet


@pytest.fixture(scope="module")
def unlinked() -> Iterator[Testnet]:
    with Testnet.up(parse(UNLINKED, "unlinked.yaml")) as testnet:
        yield testnet


def outcome(testnet: Testnet, check: str, topology: str = PAIR) -> Outcome:
    (found,) = run_checks(testnet, parse(with_checks(topology, check), "pair.yaml").checks)
    return found


@pytest.mark.parametrize(
    "check",
    [
        'tcp: {from: h1, to: "h2:80", seen_as: h1}',
        'udp: {from: h2, to: "h1:53", seen_as: h2}',
        'http: {from: a1, to: "h2:80", seen_as: h1}',
        'tcp: {from: a1, to: "h2:8080", seen_as: h1}',
        'tcp: {from: a1, to: "h1:80"}',
        'tcp: {from: h2, to: "a2:80", seen_as: h2}',
        "mesh: [h1, h2, r]",
        "path: {from: h1, to: h2, via: [h1, r, h2]}",
        "path: {from: b1, to: h2, via: [b1, h1, r, h2]}",
        "mtu: {from: h1, to: h2, size: 1500}",
    ],
)
def test_the_other_hosts_link_is_meant_not_its_bridge(pair: Testnet, check: str) -> None:
    found = outcome(pair, check)
    assert found.passed, found.message


def test_a_ping_goes_there_too(pair: Testnet) -> None:
    assert unanswered(pair, "h1", Target(name="h2"), None, 5.0) == ""


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_a_denial_between_such_hosts_is_tried_where_they_meet(pair: Testnet, protocol: str) -> None:
    port = "" if protocol == "icmp" else ":80"
    found = outcome(pair, f'deny: {{from: h1, to: "h2{port}", protocol: {protocol}}}')
    assert not found.passed
    assert "was answered" in found.message


@pytest.mark.parametrize(
    "check",
    [
        'deny: {from: a1, to: "a2:80"}',
        "deny: {from: a1, to: a2}",
        'tcp: {from: a1, to: "a2:80"}',
        "path: {from: a1, to: a2, via: [h1]}",
        "mtu: {from: a1, to: a2, size: 1500}",
    ],
)
def test_who_has_the_address_itself_finds_out_nothing(pair: Testnet, check: str) -> None:
    found = outcome(pair, check)
    assert not found.passed
    assert found.message == (
        "it could not be tried: a1 itself has 10.1.0.10, too: what a1 sends there does not go to "
        "a2; give them other addresses, or try a published port"
    )


def test_nor_does_who_has_a_neighbour_with_the_address(pair: Testnet) -> None:
    found = outcome(pair, 'deny: {from: a1, to: "b2:80"}')
    assert not found.passed
    assert "b1, on the same host as a1, has 10.1.0.20, too" in found.message


def test_nor_a_host_whose_bridge_is_all_that_the_other_has_too(unlinked: Testnet) -> None:
    for check in ('deny: {from: h1, to: "h2:80"}', "deny: {from: h1, to: h2}"):
        found = outcome(unlinked, check, UNLINKED)
        assert not found.passed
        assert "h1 itself has 10.1.0.1, too" in found.message


def test_of_two_places_with_the_address_seen_the_servers_neighbour_is_it(pair: Testnet) -> None:
    check = 'tcp: {from: b2, to: "h2:8080", seen_as: %s}'
    found = outcome(pair, check % "h2")
    assert found.passed, found.message
    said = outcome(pair, check % "h1").message
    assert "the server saw 10.1.0.1, and there that is h2, not h1" in said


def test_whom_the_server_has_to_see_may_be_an_address(pair: Testnet) -> None:
    check = 'tcp: {from: b1, to: "a1:80", family: 4, seen_as: %s}'
    assert outcome(pair, check % "10.1.0.20").passed
    said = outcome(pair, check % "10.1.0.99").message
    assert said.endswith("the server saw 10.1.0.20 (b1), and not 10.1.0.99")


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ('tcp: {from: h2, to: "192.0.2.7:80"}', "Network is unreachable: h2 has no route there"),
        ('udp: {from: h2, to: "192.0.2.7:53"}', "Network is unreachable: h2 has no route there"),
        ('http: {from: h2, to: "192.0.2.7:80"}', "Network is unreachable: h2 has no route there"),
        ("mesh: [r, h2]", "Network is unreachable: r has no route there"),
        ("path: {from: h2, to: 192.0.2.7, via: [r]}", "it never left h2"),
        ("mtu: {from: h2, to: 192.0.2.7, size: 1500}", "none passes, not 1500; it never left h2"),
        ('tcp: {from: a1, to: "192.0.2.7:80"}', "r did not pass it on"),  # h1's router refuses it
    ],
)
def test_nobody_waits_for_a_route(
    unlinked: Testnet, check: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a check may take by default is an hour here: it would not end."""
    monkeypatch.setattr(refusals, "USUAL_TIME", 3600.0)
    topology = with_checks(UNLINKED, check[:-1] + ", within: 3600s}" if "{" in check else check)
    checks = parse(topology.replace("mesh: [r, h2]", MESH), "unlinked.yaml").checks
    (found,) = run_checks(unlinked, checks)
    assert not found.passed
    assert says in found.message


MESH = "mesh: {members: [r, h2], within: 3600s}"


def test_who_names_a_time_waits_for_a_route() -> None:
    usual, named = refusals.Refusals(refusals.USUAL_TIME), refusals.Refusals(30.0)
    now = time.monotonic()
    for refused in (usual, named):
        refused.note(errno.ENETUNREACH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now + 20)
        assert (usual.are_final, named.are_final) == (True, False)
        usual.note(errno.ECONNREFUSED)
        assert not usual.are_final
