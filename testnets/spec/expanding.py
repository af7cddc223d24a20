"""A topology with everything filled in that its author may leave out.

Pure, and the same again when done twice. It takes a topology that `validation` has nothing
against; names it can't find it leaves as they are.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence

from . import notation
from .topology import (
    Check,
    Container,
    End,
    Fault,
    Generator,
    Link,
    Membership,
    Topology,
)

_LONGEST = 15
"""Bytes in an interface's name: IFNAMSIZ of linux/if.h, less the zero at the end."""


def expanded(topology: Topology) -> Topology:
    """Generators become containers, interfaces are named, hosts are filled in.

    A fault's links are called by the links' own names, whichever way round they were written.
    """
    links = named_links(topology)
    filled = {name: network_hosts(topology, name) for name in topology.networks}
    networks = {
        name: network.model_copy(update={"hosts": filled[name]})
        for name, network in topology.networks.items()
    }
    containers = {name: _at_home(topology, item) for name, item in topology.containers.items()}
    for generator in topology.generate:
        containers.update(generated(topology, generator))
    checks = tuple(_with_link_names(check, links) for check in topology.checks)
    return topology.model_copy(
        update={
            "links": links,
            "networks": networks,
            "containers": containers,
            "generate": (),
            "checks": checks,
        }
    )


def host_names(topology: Topology) -> tuple[str, ...]:
    """The nodes that run containers."""
    return tuple(name for name, node in topology.nodes.items() if node.kind == "host")


def network_hosts(topology: Topology, network: str) -> tuple[str, ...]:
    """The hosts that have this network."""
    return topology.networks[network].hosts or host_names(topology)


def generator_hosts(topology: Topology, generator: Generator) -> tuple[str, ...]:
    """The hosts its containers are spread over: where none is named, those with its networks."""
    if generator.hosts:
        return generator.hosts
    known = [network for network in generator.networks if network in topology.networks]
    everywhere = [set(network_hosts(topology, network)) for network in known]
    return tuple(
        host for host in host_names(topology) if all(host in hosts for hosts in everywhere)
    )


def generated(topology: Topology, generator: Generator) -> dict[str, Container]:
    """The containers a generator stands for, by name; on no host, where it has none."""
    hosts = generator_hosts(topology, generator) or ("",)
    networks = tuple(Membership(network=network) for network in generator.networks)
    alike = {host: Container(host=host, networks=networks) for host in hosts}
    return {
        generator.name.replace("{n}", str(number + 1)): alike[hosts[number % len(hosts)]]
        for number in range(generator.containers)
    }


def named_links(topology: Topology) -> tuple[Link, ...]:
    """The links, each end with its interface: hosts count eth0, eth1 ..., past what is taken."""
    taken = {(end.node, end.interface) for link in topology.links for end in link.ends}
    return tuple(_named(topology, link, taken) for link in topology.links)


def find_link(links: Sequence[Link], text: str) -> Link | None:
    """The link that is called `h1 -- sw`, `sw -- h1` or `h1:eth1 -- sw`."""
    try:
        wanted = notation.parse_link(text).ends
    except ValueError:
        return None
    for link in links:
        for ends in (link.ends, link.ends[::-1]):
            if all(_is_end(end, want) for end, want in zip(ends, wanted, strict=True)):
                return link
    return None


def _is_end(end: End, wanted: End) -> bool:
    return end.node == wanted.node and wanted.interface in ("", end.interface)


def _at_home(topology: Topology, container: Container) -> Container:
    hosts = host_names(topology)
    if container.host or len(hosts) != 1:
        return container
    return container.model_copy(update={"host": hosts[0]})


def _named(topology: Topology, link: Link, taken: set[tuple[str, str]]) -> Link:
    first, second = (_with_interface(end, topology, taken) for end in link.ends)
    ends = (_with_port(first, second), _with_port(second, first))
    return link.model_copy(update={"ends": ends})


def _with_interface(end: End, topology: Topology, taken: set[tuple[str, str]]) -> End:
    """The end of a host, a router or an external; a switch's own is named after the other one."""
    node = topology.nodes.get(end.node)
    if end.interface or node is None or node.kind == "switch":
        return end
    names = (f"eth{number}" for number in itertools.count())
    name = next(name for name in names if (end.node, name) not in taken)
    taken.add((end.node, name))
    return End(node=end.node, interface=name)


def _with_port(end: End, other: End) -> End:
    """A switch's port, by what is plugged in: `h1-eth1`, or `sw2-sw1` for another switch's end."""
    if end.interface:
        return end
    name = f"{other.node}-{other.interface or end.node}"
    if len(name.encode()) > _LONGEST:
        name = f"port-{zlib.crc32(name.encode()):08x}"
    return End(node=end.node, interface=name)


def _with_link_names(check: Check, links: Sequence[Link]) -> Check:
    if not isinstance(check, Fault):
        return check
    down = tuple(_link_name(links, text) for text in check.down)
    impair = {_link_name(links, text): value for text, value in check.impair.items()}
    return check.model_copy(update={"down": down, "impair": impair})


def _link_name(links: Sequence[Link], text: str) -> str:
    link = find_link(links, text)
    return text if link is None else link.name
