"""Published ports: the maps that lead from the host to a container, and the rules around them."""

from __future__ import annotations

from functools import cache

from .shapes import NftSet, Rule


@cache
def published_maps(family: int, condition: str = "") -> tuple[NftSet, NftSet]:
    """From a port of one host address, and of all, to a container's address and port.

    Those of a condition are looked into only where that holds.
    """
    name = f"published{family}_{condition}" if condition else f"published{family}"
    address = f"ipv{family}_addr"
    target = (address, "inet_service")
    return (
        NftSet(
            name,
            "inet",
            ("inet_proto", address, "inet_service"),
            "ports of one host address",
            target,
        ),
        NftSet(
            f"{name}_any",
            "inet",
            ("inet_proto", "inet_service"),
            "ports of every host address",
            target,
        ),
    )


def published_rules(family: int, chain: str, maps: tuple[NftSet, NftSet]) -> tuple[Rule, Rule]:
    """What comes for a port of one address goes on; then what comes for one of all."""
    protocol = {4: "ip", 6: "ip6"}[family]
    to = f"meta nfproto ipv{family} dnat {protocol} to meta l4proto"
    specific, everywhere = (described.name for described in maps)
    return (
        Rule(
            chain,
            f"{to} . {protocol} daddr . th dport map @{specific}",
            f"ports of one address, IPv{family}",
        ),
        Rule(chain, f"{to} . th dport map @{everywhere}", f"ports of every address, IPv{family}"),
    )


_PUBLISHED = {
    family: published_rules(family, "published", published_maps(family)) for family in (4, 6)
}


def sources(chain: str, suffix: str) -> tuple[Rule, ...]:
    """Who of those that come by a published port is not shown as he is."""
    behind = "oifname . " if suffix else ""
    return tuple(
        Rule(
            chain,
            f"{behind}{protocol} daddr @{name}{suffix}{family} {verdict}",
            f"{about}, IPv{family}",
        )
        for name, verdict, about in (
            ("published_masquerade", "masquerade", "the client is not shown"),
            ("hairpin", "jump hairpin", "back the same way"),
        )
        for family, protocol in ((4, "ip"), (6, "ip6"))
    )


PUBLISHING = (
    Rule(
        "published",
        "ip6 daddr { ::1, fe80::/10 } return",
        "what arrives there can't be sent on",
    ),
    _PUBLISHED[4][0],
    _PUBLISHED[6][0],
    Rule("published", "jump conditional", "ports published on conditions"),
    _PUBLISHED[4][1],
    _PUBLISHED[6][1],
    # Where route_localnet is set the kernel no longer drops these; what comes from the rest of
    # 127.0.0.0/8 it lets in then, though not from 127.0.0.1, which is an address of its own.
    Rule(
        "raw",
        "ip daddr 127.0.0.0/8 iifname @loopback_guarded drop",
        "nobody else reaches the host's loopback",
    ),
    Rule(
        "raw",
        "ip saddr 127.0.0.0/8 iifname @loopback_guarded drop",
        "nobody else passes for the host's loopback",
    ),
    # Translated before it is routed, it would get past the kernel's own check.
    Rule("prerouting", "ip daddr 127.0.0.0/8 return", "nothing for loopback comes from outside"),
    Rule("prerouting", "fib daddr type local jump published", "what is for the host"),
    Rule("output", "fib daddr type local jump published", "what the host sends to itself"),
    Rule("hairpin", "ip saddr 127.0.0.0/8 masquerade", "loopback can't be answered"),
    Rule("published_sources", "oifname @zoned goto sources_in_zone", "to a network with a zone"),
    *sources("published_sources", ""),
    *sources("sources_in_zone", "_at"),
    Rule("postrouting", "ct status dnat jump published_sources", "what came by a published port"),
)
"""How published ports work. A specific address wins: it is looked up first."""
