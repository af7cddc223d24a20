"""Mistakes that show when addresses are given out: none is left, or networks and links overlap."""

from __future__ import annotations

from collections.abc import Iterator

from .addressing import AddressingError, Segment, addressing
from .expanding import network_hosts
from .network_rules import free_subnet, overlap, subnets_of
from .problems import Finding
from .topology import End, Topology

_SECTIONS = ("nodes", "links", "underlay", "networks")


def address_findings(topology: Topology) -> Iterator[Finding]:
    """For a topology of which nodes, links and networks are right by themselves."""
    try:
        segments = addressing(topology).segments
    except AddressingError as error:
        yield Finding(error.location, str(error), _SECTIONS)
        return
    for name, network in topology.networks.items():
        hosts = set() if network.internal else set(network_hosts(topology, name))
        for segment in segments:
            end = next((end for end in segment.ends if end.node in hosts), None)
            if end is not None:
                yield from _overlapping(topology, name, segment, end)


def _overlapping(topology: Topology, network: str, segment: Segment, end: End) -> Iterator[Finding]:
    for number, subnet in subnets_of(topology.networks[network]).items():
        met = next((other for other in segment.subnets.values() if overlap(subnet, other)), None)
        if met is not None:
            message = (
                f"overlapping subnets on {end.node}: {subnet}, and {met} of its link at {end}; "
                f"write another one, such as {free_subnet(topology, subnet)}"
            )
            yield Finding(("networks", network, "subnets", number), message, _SECTIONS)
