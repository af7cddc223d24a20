"""What `pynet testnet up` changes of a lab that stands, beyond what its topology tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...testnets.live.wiring import LiveLink
    from ...testnets.spec.topology import Topology


def mended(links: Iterable[LiveLink]) -> list[str]:
    """Undo what commands have done to links, so that they are as the file says; in words."""
    told = []
    for live in links:
        impaired = live.impairment != live.link.impairment
        if impaired:
            live.impair(live.link.impairment)
        if not live.is_up:
            live.up()
        elif not impaired:
            continue
        told.append(f"link {live.link.name}: as the file says again")
    return told


def readdressed(old: Topology, new: Topology) -> list[str]:
    """The nodes of both (expanded) topologies that have other addresses or routes; in words."""
    from ...testnets.live.differences import part_changes, parts
    from ...testnets.spec.addressing import addressing

    less, more = part_changes(parts(addressing(old)), parts(addressing(new)))
    nodes = [node for node in new.nodes if node in old.nodes and (node in less or node in more)]
    return [f"{new.nodes[node].kind} {node}: other addresses or routes" for node in nodes]
