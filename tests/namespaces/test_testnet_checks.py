"""Checks on a testnet of two hosts: those that hold, and what is said of those that don't."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pynet.testnets.checks.checking import Outcome, run_checks
from pynet.testnets.lab.features import lacking
from pynet.testnets.lab.place import Place
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.reading import parse
from pynet.testnets.spec.topology import Topology

NODES = """
nodes: {h1: host, h2: host, sw: switch, r1: router, ext: external}
links:
  - h1:eth1 -- sw
  - r1:eth1 -- sw
  - ext:eth1 -- sw
  - h2:eth1 -- r1:eth2 {mtu=1400}
networks:
  web: {hosts: [h1], subnets: [10.1.0.0/24, "fd01::/64"]}
  db: {hosts: [h2], subnets: [10.2.0.0/24]}
containers:
  a@h1: {networks: [web]}
  b@h1: {networks: [web], publish: ["8080:80", "5353:53/udp", "127.0.0.1:9090:90"]}
  c@h2: {networks: [db], publish: ["8080:80", "5353:53/udp"]}
  page@h2: {networks: [db], run: "sleep 0.5; exec python3 -c '%s'"}
"""
PAGE = (
    "import socketserver, http.server as h; "
    'socketserver.TCPServer((\\"\\", 80), h.SimpleHTTPRequestHandler).serve_forever()'
)


def topology(*checks: str) -> Topology:
    return parse(
        NODES % PAGE + "checks:\n" + "".join(f"  - {check}\n" for check in checks), "site.yaml"
    )


@pytest.fixture(scope="module")
def site() -> Iterator[Testnet]:
    with Testnet.up(topology()) as testnet:
        yield testnet


def outcome(site: Testnet, check: str) -> Outcome:
    (found,) = run_checks(site, topology(check).checks)
    return found


def message(site: Testnet, check: str) -> str:
    """What is said of a check that fails."""
    found = outcome(site, check)
    assert not found.passed
    return found.message


@contextmanager
def dropped(place: Place, hook: str, match: str, verdict: str = "drop") -> Iterator[None]:
    """A rule of somebody's firewall, for a while."""
    lines = [
        "add table inet theirs",
        f"add chain inet theirs {hook} {{ type filter hook {hook} priority -300; }}",
        f"add rule inet theirs {hook} {match} {verdict}",
    ]
    place.run(["nft", "-f", "-"], input="\n".join(lines).encode())
    try:
        yield
    finally:
        place.run(["nft", "delete", "table", "inet", "theirs"])


HOLDING = [
    "mesh: [a, b]",
    "mesh: [h1, h2, r1, ext]",
    'tcp: {from: a, to: "b:80", seen_as: a}',
    'udp: {from: a, to: "b:80", seen_as: a}',
    'http: {from: a, to: "b:80", seen_as: a}',
    'tcp: {from: h2, to: "h1:8080", seen_as: h2}',
    'udp: {from: ext, to: "h1:5353", seen_as: ext}',
    'tcp: {from: c, to: "h1:8080", seen_as: h2}',
    'udp: {from: a, to: "h2:5353", seen_as: h1}',
    'tcp: {from: h1, to: "h1:9090"}',
    'tcp: {from: h1, to: "127.0.0.1:8080"}',
    'tcp: {from: b, to: "h1:8080"}',
    'tcp: {from: h2, to: "192.168.0.1:8080"}',
    'http: {from: c, to: "page:80", answer: "Directory listing"}',
    'deny: {from: ext, to: "a:80"}',
    'deny: {from: h2, to: "h1:9090"}',
    "deny: {from: a, to: c}",
    'deny: {from: a, to: "c:53", protocol: udp}',
    "path: {from: a, to: h2, via: [h1, sw, r1, h2]}",
    'path: {from: a, to: "h2:8080", via: [h1, sw, r1, h2, c], family: 4}',
    "mtu: {from: h1, to: h2, size: 1400}",
    "mtu: {from: h1, to: r1, size: 1500}",
]


@pytest.mark.parametrize("check", HOLDING)
def test_what_holds_passes(site: Testnet, check: str) -> None:
    found = outcome(site, check)
    assert found.passed, found.message
    assert found.message == ""


