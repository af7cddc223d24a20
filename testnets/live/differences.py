"""What has to go and what has to come for one topology to become another. Pure.

Both are expanded. What is in neither of the lists is the same in both, and is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..lab.plumbing import Part, Port
from ..spec.addressing import Addressing
from ..spec.topology import Container, Impairment, Link, Node, Topology

V = TypeVar("V")


@dataclass(frozen=True)
class Differences:
    """Names of nodes, links and containers; networks are (host, network).

    A link has both its ends' nodes; one that goes because a node does is listed, too.
    """

    nodes_gone: tuple[str, ...]
    nodes_new: tuple[str, ...]
    links_gone: tuple[str, ...]
    links_new: tuple[str, ...]
    impaired: tuple[str, ...]
    networks_gone: tuple[tuple[str, str], ...]
    networks_new: tuple[tuple[str, str], ...]
    containers_gone: tuple[str, ...]
    containers_new: tuple[str, ...]

    def described(self) -> list[str]:
        """A sentence a change."""
        of_hosts = "network {0[1]} on {0[0]}".format
        return [
            *_described("container {}".format, self.containers_gone, self.containers_new),
            *_described(of_hosts, self.networks_gone, self.networks_new),
            *_described("link {}".format, self.links_gone, self.links_new),
            *_described("node {}".format, self.nodes_gone, self.nodes_new),
            *(f"link {name}: impairment changed" for name in self.impaired_only),
        ]

    @property
    def impaired_only(self) -> tuple[str, ...]:
        """Links that stay, and are impaired in another way."""
        return tuple(name for name in self.impaired if name not in self.links_new)


def differences(old: Topology, new: Topology) -> Differences:
    """What leads from `old` to `new`."""
    nodes_gone, nodes_new = _changed(_nodes(old), _nodes(new))
    renewed = set(nodes_gone)
    links_gone, links_new = _changed(_plain_links(old, renewed), _plain_links(new, set(nodes_new)))
    before, after = links_of(old), links_of(new)
    stays = [name for name in after if name in before and name not in links_new]
    networks_gone, networks_new = _changed(_networks(old, renewed), _networks(new, set(nodes_new)))
    containers_gone, containers_new = _changed(
        _containers(old, set(networks_gone), renewed),
        _containers(new, set(networks_new), set(nodes_new)),
    )
    return Differences(
        nodes_gone=nodes_gone,
        nodes_new=nodes_new,
        links_gone=links_gone,
        links_new=links_new,
        impaired=(
            *(name for name in stays if before[name].impairment != after[name].impairment),
            *(name for name in links_new if after[name].impairment != Impairment()),
        ),
        networks_gone=networks_gone,
        networks_new=networks_new,
        containers_gone=containers_gone,
        containers_new=containers_new,
    )


def links_of(topology: Topology) -> dict[str, Link]:
    """The links by name; of two between the same nodes the later ones by their interfaces, too."""
    named: dict[str, Link] = {}
    for link in topology.links:
        full = " -- ".join(str(end) for end in link.ends)
        named[full if link.name in named else link.name] = link
    return named


def part_changes(
    old: Mapping[str, Part], new: Mapping[str, Part]
) -> tuple[dict[str, Part], dict[str, Part]]:
    """What each node has too much, and what it lacks; nodes where that is nothing are left out."""
    less, more = {}, {}
    for node in new:
        before, after = old.get(node, Part()), new[node]
        if surplus := _beyond(before, after):
            less[node] = surplus
        if missing := _beyond(after, before):
            more[node] = missing
    return less, more


def without(known: Mapping[str, Part], ports: Iterable[Port]) -> dict[str, Part]:
    """What is left once these interfaces are gone: of their nodes no route is taken for granted."""
    left = dict(known)
    for port in ports:
        if port.node in left:
            addresses = dict(left[port.node].addresses)
            addresses.pop(port.name, None)
            left[port.node] = Part(addresses)
    return left


def parts(addressing: Addressing) -> dict[str, Part]:
    """Addresses and routes by node."""
    addresses: dict[str, dict[str, tuple[str, ...]]] = {}
    for (node, interface), texts in addressing.interfaces.items():
        addresses.setdefault(node, {})[interface] = texts
    nodes = dict.fromkeys((*addresses, *addressing.routes))
    return {node: Part(addresses.get(node, {}), addressing.routes.get(node, ())) for node in nodes}


def _described(
    named: Callable[[Any], str], gone: Sequence[Any], new: Sequence[Any]
) -> Iterator[str]:
    for key in dict.fromkeys((*gone, *new)):
        how = "made" if key not in gone else "removed" if key not in new else "made anew"
        yield f"{named(key)}: {how}"


def _beyond(one: Part, other: Part) -> Part | None:
    """What `one` has and `other` has not."""
    addresses = {
        interface: [text for text in texts if text not in other.addresses.get(interface, ())]
        for interface, texts in one.addresses.items()
    }
    kept = {interface: texts for interface, texts in addresses.items() if texts}
    routes = [route for route in one.routes if route not in other.routes]
    return Part(kept, routes) if kept or routes else None


def _changed(old: Mapping[Any, V], new: Mapping[Any, V]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The keys that have to go, and those that have to come; one whose value differs does both."""
    gone = tuple(key for key in old if key not in new or old[key] != new[key])
    come = tuple(key for key in new if key not in old or old[key] != new[key])
    return gone, come


def _nodes(topology: Topology) -> dict[str, Node]:
    """Without addresses: those can change while a node stays."""
    return {
        name: node.model_copy(update={"addresses": {}}) for name, node in topology.nodes.items()
    }


def _plain_links(topology: Topology, renewed: set[str]) -> dict[str, Any]:
    """Without impairment, which can change while a link stays."""
    return {
        name: _anew() if renewed & {end.node for end in link.ends} else (link.ends, link.mtu)
        for name, link in links_of(topology).items()
    }


def _anew() -> object:
    """Like nothing else: what is on a node that goes or comes does so, too."""
    return object()


def _networks(topology: Topology, renewed: set[str]) -> dict[tuple[str, str], Any]:
    return {
        (host, name): _anew() if host in renewed else network.model_copy(update={"hosts": ()})
        for name, network in topology.networks.items()
        for host in network.hosts
    }


def _containers(
    topology: Topology, networks: set[tuple[str, str]], renewed: set[str]
) -> dict[str, Container | object]:
    return {
        name: _anew()
        if container.host in renewed
        or any((container.host, each.network) in networks for each in container.networks)
        else container
        for name, container in topology.containers.items()
    }
