"""What stands in our nftables tables: sets, chains and rules as data, and their text.

Rules that hold here:
- Two tables, `inet pynet` and `bridge pynet`, of constant size: rules are per host, what
  belongs to one container is an element of a set. Who sends a frame can only be seen in the
  bridge family, hence the second.
- All sets are hash sets. An interval set refuses overlapping networks and its cost grows
  with its elements, so two addresses are compared by prefix: masked, in a hash set per
  prefix length in use.
- `SETS` is the one description of a set: the table is made from it and elements are
  packed by it. What changes the meaning of a name here raises `VERSION`.
- Every text uses `create`, which fails where the thing is there: of two processes that
  make a part at once the second one's transaction changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from ipaddress import ip_network

from ..model.errors import KernelError
from .nft_guards import CONFINED, FRAME_SETS, FRAMES, PAST_THE_BRIDGE, ROUTE_SETS
from .nft_shapes import TABLE as TABLE
from .nft_shapes import NftSet as NftSet
from .nft_shapes import Part as Part
from .nft_shapes import Rule as Rule
from .nft_shapes import TableLayout as TableLayout

VERSION = 1

_VERSION_COMMENT = "pynet layout "
_PREFIX_SET = re.compile(r"network([46])_(\d{1,3})")
_CONDITION = re.compile(r"published([46])_([0-9a-f]{8})(?:_any)?")
_BITS = {4: 32, 6: 128}


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


SETS: dict[str, NftSet] = {
    described.name: described
    for described in (
        NftSet("masquerade4", "inet", ("ipv4_addr",), "containers that are masqueraded"),
        NftSet("masquerade6", "inet", ("ipv6_addr",), "containers that are masqueraded"),
        *published_maps(4),
        *published_maps(6),
        NftSet("hairpin4", "inet", ("ipv4_addr",), "containers that see their host, not loopback"),
        NftSet("hairpin6", "inet", ("ipv6_addr",), "containers that see their host, not loopback"),
        NftSet("published_masquerade4", "inet", ("ipv4_addr",), "containers that see no client"),
        NftSet("published_masquerade6", "inet", ("ipv6_addr",), "containers that see no client"),
        NftSet("loopback_guarded", "inet", ("ifname",), "interfaces with route_localnet"),
        NftSet("closed4", "inet", ("ipv4_addr",), "containers with an ingress policy"),
        NftSet("closed6", "inet", ("ipv6_addr",), "containers with an ingress policy"),
        NftSet("within4", "inet", ("ifname", "ipv4_addr"), "bridges that reach their containers"),
        NftSet("within6", "inet", ("ifname", "ipv6_addr"), "bridges that reach their containers"),
        NftSet("apart4", "inet", ("ifname", "ipv4_addr"), "bridges that keep them from each other"),
        NftSet("apart6", "inet", ("ifname", "ipv6_addr"), "bridges that keep them from each other"),
        *ROUTE_SETS,
        *FRAME_SETS,
    )
}


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
        "loopback_guard",
        "ip daddr 127.0.0.0/8 iifname @loopback_guarded drop",
        "nobody else reaches the host's loopback",
    ),
    Rule(
        "loopback_guard",
        "ip saddr 127.0.0.0/8 iifname @loopback_guarded drop",
        "nobody else passes for the host's loopback",
    ),
    # Translated before it is routed, it would get past the kernel's own check.
    Rule("prerouting", "ip daddr 127.0.0.0/8 return", "nothing for loopback comes from outside"),
    Rule("prerouting", "fib daddr type local jump published", "what is for the host"),
    Rule("output", "fib daddr type local jump published", "what the host sends to itself"),
    Rule("hairpin", "ip saddr 127.0.0.0/8 masquerade", "loopback can't be answered"),
    Rule(
        "published_sources",
        "ip daddr @published_masquerade4 masquerade",
        "the client is not shown, IPv4",
    ),
    Rule(
        "published_sources",
        "ip6 daddr @published_masquerade6 masquerade",
        "the client is not shown, IPv6",
    ),
    Rule("published_sources", "ip daddr @hairpin4 jump hairpin", "back the same way, IPv4"),
    Rule("published_sources", "ip6 daddr @hairpin6 jump hairpin", "back the same way, IPv6"),
    Rule("postrouting", "ct status dnat jump published_sources", "what came by a published port"),
)
"""How published ports work. A specific address wins: it is looked up first."""

INGRESS = (
    Rule("closed", "ct state established,related accept", "what a container has begun"),
    # Before published ports: with br_netfilter an isolated port would stop those anyway.
    Rule("closed", "iifname . ip daddr @apart4 drop", "isolated on its own bridge, IPv4"),
    Rule("closed", "iifname . ip6 daddr @apart6 drop", "isolated on its own bridge, IPv6"),
    Rule("closed", "ct status dnat accept", "published ports"),
    Rule("closed", "iifname . ip daddr @within4 accept", "from the container's own bridge, IPv4"),
    Rule("closed", "iifname . ip6 daddr @within6 accept", "from the container's own bridge, IPv6"),
    Rule("closed", "drop", "nobody else may begin"),
    Rule("forward", "ip daddr @closed4 jump closed", "to containers with a policy, IPv4"),
    Rule("forward", "ip6 daddr @closed6 jump closed", "to containers with a policy, IPv6"),
)
"""Which connections to a container may begin elsewhere. Without a policy all may."""

TABLES: dict[str, TableLayout] = {
    "inet": TableLayout(
        family="inet",
        chains={
            "masquerade4": "",
            "masquerade6": "",
            "published": "",
            "conditional": "",
            "hairpin": "",
            "published_sources": "",
            "loopback_guard": "type filter hook prerouting priority raw; policy accept;",
            "prerouting": "type nat hook prerouting priority dstnat; policy accept;",
            "output": "type nat hook output priority -100; policy accept;",
            "postrouting": "type nat hook postrouting priority srcnat; policy accept;",
            "closed": "",
            "forward": "type filter hook forward priority filter; policy accept;",
        },
        rules=(
            Rule("masquerade4", "ip daddr 224.0.0.0/4 return", "multicast keeps its source"),
            Rule("masquerade4", "masquerade", "all else leaves with the host's address"),
            Rule("masquerade6", "ip6 daddr ff00::/8 return", "multicast keeps its source"),
            Rule("masquerade6", "masquerade", "all else leaves with the host's address"),
            *PUBLISHING,
            Rule("postrouting", "ip saddr @masquerade4 jump masquerade4", "masqueraded, IPv4"),
            Rule("postrouting", "ip6 saddr @masquerade6 jump masquerade6", "masqueraded, IPv6"),
            PAST_THE_BRIDGE,
            *CONFINED,
            *INGRESS,
        ),
        needs="CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_CT,"
        " CONFIG_NFT_FIB_INET",
    ),
    "bridge": FRAMES,
}


def set_named(name: str) -> NftSet:
    """The set of that name: of `SETS`, of a prefix or of a condition. Raises `KernelError`."""
    if name in SETS:
        return SETS[name]
    if (condition := condition_of(name)) is not None:
        return published_maps(*condition)[name.endswith("_any")]
    if (prefix := prefix_of(name)) is not None:
        return prefix_set(*prefix)
    raise KernelError(
        f"nftables set {name!r} is none that this version of pynet knows;"
        " use the version that recorded it"
    )


def prefix_of(name: str) -> tuple[int, int] | None:
    """(family, length) of a prefix set's name; None for any other."""
    match = _PREFIX_SET.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def condition_of(name: str) -> tuple[int, str] | None:
    """(family, condition) of the name of a map or chain of a condition's; None for any other."""
    match = _CONDITION.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


