"""What stands in our nftables tables: sets, chains and rules as data, and their text.

Rules that hold here:
- Two tables, `inet pynet` and `bridge pynet`, of constant size: rules are per host, what
  belongs to one container is an element of a set. Who sends a frame can only be seen in the
  bridge family, hence the second.
- All sets are hash sets. An interval set refuses overlapping networks and its cost grows
  with its elements, so two addresses are compared by prefix: masked, in a hash set per
  prefix length in use.
- Networks whose addresses overlap are kept apart: of all but the first of them the bridge has a
  conntrack zone, which whoever begins a connection there is known by beside his address. Where
  something goes is known by the interface behind which that zone is. Else the zone is 0.
- `SETS` is the one description of a set: the table is made from it and elements are
  packed by it. What changes in a table raises its version.
- Every text uses `create`, which fails where the thing is there: of two processes that
  make a part at once the second one's transaction changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from ipaddress import ip_network

from msgspec.structs import replace

from ...model.errors import KernelError
from ..netlink.nf_tables import TABLE
from .guards import CONFINED, FRAME_SETS, FRAMES, PAST_THE_BRIDGE, ROUTE_SETS
from .owner import OWNER_SETS
from .publishing import PUBLISHING
from .publishing import published_maps as published_maps
from .publishing import published_rules as published_rules
from .shapes import ZONE
from .shapes import NftSet as NftSet
from .shapes import Part as Part
from .shapes import Rule as Rule
from .shapes import TableLayout as TableLayout

_VERSION_COMMENT = "pynet layout "
_PREFIX_SET = re.compile(r"network([46])_(\d{1,3})")
_CONDITION = re.compile(r"published([46])_([0-9a-f]{8})(?:_any)?")
_BITS = {4: 32, 6: 128}


ZONES = NftSet("zones", "inet", ("ifname",), "zones of networks that overlap others", (ZONE,))
ZONED_SETS = tuple(
    NftSet(f"{name}_at{family}", "inet", ("ifname", f"ipv{family}_addr"), f"{name}, in a zone")
    for name in ("hairpin", "published_masquerade", "closed")
    for family in (4, 6)
)
"""By the interface that leads to it and its address: what is in a zone."""

SETS: dict[str, NftSet] = {
    described.name: described
    for described in (
        NftSet("masquerade4", "inet", (ZONE, "ipv4_addr"), "containers that are masqueraded"),
        NftSet("masquerade6", "inet", (ZONE, "ipv6_addr"), "containers that are masqueraded"),
        *published_maps(4),
        *published_maps(6),
        NftSet("hairpin4", "inet", ("ipv4_addr",), "containers that see their host, not loopback"),
        NftSet("hairpin6", "inet", ("ipv6_addr",), "containers that see their host, not loopback"),
        NftSet("published_masquerade4", "inet", ("ipv4_addr",), "containers that see no client"),
        NftSet("published_masquerade6", "inet", ("ipv6_addr",), "containers that see no client"),
        NftSet("loopback_guarded", "inet", ("ifname",), "interfaces with route_localnet"),
        ZONES,
        NftSet("zoned", "inet", ("ifname",), "interfaces with a zone"),
        *ZONED_SETS,
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


INGRESS = (
    # Of what somebody else has begun each packet is judged: he may have begun it with whoever
    # had the address before.
    Rule("closed", "ct state established ct direction reply accept", "what a container has begun"),
    Rule("closed", "ct state related accept", "what belongs to that"),
    Rule("closed", "ct status expected accept", "what that has announced"),
    # Before published ports: with br_netfilter an isolated port would stop those anyway.
    Rule("closed", "iifname . ip daddr @apart4 drop", "isolated on its own bridge, IPv4"),
    Rule("closed", "iifname . ip6 daddr @apart6 drop", "isolated on its own bridge, IPv6"),
    Rule("closed", "ct status dnat accept", "published ports"),
    Rule("closed", "iifname . ip daddr @within4 accept", "from the container's own bridge, IPv4"),
    Rule("closed", "iifname . ip6 daddr @within6 accept", "from the container's own bridge, IPv6"),
    Rule("closed", "drop", "nobody else may begin"),
    Rule("forward", "oifname @zoned goto forward_in_zone", "to a network with a zone"),
    Rule("forward", "ip daddr @closed4 jump closed", "to containers with a policy, IPv4"),
    Rule("forward", "ip6 daddr @closed6 jump closed", "to containers with a policy, IPv6"),
    Rule("forward_in_zone", "oifname . ip daddr @closed_at4 jump closed", "with a policy, IPv4"),
    Rule("forward_in_zone", "oifname . ip6 daddr @closed_at6 jump closed", "with a policy, IPv6"),
)
"""Which connections to a container may begin elsewhere. Without a policy all may."""

TABLES: dict[str, TableLayout] = {
    "inet": TableLayout(
        family="inet",
        version=2,
        chains={
            "masquerade4": "",
            "masquerade6": "",
            "published": "",
            "conditional": "",
            "hairpin": "",
            "published_sources": "",
            "sources_in_zone": "",
            "raw": "type filter hook prerouting priority raw; policy accept;",
            "prerouting": "type nat hook prerouting priority dstnat; policy accept;",
            "output": "type nat hook output priority -100; policy accept;",
            "postrouting": "type nat hook postrouting priority srcnat; policy accept;",
            "closed": "",
            "forward_in_zone": "",
            "forward": "type filter hook forward priority filter; policy accept;",
        },
        rules=(
            Rule("masquerade4", "ip daddr 224.0.0.0/4 return", "multicast keeps its source"),
            Rule("masquerade4", "masquerade", "all else leaves with the host's address"),
            Rule("masquerade6", "ip6 daddr ff00::/8 return", "multicast keeps its source"),
            Rule("masquerade6", "masquerade", "all else leaves with the host's address"),
            *PUBLISHING,
            *(
                Rule(
                    "postrouting",
                    f"ct original zone . {protocol} saddr @masquerade{family}"
                    f" jump masquerade{family}",
                    f"masqueraded, IPv{family}",
                )
                for family, protocol in ((4, "ip"), (6, "ip6"))
            ),
            PAST_THE_BRIDGE,
            # Of those that begin there alone: answers are found as ever, whoever asked.
            Rule("raw", "ct original zone set iifname map @zones", "networks that overlap"),
            *CONFINED,
            *INGRESS,
        ),
        needs="CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_CT,"
        " CONFIG_NFT_FIB_INET, CONFIG_NF_CONNTRACK_ZONES",
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
    """The set of networks of one prefix length: (zone, network, network), from and to."""
    if not 0 <= length <= _BITS.get(family, -1):
        raise KernelError(f"there is no prefix length {length} in IPv{family}")
    address = f"ipv{family}_addr"
    return NftSet(
        f"network{family}_{length}",
        "inet",
        (ZONE, address, address),
        f"networks of length /{length}",
    )


def prefix_rules(family: int, length: int) -> tuple[Rule, Rule]:
    """Traffic within one of those networks: it passes as it is, and by a published port it
    does not, for the answer would not come back through the host.
    """
    protocol = {4: "ip", 6: "ip6"}[family]
    any_address = {4: "0.0.0.0", 6: "::"}[family]
    mask = ip_network(f"{any_address}/{length}").netmask
    match = (
        f"ct original zone . {protocol} saddr and {mask} . {protocol} daddr and {mask}"
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


def sets_of(family: str) -> list[NftSet]:
    """Those that stand in the table from the beginning."""
    named = (described for described in SETS.values() if described.family == family)
    return [*named, OWNER_SETS[family]]


def table_part(family: str) -> Part:
    """A whole table, without elements and prefix sets."""
    layout = TABLES[family]
    sets = sets_of(family)
    return Part(family, sets[0].name, "".join(_table_lines(layout, sets)), layout.needs)


def _table_lines(layout: TableLayout, sets: list[NftSet]) -> Iterator[str]:
    yield (
        f"table {layout.family} {TABLE} {{"
        f' comment "{_VERSION_COMMENT}{layout.version}: made by pynet, rebuilt when deleted"; }}\n'
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
