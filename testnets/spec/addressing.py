"""Which address each interface of a topology has. Pure.

Each segment takes the next subnet of the underlay, a /24 and a /64, or the
next smaller one that all its interfaces fit into; unless a node of it was given addresses: then
the segment's subnet of that family is the given one's. Subnets that were given, or are a
container network's, are passed over.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .expanding import named_links
from .routing import Route, routes
from .segments import FAMILIES, Segment, Subnet, segments_of
from .topology import End, Family, Topology

__all__ = ["Addressing", "AddressingError", "Route", "Segment", "addressing"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

SERVERS: dict[Family, str] = {4: "203.0.113.{}/32", 6: "2001:db8:ffff::{}/128"}
"""An external node's address on `lo`, by its number: RFC 5737 and RFC 3849, for documentation."""
_USUAL: dict[Family, int] = {4: 24, 6: 64}
_BITS: dict[Family, int] = {4: 32, 6: 128}


class AddressingError(ValueError):
    """There is no address left: `location` is the key of the topology that has to change."""

    def __init__(self, location: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.location = location


@dataclass(frozen=True)
class Addressing:
    """`interfaces`: the addresses of (node, interface), as CIDRs. `routes`: those of each node,
    the default routes (to 0.0.0.0/0 and ::/0) first. `segments`: what is wired together."""

    interfaces: dict[tuple[str, str], tuple[str, ...]]
    routes: dict[str, tuple[Route, ...]]
    segments: tuple[Segment, ...]


def addressing(topology: Topology) -> Addressing:
    """All addresses and routes below the container networks. Raises `AddressingError`."""
    bare = segments_of(topology, named_links(topology))
    planner = _Planner(topology)
    segments = tuple(
        Segment(segment.ends, segment.switches, planner.subnets(segment)) for segment in bare
    )
    interfaces: dict[tuple[str, str], tuple[str, ...]] = {}
    for segment in segments:
        interfaces.update(planner.numbered(segment))
    interfaces.update(planner.loopbacks(interfaces))
    return Addressing(interfaces, routes(topology, segments, interfaces), segments)


class _Planner:
    """Hands out subnets of the underlay, and the addresses in them."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._given = {
            (name, interface): tuple(ipaddress.ip_interface(text) for text in texts)
            for name, node in topology.nodes.items()
            for interface, texts in node.addresses.items()
        }
        self._common_ones: list[tuple[Subnet, End]] = []
        self._next = {family: self._underlay_start(family) for family in FAMILIES}

    def subnets(self, segment: Segment) -> dict[Family, Subnet]:
        """The segment's subnet of each family that it has."""
        subnets: dict[Family, Subnet] = {}
        for family in FAMILIES:
            given = [(end, a) for end in segment.ends for a in self._of(end) if a.version == family]
            if given:
                subnets[family] = self._common(given)
            elif self._underlay[family] is not None and any(
                not self._of(end) for end in segment.ends
            ):
                subnets[family] = self._take(family, len(segment.ends))
        return subnets

    def numbered(self, segment: Segment) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
        """The addresses of the segment's interfaces: those given, and for the others the next."""
        used = {address.ip for end in segment.ends for address in self._of(end)}
        free = {family: _free(subnet, used) for family, subnet in segment.subnets.items()}
        for end in segment.ends:
            key = (end.node, end.interface)
            if key in self._given:
                yield key, tuple(str(address) for address in self._given[key])
                continue
            found = [next(numbers, None) for numbers in free.values()]
            if None in found:
                raise AddressingError(
                    ("nodes", end.node),
                    f"no address is left for {end} in {_all(segment.subnets.values())}: give its "
                    f'own, as in addresses: {{{end.interface}: "192.0.2.7/24"}}, or a wider prefix',
                )
            yield key, tuple(text for text in found if text)

    def loopbacks(
        self, interfaces: Mapping[tuple[str, str], Sequence[str]]
    ) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
        """What is on `lo`: addresses given, and those of the servers of external nodes."""
        linked = {node for node, _ in interfaces}
        number = 0
        for name, node in self._topology.nodes.items():
            number += node.kind == "external"
            if "lo" in node.addresses:
                yield (name, "lo"), tuple(node.addresses["lo"])
            elif node.kind == "external" and name in linked:
                yield (name, "lo"), tuple(text.format(number) for text in SERVERS.values())

    def _common(self, given: Sequence[tuple[End, Interface]]) -> Subnet:
        """The one subnet that all interfaces have an address in, of those they were given."""
        subnet = given[0][1].network
        at_home = {end for end, address in given if address.network == subnet}
        for end, address in given:
            if end not in at_home:
                raise AddressingError(
                    ("nodes", end.node, "addresses", end.interface),
                    f"{address} is not in {subnet}, the subnet of {given[0][0]}, which it is "
                    f"linked with: give both addresses of one subnet",
                )
        other = next((at for net, at in self._common_ones if _overlap(net, subnet)), None)
        if other is not None:
            raise AddressingError(
                ("nodes", given[0][0].node, "addresses", given[0][0].interface),
                f"{subnet} overlaps the subnet of {other}, which it is not linked with: "
                f"give addresses of another subnet",
            )
        self._common_ones.append((subnet, given[0][0]))
        return subnet

    def _of(self, end: End) -> tuple[Interface, ...]:
        return self._given.get((end.node, end.interface), ())

    @cached_property
    def _underlay(self) -> dict[Family, Subnet | None]:
        texts: dict[Family, str] = {
            4: self._topology.underlay.ipv4,
            6: self._topology.underlay.ipv6,
        }
        return {key: ipaddress.ip_network(text) if text else None for key, text in texts.items()}

    @cached_property
    def _taken(self) -> tuple[Subnet, ...]:
        """What isn't to be handed out."""
        of_networks = (
            ipaddress.ip_network(text)
            for network in self._topology.networks.values()
            for text in network.subnets
        )
        of_nodes = (address.network for addresses in self._given.values() for address in addresses)
        return (*of_networks, *of_nodes)

    def _underlay_start(self, family: Family) -> int:
        underlay = self._underlay[family]
        return int(underlay.network_address) if underlay is not None else 0

    def _take(self, family: Family, members: int) -> Subnet:
        """The next subnet that is free and has room for so many."""
        underlay = self._underlay[family]
        assert underlay is not None
        needed = (members + 1).bit_length()  # with the network's own, and the broadcast address
        prefix = min(_USUAL[family], _BITS[family] - needed)
        size = 1 << (_BITS[family] - prefix)
        while True:
            start = -(-self._next[family] // size) * size
            subnet = _subnet(family, start, prefix)
            if subnet is None or prefix < underlay.prefixlen or not _within(subnet, underlay):
                raise AddressingError(
                    ("underlay",),
                    f"no /{prefix} is left in {underlay} for the links: write a wider one, "
                    f'as in underlay: {{ipv{family}: "{_WIDE[family]}"}}',
                )
            other = next((net for net in self._taken if _overlap(net, subnet)), None)
            if other is None:
                self._next[family] = start + size
                return subnet
            self._next[family] = max(start + size, int(other.broadcast_address) + 1)


_WIDE: dict[Family, str] = {4: "10.0.0.0/8", 6: "fd00::/16"}


def _subnet(family: Family, start: int, prefix: int) -> Subnet | None:
    """The subnet that starts at this number; None beyond the last one."""
    if start >> _BITS[family]:
        return None
    if family == 4:
        return ipaddress.IPv4Network((start, prefix))
    return ipaddress.IPv6Network((start, prefix))


def _within(subnet: Subnet, underlay: Subnet) -> bool:
    first, last = int(underlay.network_address), int(underlay.broadcast_address)
    return first <= int(subnet.network_address) and int(subnet.broadcast_address) <= last


def _overlap(one: Subnet, other: Subnet) -> bool:
    return one.version == other.version and one.overlaps(other)


def _free(subnet: Subnet, used: set[Address]) -> Iterator[str]:
    """The addresses of this subnet nobody has, as CIDRs."""
    for address in subnet.hosts():
        if address not in used:
            yield f"{address}/{subnet.prefixlen}"


def _all(subnets: Iterable[Subnet]) -> str:
    return " and ".join(str(subnet) for subnet in subnets)
