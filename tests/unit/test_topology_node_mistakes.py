"""Mistakes in nodes, links and the underlay: each with its line and what to write instead."""

from __future__ import annotations

import pytest
from mistakes import Mistake, assert_told

MISTAKES = {
    # --- nodes
    "unknown kind": Mistake("  sw: switch", "  sw: swich @@", "nodes.sw", 'mean "switch"?'),
    "switch with addresses": Mistake(
        "  sw: switch",
        "  sw: {kind: switch, addresses: {e: 192.0.2.1/24}} @@",
        "nodes.sw.addresses",
        "leave them out, or write kind: router",
    ),
    "addresses of an unknown interface": Mistake(
        "  h1: host",
        "  h1: {addresses: {eth9: 192.0.2.1/24}} @@",
        "nodes.h1.addresses.eth9",
        'did you mean "eth1"?',
    ),
    "address without a prefix": Mistake(
        "  h1: host",
        "  h1: {addresses: {eth1: 192.0.2.1}} @@",
        "nodes.h1.addresses.eth1",
        "write 192.0.2.1/24",
    ),
    "address that is none": Mistake(
        "  h1: host", "  h1: {addresses: {eth1: x}} @@", "nodes.h1.addresses.eth1", "192.0.2.7/24"
    ),
    "address of two nodes": Mistake(
        "  h1: host\n  h2: host",
        "  h1: {addresses: {eth1: 192.0.2.1/24}}\n  h2: {addresses: {eth1: 192.0.2.1/24}} @@",
        "nodes.h2.addresses.eth1",
        "an address of h1 already: write another one",
    ),
    "linked interfaces in two subnets": Mistake(
        "  h1: host\n  h2: host",
        "  h1: {addresses: {eth1: 192.0.2.1/24}}\n  h2: {addresses: {eth1: 10.9.0.1/24}} @@",
        "nodes.h2.addresses.eth1",
        "give both addresses of one subnet",
    ),
    "setting that is none": Mistake(
        "  h1: host", "  h1: {sysctls: {forward: 1}} @@", "nodes.h1.sysctls.forward", "net.ipv4."
    ),
    # --- links
    "link that is none": Mistake(
        "  - r1 -- sw", "  - r1 - sw @@", "links[2]", "write h1:eth1 -- sw"
    ),
    "link with one end": Mistake(
        "  - r1 -- sw", "  - {ends: [r1]} @@", "links[2].ends", "two ends"
    ),
    "link of an unknown node": Mistake(
        "  - r1 -- sw",
        "  - r1 -- sv @@",
        "links[2]",
        'no node "sv"; write one of h1, h2, r1, sw, sw2, sw3',
    ),
    "link with itself": Mistake("  - r1 -- sw", "  - r1:a -- r1:b @@", "links[2]", "name another"),
    "two links on one port": Mistake(
        "  - r1 -- sw",
        "  - h1:eth1 -- sw2 @@",
        "links[2]",
        'h1:eth1 is in "h1 -- sw" already; write another interface, or h1 alone',
    ),
    "two links of one name": Mistake(
        "  - r1 -- sw", "  - sw -- h1 @@", "links[2]", "leave it out, or put a switch between"
    ),
    "interface that can't be": Mistake(
        "  - r1 -- sw", "  - r1:a-very-long-name -- sw @@", "links[2]", "1 to 15 letters"
    ),
    "cycle of switches": Mistake(
        "  - r1 -- sw",
        "  - sw -- sw2\n  - sw2 -- sw3\n  - sw -- sw3 @@",
        "links[4]",
        "a cycle of switches (sw -- sw2 -- sw3 -- sw): frames would go round for ever; leave",
    ),
    "mtu that is none": Mistake("  - r1 -- sw", "  - r1 -- sw {mtu=9} @@", "links[2]", "mtu=1400"),
    # --- units
    "wrong unit of a rate": Mistake(
        "  - r1 -- sw", "  - r1 -- sw {rate=10mb} @@", "links[2]", "(bit, kbit, mbit, gbit): write"
    ),
    "rate without a unit": Mistake(
        "  - r1 -- sw", "  - {ends: [r1, sw], rate: 10} @@", "links[2].rate", '"10mbit"'
    ),
    "wrong unit of a delay": Mistake(
        "  - r1 -- sw", "  - r1 -- sw {delay=20m} @@", "links[2]", "(us, ms, s): write one such as"
    ),
    "delay without a unit": Mistake(
        "  - r1 -- sw", "  - {ends: [r1, sw], delay: 20} @@", "links[2].delay", '"20ms"'
    ),
    "loss without a unit": Mistake(
        "  - r1 -- sw", "  - {ends: [r1, sw], loss: 5} @@", "links[2].loss", "lacks its unit (%)"
    ),
    "more than all is lost": Mistake(
        "  - r1 -- sw", "  - r1 -- sw {loss=200%} @@", "links[2]", '"0%" to "100%"'
    ),
    "wrong unit in a check": Mistake(
        "  - mesh: all",
        "  - tcp: {from: a, to: 'b:80', within: 3min} @@",
        "checks[0].tcp.within",
        '(us, ms, s): write one such as "20ms"',
    ),
    # --- the underlay
    "underlay that is none": Mistake(
        "links:", "underlay: {ipv4: 10.0.0.1/8} @@\nlinks:", "underlay.ipv4", "192.168.0.0/16"
    ),
    "underlay that is too small": Mistake(
        "links:", "underlay: {ipv4: 10.0.0.0/30} @@\nlinks:", "underlay", 'ipv4: "10.0.0.0/8"'
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistake(mistake: Mistake) -> None:
    assert_told(mistake)
