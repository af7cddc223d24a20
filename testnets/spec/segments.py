"""What is wired together: the interfaces that reach each other without a router. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .topology import End, Family, Link, Topology

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network
FAMILIES: tuple[Family, ...] = (4, 6)


@dataclass(frozen=True)
class Segment:
    """Interfaces that reach each other without a router; `switches` between them, if any."""

    ends: tuple[End, ...]
    switches: tuple[str, ...] = ()
    subnets: Mapping[Family, Subnet] = field(default_factory=dict)


def segments_of(topology: Topology, links: Sequence[Link]) -> tuple[Segment, ...]:
    """The segments these links make, in the order in which they are first met, unnumbered."""
    switches = {name for name, node in topology.nodes.items() if node.kind == "switch"}
    root = _switch_groups(switches, links)
    ends: dict[object, list[End]] = {}
    for number, link in enumerate(links):
        key: object = next((root[end.node] for end in link.ends if end.node in switches), number)
        ends.setdefault(key, []).extend(end for end in link.ends if end.node not in switches)
    members: dict[object, list[str]] = {}
    for name in sorted(switches):
        members.setdefault(root[name], []).append(name)
    return tuple(
        Segment(tuple(found), tuple(members.get(key, ()))) for key, found in ends.items() if found
    )


def _switch_groups(switches: set[str], links: Iterable[Link]) -> dict[str, str]:
    """For each switch the one that stands for all those it is linked with."""
    group = {name: {name} for name in switches}
    for link in links:
        first, second = (group.get(end.node) for end in link.ends)
        if first is not None and second is not None and first is not second:
            first |= second
            group.update(dict.fromkeys(second, first))
    return {name: min(members) for name, members in group.items()}
