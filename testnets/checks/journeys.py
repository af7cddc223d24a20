"""What was seen of a probe, where and when, while taps stood on all interfaces between."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ...kernel.netlink import links
from ...kernel.netlink.rtnl_socket import Socket
from .frames import Marks, Role, asked_for, told_of
from .neighbours import Neighbours
from .taps import Frame, Taps

T = TypeVar("T")

_SETTLE = 0.03
"""Seconds that a last packet may be on its way when the probe itself is over."""

End = tuple[str, str]
"""A node and one of its interfaces."""


@dataclass(frozen=True)
class Sighting:
    """A packet of the probe, at an interface."""

    node: str
    interface: str
    outgoing: bool
    role: Role


@dataclass(frozen=True)
class Query:
    """Somebody looked for the MAC of `address`, and nobody said anything."""

    node: str
    interface: str
    address: str


@dataclass(frozen=True)
class Journey:
    """All sightings in order of time; queries without an answer; each end's other end, as far as
    it is known; and the interfaces without a carrier.
    """

    sightings: tuple[Sighting, ...]
    queries: tuple[Query, ...] = ()
    peers: Mapping[End, End] | None = None
    dead: tuple[End, ...] = ()

    def nodes(self, role: Role) -> list[str]:
        """The nodes that packets of this role were seen at, in order of the first sighting."""
        return list(dict.fromkeys(one.node for one in self.sightings if one.role == role))


@dataclass(frozen=True)
class Map:
    """What a journey is drawn on: descriptors of the network namespaces, by node; the host that
    each container is on; and the ends of links.
    """

    networks: Mapping[str, int]
    homes: Mapping[str, str]
    links: tuple[tuple[End, End], ...]


@dataclass(frozen=True)
class Aim:
    """The port and address that a connection is opened to."""

    port: int
    address: str


def watched(
    work: Callable[[], T], where: Map, marks: Marks, aim: Aim | None = None
) -> tuple[T, Journey]:
    """The result of `work`, and what was seen meanwhile. Raises `OSError`, `KernelError`."""
    with Taps(where.networks) as taps:
        _forget_missing(where)
        result = work()
        time.sleep(_SETTLE)
        frames = taps.frames()
    if aim is not None:
        marks = marks.with_connections(frames, aim.port, aim.address)
    wires = _wires(where)
    sightings = _sightings(frames, marks, wires)
    return result, Journey(tuple(sightings), _unanswered(frames), wires.peers, wires.dead)


def _forget_missing(where: Map) -> None:
    """Else a node asks for a neighbour once a second only, and not while it is watched."""
    for network in where.networks.values():
        for family in (socket.AF_INET, socket.AF_INET6):
            neighbours = Neighbours(network, family)
            try:
                neighbours.forget_missing()
            finally:
                neighbours.close()


@dataclass(frozen=True)
class _Wires:
    """Which end is joined to which, those that are ports of a bridge, those without a carrier."""

    peers: dict[End, End]
    ports: frozenset[End]
    dead: tuple[End, ...]


def _sightings(frames: Iterable[Frame], marks: Marks, wires: _Wires) -> list[Sighting]:
    """But for copies that a switch floods to those whom it does not concern."""
    found = [
        (frame, role)
        for frame in frames
        if (role := marks.role(frame.data)) and frame.interface != "lo"
    ]
    strangers = {
        (frame.node, frame.interface)
        for frame, _ in found
        if frame.foreign and (frame.node, frame.interface) not in wires.ports
    }
    return [
        Sighting(frame.node, frame.interface, frame.outgoing, role)
        for frame, role in found
        if not (frame.foreign and (frame.node, frame.interface) in strangers)
        and not (frame.outgoing and wires.peers.get((frame.node, frame.interface)) in strangers)
    ]


def _unanswered(frames: Iterable[Frame]) -> tuple[Query, ...]:
    queries: dict[Query, None] = {}
    asking: dict[tuple[str, bytes], bool] = {}  # a node and a MAC: whether it asks, or passes on
    told = set()
    for frame in frames:
        if address := asked_for(frame.data):
            # A bridge may send a query back where it came from: what counts is which was first.
            if asking.setdefault((frame.node, frame.data[6:12]), frame.outgoing):
                queries.setdefault(Query(frame.node, frame.interface, address))
        elif address := told_of(frame.data):
            told.add((frame.node, address))
    return tuple(one for one in queries if (one.node, one.address) not in told)


def _wires(where: Map) -> _Wires:
    found = {}
    for node, network in where.networks.items():
        sock = Socket.inside(network, node)
        try:
            found[node] = links.everything(sock)
        finally:
            sock.close()
    peers = dict(where.links) | {far: near for near, far in where.links}
    for container, home in where.homes.items():
        outside = {link.index: link for link in found.get(home, ()) if link.peer}
        for link in found.get(container, ()):
            other = outside.get(link.peer)
            if other is not None and other.peer == link.index:
                peers[container, link.name] = (home, other.name)
                peers[home, other.name] = (container, link.name)
    ends = [((node, link.name), link) for node, here in found.items() for link in here]
    return _Wires(
        peers,
        ports=frozenset(end for end, link in ends if link.master),
        dead=tuple(
            end for end, link in ends if link.name != "lo" and not (link.up and link.running)
        ),
    )
