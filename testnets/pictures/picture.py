"""What a topology's picture shows, whatever it is drawn as: values without any coordinates."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..live.network_config import bridge_name
from ..spec import units
from ..spec.addressing import Addressing, addressing
from ..spec.expanding import expanded
from ..spec.topology import Container, Link, Network, Publication, Topology

ALIKE = 8
"""The fewest containers that are worth being drawn as a group."""
MANY_AS_TEXT = 8
"""In Mermaid and DOT: where a host has more containers than this, those alike share one node."""


class LivePlace(Protocol):
    """A host, router, external or container that is up, and the addresses (CIDR) it has."""

    @property
    def interfaces(self) -> Mapping[str, tuple[str, ...]]: ...


class Live(Protocol):
    """What is drawn of a testnet that is up: its places by name."""

    @property
    def places(self) -> Mapping[str, LivePlace]: ...


@dataclass(frozen=True)
class DrawnInterface:
    """`network` is the container network it belongs to, "" for the end of a link."""

    name: str
    addresses: tuple[str, ...] = ()
    network: str = ""


@dataclass(frozen=True)
class DrawnPort:
    """A published port: `127.0.0.1:8080` of the host leads to port 80 of `container`."""

    outside: str
    inside: str
    container: str


@dataclass(frozen=True)
class DrawnContainer:
    name: str
    interfaces: tuple[DrawnInterface, ...] = ()
    ports: tuple[DrawnPort, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class DrawnNetwork:
    """A container network as it is on one host."""

    name: str
    bridge: str = ""
    subnets: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrawnNode:
    name: str
    kind: str
    interfaces: tuple[DrawnInterface, ...] = ()
    networks: tuple[DrawnNetwork, ...] = ()
    containers: tuple[DrawnContainer, ...] = ()

    def interface(self, name: str) -> DrawnInterface:
        """The interface of that name; one without addresses, where nothing is known of it."""
        found = (interface for interface in self.interfaces if interface.name == name)
        return next(found, DrawnInterface(name))


@dataclass(frozen=True)
class DrawnLink:
    """`ends` are (node, interface); `remarks` what is unusual about it: "10mbit", "mtu 1400"."""

    ends: tuple[tuple[str, str], tuple[str, str]]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    name: str
    description: str
    nodes: tuple[DrawnNode, ...]
    links: tuple[DrawnLink, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of all container networks, once each, in the order they are met."""
        return tuple(dict.fromkeys(net.name for node in self.nodes for net in node.networks))

    @property
    def census(self) -> str:
        """`2 hosts, 1 switch, 20 containers, 2 networks`."""
        kinds = [node.kind for node in self.nodes]
        counts = [
            *((kind, kinds.count(kind)) for kind in ("external", "router", "switch", "host")),
            ("container", sum(len(node.containers) for node in self.nodes)),
            ("network", len(self.networks)),
        ]
        plural = {"external": "external", "switch": "switches"}
        return ", ".join(
            f"{count} {what if count == 1 else plural.get(what, what + 's')}"
            for what, count in counts
            if count
        )


def picture(topology: Topology, testnet: Live | None = None) -> Picture:
    """All that is drawn of `topology`; with the addresses really there, where `testnet` is up."""
    whole = expanded(topology)
    places = testnet.places if testnet is not None else {}
    planned = addressing(whole)
    return Picture(
        whole.name,
        whole.description,
        tuple(_node(whole, name, planned, places) for name in whole.nodes),
        tuple(
            DrawnLink(
                (
                    (link.ends[0].node, link.ends[0].interface),
                    (link.ends[1].node, link.ends[1].interface),
                ),
                _link_remarks(link),
            )
            for link in whole.links
        ),
    )


def grouped(
    containers: Sequence[DrawnContainer], many: int, by_ports: bool = True
) -> list[list[DrawnContainer]]:
    """Each container alone; but where there are more than `many`, those alike are together.

    Alike are at least eight with the same networks and command, and without published ports,
    unless these are not to count.
    """
    if len(containers) <= many:
        return [[one] for one in containers]
    kinds: dict[tuple[object, ...], list[DrawnContainer]] = {}
    for one in containers:
        networks = tuple(interface.network for interface in one.interfaces)
        kinds.setdefault((networks, one.command, by_ports and one.ports), []).append(one)
    groups: list[list[DrawnContainer]] = []
    for kind in kinds.values():
        groups += [kind] if len(kind) >= ALIKE else [[one] for one in kind]
    return groups