@cache
def prefix_set(family: int, length: int) -> NftSet:
    """The set of networks of one prefix length: (network, network) of source and destination."""
    if not 0 <= length <= _BITS.get(family, -1):
        raise KernelError(f"there is no prefix length {length} in IPv{family}")
    address = f"ipv{family}_addr"
    return NftSet(
        f"network{family}_{length}", "inet", (address, address), f"networks of length /{length}"
    )


def prefix_rules(family: int, length: int) -> tuple[Rule, Rule]:
    """Traffic within one of those networks: it passes as it is, and by a published port it
    does not, for the answer would not come back through the host.
    """
    protocol = {4: "ip", 6: "ip6"}[family]
    any_address = {4: "0.0.0.0", 6: "::"}[family]
    mask = ip_network(f"{any_address}/{length}").netmask
    match = (
        f"{protocol} saddr and {mask} . {protocol} daddr and {mask}"
        f" @{prefix_set(family, length).name}"
    )
    return (
        Rule(
            f"masquerade{family}",
            f"{match} return",
            f"within one /{length} network the source stays",
        ),
        Rule("hairpin", f"{match} masquerade", f"within one IPv{family} /{length} network"),
    )


def table_part(family: str) -> Part:
    """A whole table, without elements and prefix sets."""
    layout = TABLES[family]
    sets = [described for described in SETS.values() if described.family == family]
    return Part(family, sets[0].name, "".join(_table_lines(layout, sets)), layout.needs)