def test_a_published_port_is_tried_at_each_address_that_the_source_can_use(site: Testnet) -> None:
    with dropped(site.place("b"), "input", "tcp dport 80"):
        said = message(site, 'tcp: {from: h1, to: "h1:8080", within: 0.3s}')
    for address in ("127.0.0.1", "192.168.0.1", "10.1.0.1", "fd01::1"):
        assert f"({address} port 8080): no answer" in said


@pytest.mark.parametrize(("kind", "port"), [("tcp", 8080), ("http", 8080), ("udp", 5353)])
def test_a_packet_that_arrived_and_was_not_answered(site: Testnet, kind: str, port: int) -> None:
    with dropped(site.place("c"), "input", "meta l4proto { tcp, udp }"):
        said = message(site, f'{kind}: {{from: a, to: "h2:{port}", within: 0.3s}}')
    assert f"{kind} over IPv4 from a (10.1.0." in said
    assert f"to c (192.168.1.1 port {port}): no answer within 0.3 s" in said
    assert said.endswith("; it arrived at c's eth0; c did not answer")


def test_a_packet_that_a_host_did_not_pass_on(site: Testnet) -> None:
    with dropped(site.place("h2"), "forward", "tcp dport 80"):
        said = message(site, 'tcp: {from: a, to: "h2:8080", within: 0.3s}')
    assert "last seen arriving at h2:eth1; h2 did not pass it on" in said


def test_an_answer_that_was_lost_on_the_way(site: Testnet) -> None:
    with dropped(site.place("r1"), "forward", "tcp sport 8080"):
        said = message(site, 'tcp: {from: a, to: "h2:8080", within: 0.3s}')
    assert "it arrived at c's eth0; c answered" in said
    assert "the answer was last seen arriving at r1:eth2; r1 did not pass it on" in said


def test_a_refusal_is_told_from_silence(site: Testnet) -> None:
    with dropped(site.place("b"), "input", "tcp dport 80", "reject with tcp reset"):
        said = message(site, 'tcp: {from: a, to: "b:80", family: 4, within: 0.3s}')
    assert "Connection refused within 0.3 s; it arrived at b's eth0" in said
    assert re.search("and b's answer arrived at a's eth0", said)


def test_an_address_that_nobody_has(site: Testnet) -> None:
    said = message(site, 'tcp: {from: a, to: "192.168.0.77:80", within: 0.3s}')
    assert "to nobody here (192.168.0.77 port 80): no answer within 0.3 s" in said
    assert "h1 did not pass it on (it asked on eth1 who has 192.168.0.77" in said


def test_a_wire_that_is_cut(site: Testnet) -> None:
    # h1 knows where ext is then; else it would ask, and nothing would leave it.
    assert outcome(site, 'udp: {from: a, to: "ext:53", family: 4}').passed
    site.links["ext -- sw"].down()
    try:
        said = message(site, 'udp: {from: a, to: "ext:53", family: 4, within: 0.3s}')
    finally:
        site.links["ext -- sw"].up()
    assert "last seen arriving at sw:h1-eth1; sw did not pass it on" in said
    assert "no carrier on its ext-eth1" in said


def test_who_is_seen(site: Testnet) -> None:
    said = message(site, 'tcp: {from: a, to: "h2:8080", seen_as: a}')
    assert "the server saw 192.168.0.1 (h1), and not a, whose addresses are 10.1.0." in said


def test_a_page_that_is_another(site: Testnet) -> None:
    assert "status 200, not 404" in message(site, 'http: {from: a, to: "b:80", status: 404}')
    said = message(site, 'http: {from: a, to: "b:80", answer: hello, family: 4}')
    assert "'hello' is not in what was answered: '10.1.0." in said
    assert "by the check's own listener: nothing else listens in b" in said
    said = message(site, 'http: {from: c, to: "page:80", seen_as: c}')
    assert "by a server that does not say whom it saw" in said


def test_a_denial_that_does_not_hold(site: Testnet) -> None:
    said = message(site, 'deny: {from: a, to: "b:80", family: 4}')
    assert "tcp over IPv4 from a" in said
    assert "was answered, which saw 10.1.0." in said
    assert "was answered" in message(site, "deny: {from: a, to: b}")


