"""Mistakes in containers: where they are, the networks they are on, the ports they publish."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

from .expanding import generated, host_names, network_hosts
from .network_rules import subnets_of, wrong_hosts
from .notation import is_address, publication_text
from .problems import Finding, Location, names_of, no_such, quoted
from .topology import Container, Membership, Network, Publication, Topology

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_NOT_FOR_CONTAINERS = 3
"""Addresses of an IPv4 subnet: its own, the gateway's, and broadcast."""


class _Placed(NamedTuple):
    """A container, and the place in the file that it comes from."""

    name: str
    container: Container
    location: Location


def container_findings(topology: Topology) -> Iterator[Finding]:
    """Each by itself, and those of one host together."""
    for number, generator in enumerate(topology.generate):
        yield from _generator_findings(topology, number, generator.hosts, generator.networks)
    for name, container in topology.containers.items():
        yield from _of_container(topology, ("containers", name), container)
    placed = list(_all_placed(topology))
    yield from _ports_taken(placed)
    yield from _addresses_taken(placed)
    yield from _full_networks(topology, placed)


def _generator_findings(
    topology: Topology, number: int, hosts: tuple[str, ...], networks: tuple[str, ...]
) -> Iterator[Finding]:
    location: Location = ("generate", number)
    wrong = [*wrong_hosts(topology, location, hosts)]
    wrong += [
        Finding(
            (*location, "networks", place),
            no_such("network", name, topology.networks),
            names_of("networks"),
        )
        for place, name in enumerate(networks)
        if name not in topology.networks
    ]
    yield from wrong
    for container in _one_of_each_host(topology, number) if not wrong else ():
        if container.host:
            yield from _of_networks(topology, location, container, container.host)
        else:
            message = "no host has all its networks: write hosts, and the same in the networks"
            yield Finding(location, message, ("nodes", "networks"))


def _one_of_each_host(topology: Topology, number: int) -> list[Container]:
    """What is wrong with one of them is with all of its host."""
    alike = generated(topology, topology.generate[number]).values()
    return [*{container.host: container for container in alike}.values()]


def _of_container(
    topology: Topology, location: Location, container: Container
) -> Iterator[Finding]:
    hosts = host_names(topology)
    host = container.host or (hosts[0] if len(hosts) == 1 else "")
    node = topology.nodes.get(host)
    if not host:
        which = f"host: {hosts[0]}" if hosts else "one under nodes, h1: host"
        message = f"it has no host, and {'there are several' if hosts else 'there is none'}: write "
        yield Finding(location, message + which, ("nodes",))
    elif node is None:
        message = no_such("host", host, hosts)
        yield Finding((*location, "host"), message, names_of("nodes"))
    elif node.kind != "host":
        message = f"{quoted(host)} is a node of kind {node.kind}: name one of kind host"
        yield Finding((*location, "host"), message, ("nodes",))
    yield from _of_networks(topology, location, container, host if host in hosts else "")


def _of_networks(
    topology: Topology, location: Location, container: Container, host: str
) -> Iterator[Finding]:
    """What it is on, and what it publishes; `host` is empty where that is wrong already."""
    if container.publish and not container.networks:
        message = "it publishes a port, but is on no network: write networks: [...]"
        yield Finding((*location, "publish"), message)
    for number, publication in enumerate(container.publish):
        if publication.host_ip and not is_address(publication.host_ip):
            message = f"{quoted(publication.host_ip)} is no address: write 127.0.0.1"
            yield Finding((*location, "publish", number), message)
    for number, membership in enumerate(container.networks):
        where = (*location, "networks", number)
        earlier = {other.network for other in container.networks[:number]}
        yield from _of_membership(topology, where, membership, host, earlier)


