"""What stands in our nftables tables: sets, chains and rules as data, and their text.

Rules that hold here:
- Two tables, `inet pynet` and `bridge pynet`, of constant size: rules are per host, what
  belongs to one container is an element of a set. A spoofed MAC can only be seen in the
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
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network

from ..model.errors import KernelError

TABLE = "pynet"
VERSION = 1

_VERSION_COMMENT = "pynet layout "
_PREFIX_SET = re.compile(r"network([46])_(\d{1,3})")
_BITS = {4: 32, 6: 128}


@dataclass(frozen=True)
class NftSet:
    """A set, or a map where `data` names the fields of its values. Types are nft's words."""

    name: str
    family: str
    key: tuple[str, ...]
    about: str
    data: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`create set FAMILY pynet NAME { type KEY; comment ABOUT; }`"""
        noun, type_ = "set", " . ".join(self.key)
        if self.data:
            noun, type_ = "map", f"{type_} : {' . '.join(self.data)}"
        flags = f" flags {','.join(self.flags)};" if self.flags else ""
        return (
            f"create {noun} {self.family} {TABLE} {self.name}"
            f' {{ type {type_};{flags} comment "{self.about}"; }}\n'
        )


@dataclass(frozen=True)
class Rule:
    """A rule; within its chain its comment is what it is known by."""

    chain: str
    match: str
    comment: str

    def text(self, family: str, verb: str = "add") -> str:
        """`nft add rule FAMILY pynet CHAIN MATCH comment COMMENT`; `insert` puts it first."""
        return f'{verb} rule {family} {TABLE} {self.chain} {self.match} comment "{self.comment}"\n'


@dataclass(frozen=True)
class TableLayout:
    """A table: its chains (name -> hook, "" for one that is jumped to) and rules in order."""

    family: str
    chains: dict[str, str]
    rules: tuple[Rule, ...]
    needs: str  # what the kernel must have, in the words of its configuration


@dataclass(frozen=True)
class Part:
    """What is made in one piece: `marker` is the set whose presence shows that it was."""

    family: str
    marker: str
    text: str
    needs: str


def published_maps(family: int) -> tuple[NftSet, NftSet]:
    """From a port of one host address, and of all, to a container's address and port."""
    address = f"ipv{family}_addr"
    target = (address, "inet_service")
    return (
        NftSet(
            f"published{family}",
            "inet",
            ("inet_proto", address, "inet_service"),
            "ports of one host address",
            target,
        ),
        NftSet(
            f"published{family}_any",
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
        NftSet("guarded", "bridge", ("ifname",), "ports that may send from known MACs only"),
        NftSet("allowed", "bridge", ("ifname", "ether_addr"), "guarded ports and their MACs"),
    )
}

PUBLISHING = (
    Rule(
        "published",
        "ip6 daddr { ::1, fe80::/10 } return",
        "what arrives there can't be sent on",
    ),
    Rule(
        "published",
        "meta nfproto ipv4 dnat ip to meta l4proto . ip daddr . th dport map @published4",
        "ports of one address, IPv4",
    ),
    Rule(
        "published",
        "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published4_any",
        "ports of every address, IPv4",
    ),
    Rule(
        "published",
        "meta nfproto ipv6 dnat ip6 to meta l4proto . ip6 daddr . th dport map @published6",
        "ports of one address, IPv6",
    ),
    Rule(
        "published",
        "meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @published6_any",
        "ports of every address, IPv6",
    ),
    # Where route_localnet is set the kernel no longer drops it (what comes *from* 127.0.0.0/8 it
    # drops all the same, as from any address of the host's own).
    Rule(
        "loopback_guard",
        "ip daddr 127.0.0.0/8 iifname @loopback_guarded drop",
        "nobody else reaches the host's loopback",
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
            *INGRESS,
        ),
        needs="CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_CT,"
        " CONFIG_NFT_FIB_INET",
    ),
    "bridge": TableLayout(
        family="bridge",
        chains={"prerouting": "type filter hook prerouting priority -300; policy accept;"},
        rules=(
            Rule(
                "prerouting",
                "iifname @guarded iifname . ether saddr != @allowed drop",
                "a guarded port sends from its own MACs only",
            ),
        ),
        needs="CONFIG_NF_TABLES_BRIDGE",
    ),
}


def set_named(name: str) -> NftSet:
    """The set of that name, one of `SETS` or a prefix set. Raises `KernelError`."""
    if name in SETS:
        return SETS[name]
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
    rules = (rule.text("inet", verb="insert") for rule in prefix_rules(family, length))
    return Part("inet", described.name, described.text + "".join(rules), TABLES["inet"].needs)


def rules_text(family: str, prefixes: Iterable[tuple[int, int]]) -> str:
    """All rules of a table anew, in place of whatever its chains hold now."""
    layout = TABLES[family]
    lines = [f"flush chain {family} {TABLE} {chain}\n" for chain in layout.chains]
    lines += [rule.text(family) for rule in layout.rules]
    lines += [
        rule.text(family, verb="insert") for prefix in prefixes for rule in prefix_rules(*prefix)
    ]
    return "".join(lines)


def version_of(comment: str) -> int:
    """The layout version a table's comment tells; 0 for a table that is not of our making."""
    match = re.match(_VERSION_COMMENT + r"(\d+)", comment)
    return int(match[1]) if match else 0