def test_a_denial_that_proves_nothing(site: Testnet) -> None:
    with dropped(site.place("b"), "input", "tcp dport 80"):
        said = message(site, 'deny: {from: a, to: "b:80", family: 4}')
    assert "that proves nothing: the server does not answer local connections either" in said


def test_a_refused_call_is_denied_at_once(site: Testnet) -> None:
    with dropped(site.place("h1"), "forward", "tcp dport 80", "reject"):
        assert outcome(site, 'deny: {from: h2, to: "h1:8080", within: 60s}').passed


def test_another_way(site: Testnet) -> None:
    said = message(site, "path: {from: h1, to: h2, via: [r1, sw], family: 4, within: 0.2s}")
    assert "the packet passed h1, sw, r1, h2, and not r1, sw in this order" in said
    said = message(site, "path: {from: a, to: c, via: [h2], family: 4, within: 0.2s}")
    assert "the packet passed a, h1" in said
    assert "last seen" in said


def test_another_size(site: Testnet) -> None:
    said = message(site, "mtu: {from: h1, to: h2, size: 1500, family: 4, within: 0.1s}")
    assert "the largest packet that passes has 1400 bytes, not 1500" in said
    said = message(site, "mtu: {from: h1, to: h2, size: 1399, family: 6, within: 0.1s}")
    assert "the largest packet that passes has 1400 bytes, not 1399" in said
    said = message(site, "mtu: {from: a, to: c, size: 1399, within: 0.1s}")
    assert "none passes, not 1399; last seen" in said


def test_a_fault_is_undone_and_heals(site: Testnet) -> None:
    check = (
        'fault: {down: "h1 -- sw"}\n'
        '    expect: [{deny: {from: h2, to: "h1:8080"}}, {mesh: [a, b]}, '
        "{mesh: {members: [h1, h2], within: 0.3s}}]\n"
        '    heals: [{tcp: {from: h2, to: "h1:8080"}}]'
    )
    found = run_checks(site, topology(check).checks)
    assert [one.passed for one in found] == [True, True, False, True], found
    assert found[0].name == "fault: h1 -- sw down: deny tcp h2 -> h1:8080"
    assert found[3].name == "after fault: h1 -- sw down: tcp h2 -> h1:8080"


def test_a_node_is_cut_off(site: Testnet) -> None:
    check = (
        "fault: {stop: sw}\n"
        "    expect: [{deny: {from: h1, to: r1}}, {mesh: [h2, r1]}]\n"
        "    heals: [{mesh: [h1, r1]}]"
    )
    found = run_checks(site, topology(check).checks)
    assert [one.passed for one in found] == [True, True, True], found


def test_a_link_is_impaired_for_a_while(site: Testnet) -> None:
    check = (
        'fault: {impair: {"h1 -- sw": {loss: 100%}}}\n'
        "    expect: [{deny: {from: h1, to: r1}}]\n"
        "    heals: [{mesh: [h1, r1]}]"
    )
    found = run_checks(site, topology(check).checks)
    assert [one.passed for one in found] == [True, True], found


def test_an_impairment_that_this_kernel_cannot_make_is_skipped(site: Testnet) -> None:
    check = (
        'fault: {impair: {"h1 -- sw": {delay: 10ms}}}\n'
        "    expect: [{mesh: [h1, r1]}]\n"
        "    heals: [{mesh: [h1, r1]}]"
    )
    found = run_checks(site, topology(check).checks)
    reason = lacking("netem")
    assert [one.skipped for one in found] == ([True] if reason else [False, False])
    assert [one.message for one in found] == ([reason] if reason else ["", ""])


def test_progress_tells_what_begins(site: Testnet) -> None:
    told: list[tuple[str, int, int]] = []
    checks = topology("mesh: [a, b]", 'tcp: {from: a, to: "b:80", family: 4}').checks
    run_checks(site, checks, progress=lambda *what: told.append(what))
    assert told == [("mesh a, b", 1, 2), ("tcp a -> b:80 (IPv4)", 2, 2)]


def test_a_testnet_without_a_common_address(site: Testnet) -> None:
    said = message(site, "tcp: {from: c, to: 'b:80', family: 6}")
    assert said.startswith("it could not be tried: c has no way to address b:80")
    said = message(site, "mesh: {members: [a, c], family: 6}")
    assert "a -> c: they have no addresses of one IP version" in said