def _of_membership(
    topology: Topology, location: Location, membership: Membership, host: str, earlier: set[str]
) -> Iterator[Finding]:
    name = membership.network
    network = topology.networks.get(name)
    if network is None:
        yield Finding(location, no_such("network", name, topology.networks), names_of("networks"))
        return
    if name in earlier:
        yield Finding(location, f"{quoted(name)} is there twice: leave one out")
    if host and host not in network_hosts(topology, name):
        message = f"{quoted(name)} is not on {host}: write hosts: [..., {host}] in the network"
        yield Finding(location, message, ("networks", "nodes"))
    for number, text in enumerate(membership.ips):
        yield from _wrong_ip((*location, "ips", number), name, network, text)
    if membership.mac and not _MAC.fullmatch(membership.mac):
        message = f'{quoted(membership.mac)} is no MAC: write "02:00:00:00:00:0a"'
        yield Finding((*location, "mac"), message)


def _wrong_ip(where: Location, name: str, network: Network, text: str) -> Iterator[Finding]:
    plain = text.partition("/")[0]
    if not is_address(plain):
        yield Finding(where, f"{quoted(text)} is no IP address: write one like 10.1.0.7")
        return
    address = ipaddress.ip_address(plain)
    subnets = subnets_of(network).values()
    if subnets and not any(address in subnet for subnet in subnets):
        within = " or ".join(str(subnet) for subnet in subnets)
        message = f"{address} is not in {quoted(name)}: write an address of {within}"
        yield Finding(where, message, ("networks",))


# --- together -------------------------------------------------------------------------------------


def _all_placed(topology: Topology) -> Iterator[_Placed]:
    hosts = host_names(topology)
    for name, container in topology.containers.items():
        host = container.host or (hosts[0] if len(hosts) == 1 else "")
        at_home = container.model_copy(update={"host": host})
        yield _Placed(name, at_home, ("containers", name))
    for number, generator in enumerate(topology.generate):
        for name, container in generated(topology, generator).items():
            yield _Placed(name, container, ("generate", number))


def _ports_taken(placed: list[_Placed]) -> Iterator[Finding]:
    taken: dict[tuple[str, int, str], list[tuple[Publication, str]]] = {}
    for name, container, location in placed:
        for number, publication in enumerate(container.publish):
            key = (container.host, publication.host_port, publication.protocol)
            others = taken.setdefault(key, [])
            other = next((by for given, by in others if _meet(given, publication)), None)
            if other is not None:
                text = quoted(publication_text(publication))
                host = f" of {container.host}" if container.host else ""
                message = f"{text}: {other} has this port{host} already; write another one"
                yield Finding((*location, "publish", number), message, ("containers", "nodes"))
            others.append((publication, name))


def _meet(one: Publication, other: Publication) -> bool:
    """Without an address a port is published on all of them."""
    return not one.host_ip or not other.host_ip or one.host_ip == other.host_ip


def _addresses_taken(placed: list[_Placed]) -> Iterator[Finding]:
    """Each host gives out a network's addresses by itself."""
    taken: dict[tuple[str, str, str], str] = {}
    for name, container, location in placed:
        for number, membership in enumerate(container.networks):
            for at, text in enumerate(membership.ips):
                key = (container.host, membership.network, text.partition("/")[0])
                if key in taken:
                    message = f"{key[2]} is the address of {taken[key]} already: write another one"
                    where = (*location, "networks", number, "ips", at)
                    yield Finding(where, message, ("containers", "nodes"))
                taken.setdefault(key, name)


def _full_networks(topology: Topology, placed: list[_Placed]) -> Iterator[Finding]:
    """Networks that have fewer addresses than containers on a host."""
    count: dict[tuple[str, str], int] = {}
    for _, container, _ in placed:
        for membership in container.networks:
            key = (membership.network, container.host)
            count[key] = count.get(key, 0) + 1
    for (name, host), wanted in count.items():
        network = topology.networks.get(name)
        for number, subnet in subnets_of(network).items() if network is not None else ():
            room = max(0, subnet.num_addresses - _NOT_FOR_CONTAINERS)
            if wanted > room:
                message = (
                    f"{subnet} has room for {room} containers, and {wanted} of {host} are on it: "
                    f"write a shorter prefix, such as /{_prefix_for(wanted, subnet.max_prefixlen)}"
                )
                where = ("networks", name, "subnets", number)
                yield Finding(where, message, ("containers", "nodes", "generate"))


def _prefix_for(containers: int, bits: int) -> int:
    return bits - (containers + _NOT_FOR_CONTAINERS - 1).bit_length()