def names_in_lines(group: Sequence[DrawnContainer], per_line: int = 6) -> list[str]:
    """The containers' names, a few to a line, under their number where it is more than one."""
    names = [one.name for one in group]
    lines = [", ".join(names[start : start + per_line]) for start in range(0, len(names), per_line)]
    return lines if len(names) == 1 else [f"{len(names)} containers", *lines]


def readable(text: str) -> str:
    """`text` on one line, without what can't be shown, or changes how its surroundings are."""
    shown = (
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char)[0] == "C" else char
        for char in " ".join(text.split())
    )
    return "".join(shown)


def _node(
    topology: Topology, name: str, planned: Addressing, places: Mapping[str, LivePlace]
) -> DrawnNode:
    containers = {
        key: container for key, container in topology.containers.items() if container.host == name
    }
    return DrawnNode(
        name,
        topology.nodes[name].kind,
        _node_interfaces(topology, name, planned, places),
        tuple(
            _network(key, network)
            for key, network in topology.networks.items()
            if _is_shown(key, name, topology)
        ),
        tuple(_container(key, container, places) for key, container in containers.items()),
    )


def _is_shown(network: str, node: str, topology: Topology) -> bool:
    """Where it has containers; where it has none anywhere, on all hosts it is on."""
    members = {
        container.host
        for container in topology.containers.values()
        for member in container.networks
        if member.network == network
    }
    return node in (members or topology.networks[network].hosts)


def _node_interfaces(
    topology: Topology, name: str, planned: Addressing, places: Mapping[str, LivePlace]
) -> tuple[DrawnInterface, ...]:
    """The ends of links, then what else has planned addresses (an external's servers, on lo)."""
    ends = [end.interface for link in topology.links for end in link.ends if end.node == name]
    others = [interface for node, interface in planned.interfaces if node == name]
    live = places[name].interfaces if name in places else {}
    return tuple(
        DrawnInterface(
            interface, live.get(interface, planned.interfaces.get((name, interface), ()))
        )
        for interface in dict.fromkeys(ends + others)
    )


def _container(name: str, container: Container, places: Mapping[str, LivePlace]) -> DrawnContainer:
    live = places[name].interfaces if name in places else {}
    return DrawnContainer(
        name,
        tuple(
            DrawnInterface(f"eth{index}", live.get(f"eth{index}", member.ips), member.network)
            for index, member in enumerate(container.networks)
        ),
        tuple(_port(name, publication) for publication in container.publish),
        " ".join(container.run),
    )


def _port(container: str, publication: Publication) -> DrawnPort:
    address = publication.host_ip
    if ":" in address:
        address = f"[{address}]"
    return DrawnPort(
        f"{address}:{publication.host_port}",
        f"{publication.container_port}/{publication.protocol}",
        container,
    )


def _link_remarks(link: Link) -> tuple[str, ...]:
    impairment = link.impairment
    remarks = []
    if impairment.rate is not None:
        remarks.append(units.rate_text(impairment.rate))
    if impairment.delay is not None:
        remarks.append(units.delay_text(impairment.delay))
    if impairment.loss is not None:
        remarks.append(f"{units.loss_text(impairment.loss)} loss")
    if link.mtu != 1500:
        remarks.append(f"mtu {link.mtu}")
    return tuple(remarks)


def _network(name: str, network: Network) -> DrawnNetwork:
    """Of a network with plugins of its own no more is known than their names."""
    bridge = network.bridge if network.plugins else bridge_name(name, network)
    return DrawnNetwork(name, bridge, network.subnets, _network_remarks(network))


def _network_remarks(network: Network) -> tuple[str, ...]:
    remarks = [str(plugin.get("type", "")) for plugin in network.plugins]
    if network.internal:
        remarks.append("internal")
    if not network.masquerade:
        remarks.append("no masquerade")
    if network.ingress:
        remarks.append(f"ingress {network.ingress}")
    if network.mtu:
        remarks.append(f"mtu {network.mtu}")
    return tuple(filter(None, remarks))