def _table_lines(layout: TableLayout, sets: list[NftSet]) -> Iterator[str]:
    yield (
        f"table {layout.family} {TABLE} {{"
        f' comment "{_VERSION_COMMENT}{VERSION}: made by pynet, rebuilt when deleted"; }}\n'
    )
    for described in sets:
        yield described.text
    for name, hook in layout.chains.items():
        yield f"create chain {layout.family} {TABLE} {name}" + (
            f" {{ {hook} }}\n" if hook else "\n"
        )
    for rule in layout.rules:
        yield rule.text(layout.family)


def prefix_part(family: int, length: int) -> Part:
    """The set and the rules for one prefix length.

    They go first in their chains: among rules with one verdict, order is of no account.
    """
    described = prefix_set(family, length)
    rules = prefix_rules(family, length)
    return _part((described,), rules, verb="insert")


def condition_part(family: int, condition: str, match: str) -> Part:
    """The maps of ports that are published on a condition, and the rules that look into them.

    One rule is passed by whatever comes for a published port; the rest is for what fits.
    """
    maps = published_maps(family, condition)
    chain = maps[0].name
    rules = (
        Rule("conditional", f"meta nfproto ipv{family} {match} jump {chain}", f"to {chain}"),
        *published_rules(family, chain, maps),
    )
    return _part(maps, rules, chains=(chain,))


def _part(
    sets: tuple[NftSet, ...],
    rules: tuple[Rule, ...],
    chains: tuple[str, ...] = (),
    verb: str = "add",
) -> Part:
    made = "".join(described.text for described in sets)
    made += "".join(f"create chain inet {TABLE} {chain}\n" for chain in chains)
    part = Part("inet", sets[0].name, made, TABLES["inet"].needs, rules, sets, chains, verb)
    return replace(part, text=made + part.rules_text())


def rules_text(family: str, parts: Iterable[Part], stale: Iterable[Part] = ()) -> str:
    """All rules of a table anew, in place of whatever its chains hold now; `stale` parts go."""
    layout = TABLES[family]
    listed = list(parts)
    chains = [*layout.chains, *(chain for part in listed for chain in part.chains)]
    lines = [f"flush chain {family} {TABLE} {chain}\n" for chain in chains]
    lines += [part.deletion() for part in stale]
    lines += [rule.text(family) for rule in layout.rules]
    lines += [part.rules_text() for part in listed]
    return "".join(lines)


def version_of(comment: str) -> int:
    """The layout version a table's comment tells; 0 for a table that is not of our making."""
    match = re.match(_VERSION_COMMENT + r"(\d+)", comment)
    return int(match[1]) if match else 0
