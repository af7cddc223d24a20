"""The routes of every node of a topology, the shortest ones. Pure.

Routers forward, and external nodes do; hosts don't. Hosts and routers have a default route to the
external node that is nearest; where there is none, a host has one to its nearest router. Routers
and external nodes have a route to every segment, hosts to those that their default route doesn't
lead to. A container network that is on one host alone and isn't masqueraded is routed: hosts and
routers know the way to it. External nodes know no container network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .expanding import network_hosts
from .segments import FAMILIES, Segment
from .topology import Family, Network, Topology

DEFAULTS: dict[Family, str] = {4: "0.0.0.0/0", 6: "::/0"}


class Route(NamedTuple):
    """Equivalent to: `ip route add DST via VIA`."""

    dst: str
    via: str


class Way(NamedTuple):
    """How one goes on from a segment: through how many others, and by which address first."""

    distance: int
    via: str


Interfaces = Mapping[tuple[str, str], Sequence[str]]


def routes(
    topology: Topology, segments: Sequence[Segment], interfaces: Interfaces
) -> dict[str, tuple[Route, ...]]:
    """The routes of each node that has addresses, the default ones first."""
    nodes = [name for name, node in topology.nodes.items() if node.kind != "switch"]
    maps = [_map(topology, segments, interfaces, family) for family in FAMILIES]
    found = {name: [route for at in maps for route in _of(at, name)] for name in nodes}
    return {
        name: tuple(sorted(all_, key=lambda route: route.dst not in DEFAULTS.values()))
        for name, all_ in found.items()
    }


@dataclass(frozen=True)
class _Map:
    """One family's view: who is on which segment by what address, and the ways to each place."""

    topology: Topology
    family: Family
    addresses: Mapping[str, Mapping[int, str]]
    to_segments: Mapping[int, Mapping[int, Way]]
    to_nodes: Mapping[str, Mapping[int, Way]]
    """By the nodes that something is behind."""
    to_routers: Mapping[int, Way]
    subnets: Mapping[int, str]
    servers: Mapping[str, Sequence[str]]
    """What external nodes have on `lo`, as destinations."""
    routed: Mapping[str, Sequence[str]]
    """The container networks behind hosts."""

    def kind(self, name: str) -> str:
        return self.topology.nodes[name].kind

    def hop(self, name: str, ways: Mapping[int, Way]) -> Way | None:
        """The shortest of these ways that starts where the node is."""
        here = [ways[at] for at in self.addresses[name] if at in ways]
        return min(here, key=_distance, default=None)


def _map(
    topology: Topology, segments: Sequence[Segment], interfaces: Interfaces, family: Family
) -> _Map:
    addresses: dict[str, dict[int, str]] = {name: {} for name in topology.nodes}
    for number, segment in enumerate(segments):
        for end in segment.ends:
            text = _first(interfaces[(end.node, end.interface)], family)
            if text:
                addresses[end.node].setdefault(number, text)
    forwarding = _forwarding(topology, addresses)
    servers = {
        name: _networks(interfaces.get((name, "lo"), ()), family)
        for name, node in topology.nodes.items()
        if node.kind == "external"
    }
    routed = _routed(topology, family)
    routers = [at for at in forwarding if topology.nodes[at].kind == "router"]
    return _Map(
        topology=topology,
        family=family,
        addresses=addresses,
        to_segments={at: _ways({at: ""}, forwarding) for at in range(len(segments))},
        to_nodes={name: _ways(addresses[name], forwarding) for name in (*servers, *routed)},
        to_routers={
            at: Way(0, via) for name in reversed(routers) for at, via in forwarding[name].items()
        },
        subnets={n: str(s.subnets[family]) for n, s in enumerate(segments) if family in s.subnets},
        servers=servers,
        routed=routed,
    )


def _forwarding(
    topology: Topology, addresses: Mapping[str, Mapping[int, str]]
) -> dict[str, Mapping[int, str]]:
    """Where routers and externals are; routers first, because of equal ways theirs is taken."""
    kinds = ("router", "external")
    names = [name for name, node in topology.nodes.items() if node.kind in kinds]
    names.sort(key=lambda name: kinds.index(topology.nodes[name].kind))
    return {name: addresses[name] for name in names}


def _ways(goal: Mapping[int, str], forwarding: Mapping[str, Mapping[int, str]]) -> dict[int, Way]:
    """From each segment the shortest way to where the goal is; `goal` has its own addresses."""
    ways = {at: Way(0, via) for at, via in goal.items()}
    reached = list(ways)
    for at in reached:  # grows as it is walked: the nearest are done first
        for places in forwarding.values():
            if at not in places:
                continue
            for next_at, via in places.items():
                if next_at not in ways:
                    ways[next_at] = Way(ways[at].distance + 1, via)
                    reached.append(next_at)
    return ways


def _of(at: _Map, name: str) -> Iterator[Route]:
    """One family's routes of a node."""
    external = at.kind(name) == "external"
    default = None if external else _default(at, name)
    if default is not None:
        yield Route(DEFAULTS[at.family], default.via)
    passed = None if default is None else default.via
    everywhere = at.kind(name) != "host"
    for number, subnet in at.subnets.items():
        way = at.hop(name, at.to_segments[number])
        if way is not None and way.via and (everywhere or way.via != passed):
            yield Route(subnet, way.via)
    behind = at.servers if external else {**at.servers, **at.routed}
    for other, destinations in behind.items():
        way = at.hop(name, at.to_nodes[other]) if other != name else None
        if way is not None and way.via != passed:
            yield from (Route(destination, way.via) for destination in destinations)


def _default(at: _Map, name: str) -> Way | None:
    """To the external node that is nearest; a host without one turns to its router."""
    found = (at.hop(name, at.to_nodes[other]) for other in at.servers)
    nearest = min((way for way in found if way is not None), key=_distance, default=None)
    if nearest is None and at.kind(name) == "host":
        return at.hop(name, at.to_routers)
    return nearest


def _distance(way: Way) -> int:
    return way.distance


def _first(addresses: Sequence[str], family: Family) -> str:
    """The first address of this family, without its prefix length."""
    found = (ipaddress.ip_interface(text) for text in addresses)
    return next((str(address.ip) for address in found if address.version == family), "")


def _networks(texts: Iterable[str], family: Family) -> tuple[str, ...]:
    """Those of this family, as destinations."""
    found = (ipaddress.ip_interface(text).network for text in texts)
    return tuple(str(network) for network in found if network.version == family)


def _routed(topology: Topology, family: Family) -> dict[str, tuple[str, ...]]:
    """By host the container networks one gets to through it alone."""
    routed: dict[str, tuple[str, ...]] = {}
    for name, network in topology.networks.items():
        hosts = network_hosts(topology, name)
        if len(hosts) != 1 or network.masquerade or network.internal:
            continue
        others = [other for key, other in topology.networks.items() if key != name]
        subnets = _networks(network.subnets, family)
        alone = tuple(text for text in subnets if not _met(text, others))
        routed[hosts[0]] = (*routed.get(hosts[0], ()), *alone)
    return routed


def _met(subnet: str, networks: Iterable[Network]) -> bool:
    """Whether another network overlaps this one: there are two places, so no route is right."""
    one = ipaddress.ip_network(subnet)
    others = (ipaddress.ip_network(text) for network in networks for text in network.subnets)
    return any(other.version == one.version and other.overlaps(one) for other in others)
