"""The network namespaces of a testnet that a check works in, as descriptors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ...kernel.netlink import addresses, links
from ...kernel.netlink.rtnl_socket import Socket
from ..lab.place import Place
from .journeys import Map
from .targets import Site, host_of, is_global

if TYPE_CHECKING:
    from ..live.testnet import Testnet

_MANY = 32
"""Places above which only those get a tap that a packet may have business with."""


class Networks:
    """Opened when they are first asked for, closed together at the end."""

    def __init__(self, testnet: Testnet) -> None:
        self.testnet = testnet
        self._descriptors: dict[str, int] = {}
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Networks:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @cached_property
    def places(self) -> dict[str, Place]:
        """The testnet's, hosts with the addresses that their bridges have got meanwhile."""
        places = self._known
        hosts = {name: self.of(name) for name, place in places.items() if place.kind == "host"}
        found = self.testnet.lab.call(_addresses, hosts)
        return {
            name: _with(place, found[name]) if name in found else place
            for name, place in places.items()
        }

    @property
    def site(self) -> Site:
        return Site(self.testnet.topology, self.places)

    def place(self, name: str) -> Place:
        """Raises `LabError` where nothing with addresses has that name."""
        return self.places[name] if name in self.places else self.testnet.place(name)

    @cached_property
    def _known(self) -> dict[str, Place]:
        return self.testnet.places

    def of(self, node: str) -> int:
        """That of a place or a switch. Raises `OSError`, `KeyError`."""
        if node not in self._descriptors:
            place = self._known.get(node)
            descriptor = place.open_network() if place else self._open_switch(node)
            self._closing.callback(os.close, descriptor)
            self._descriptors[node] = descriptor
        return self._descriptors[node]

    def map(self, involved: Iterable[str]) -> Map:
        """All nodes, with the `involved` containers; with all, unless they are many."""
        testnet = self.testnet
        containers = {name for name, place in self._known.items() if place.kind == "container"}
        names = list(self._known)
        if len(names) > _MANY:
            names = [name for name in names if name not in containers]
            names += [name for name in involved if name not in names]
        names += [name for name, node in testnet.topology.nodes.items() if node.kind == "switch"]
        homes = {
            name: host_of(testnet.topology, self._known[name])
            for name in names
            if name in containers
        }
        ends = [live.link.ends for live in testnet.links.values()]
        links = tuple(
            ((near.node, near.interface), (far.node, far.interface)) for near, far in ends
        )
        return Map({name: self.of(name) for name in names if self._is_there(name)}, homes, links)

    def _is_there(self, name: str) -> bool:
        """A switch without a link has nothing to tap."""
        return name in self._known or any(
            end.node == name for link in self.testnet.links.values() for end in link.link.ends
        )

    def _open_switch(self, name: str) -> int:
        for link in self.testnet.links.values():
            for number, end in enumerate(link.link.ends):
                if end.node == name:
                    return link.open_network(number)
        raise KeyError(name)


def _addresses(hosts: Mapping[str, int]) -> dict[str, dict[str, list[str]]]:
    """`ip address show scope global` in each of these namespaces, by interface."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, network in hosts.items():
        sock = Socket.inside(network, name)
        try:
            names = {link.index: link.name for link in links.everything(sock)}
            here = found[name] = {}
            for each in addresses.on(sock, 0):
                here.setdefault(names.get(each.link, "?"), []).append(each.address)
        finally:
            sock.close()
    return found


def _with(place: Place, found: Mapping[str, Iterable[str]]) -> Place:
    """The place with these addresses after those it had."""
    interfaces = {name: list(texts) for name, texts in place.interfaces.items()}
    for name, texts in found.items():
        known = interfaces.setdefault(name, [])
        known += [text for text in texts if text not in known and is_global(text)]
    kept = {name: tuple(texts) for name, texts in interfaces.items()}
    return Place(place.name, place.kind, place.host, place.container, kept)
