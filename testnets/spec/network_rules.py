"""Mistakes in container networks: their hosts and subnets, and which of them overlap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from itertools import combinations, product

from .expanding import expanded, host_names, network_hosts
from .link_rules import is_interface, wrong_interface
from .problems import Finding, Location, names_of, no_such, quoted
from .segments import Subnet
from .topology import Network, Topology

EXAMPLE = "subnets: [10.1.0.0/24]"


def network_findings(topology: Topology) -> Iterator[Finding]:
    """Each network by itself; then those that meet on a host."""
    for name, network in topology.networks.items():
        yield from _of_network(topology, ("networks", name), network)
    yield from _overlapping(topology)


def network_notes(topology: Topology) -> Iterator[Finding]:
    """What is right, and often not what was meant; for a topology without mistakes."""
    filled = expanded(topology)
    for name, network in filled.networks.items():
        hosts = [
            container.host
            for container in filled.containers.values()
            if name in (membership.network for membership in container.networks)
        ]
        apart = list(dict.fromkeys(hosts))
        if network.ends_at_its_host and len(apart) > 1:
            message = (
                f"it has containers on {', '.join(apart)}, and is a network of its own on each, "
                "with the same addresses: they reach each other by published ports only"
            )
            yield Finding(("networks", name), message)


def subnets_of(network: Network) -> dict[int, Subnet]:
    """Those that can be read, by their place in the list."""
    found = {number: read_subnet(text) for number, text in enumerate(network.subnets)}
    return {number: subnet for number, subnet in found.items() if subnet is not None}


def read_subnet(text: str) -> Subnet | None:
    """None where it isn't one."""
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None


def overlap(one: Subnet, other: Subnet) -> bool:
    """Whether an address can be in both."""
    return one.version == other.version and one.overlaps(other)


def wrong_hosts(topology: Topology, location: Location, hosts: Sequence[str]) -> Iterator[Finding]:
    """Names in `hosts` that are no host's."""
    for number, name in enumerate(hosts):
        where = (*location, "hosts", number)
        node = topology.nodes.get(name)
        if node is None:
            message = no_such("host", name, host_names(topology))
            yield Finding(where, message, names_of("nodes"))
        elif node.kind != "host":
            message = f"{quoted(name)} is a node of kind {node.kind}: name one of kind host"
            yield Finding(where, message, ("nodes",))


def _of_network(topology: Topology, location: Location, network: Network) -> Iterator[Finding]:
    yield from wrong_hosts(topology, location, network.hosts)
    if network.plugins:
        others = network.model_fields_set - {"plugins", "hosts"}
        for key in sorted(others):
            message = f'"plugins" is the whole list: leave "{key}" out, and write it in there'
            yield Finding((*location, key), message)
        for number, plugin in enumerate(network.plugins):
            if not isinstance(plugin.get("type"), str):
                message = 'a plugin needs its "type": write type: bridge'
                yield Finding((*location, "plugins", number), message)
        return
    if not network.subnets:
        yield Finding(location, f"it has no subnet: write {EXAMPLE}")
    for number, text in enumerate(network.subnets):
        if read_subnet(text) is None:
            yield Finding((*location, "subnets", number), wrong_subnet(text))
    for (_, one), (number, other) in combinations(subnets_of(network).items(), 2):
        if overlap(one, other):
            message = f"overlapping subnets: {one} and {other}; leave one of them out"
            yield Finding((*location, "subnets", number), message)
    if network.bridge and not is_interface(network.bridge):
        yield Finding((*location, "bridge"), wrong_interface(network.bridge))
    if network.mtu and not 68 <= network.mtu <= 65535:
        yield Finding((*location, "mtu"), f"no mtu of {network.mtu}: write one from 68 to 65535")


def wrong_subnet(text: str) -> str:
    """What to write in place of it."""
    try:
        loose = ipaddress.ip_interface(text)
    except ValueError:
        return f"{quoted(text)} is no subnet: write one like 10.1.0.0/24 or fd00:1::/64"
    if "/" not in text:
        usual = ipaddress.ip_interface(f"{loose.ip}/{24 if loose.version == 4 else 64}")
        return f"{quoted(text)} lacks its prefix length: write {usual.network}"
    return f"{quoted(text)} is an address in a subnet: write {loose.network}"


def _overlapping(topology: Topology) -> Iterator[Finding]:
    """Networks of one host: it could not know which of them an address is in.

    Where one is internal the host has no address in it, and so no route.
    """
    seen: list[tuple[str, Sequence[str], dict[int, Subnet]]] = []
    for name, network in topology.networks.items():
        if network.internal:
            continue
        hosts, subnets = network_hosts(topology, name), subnets_of(network)
        for other, others_hosts, others_subnets in seen:
            pairs = product(subnets.items(), others_subnets.values())
            met = next(((at, one, two) for (at, one), two in pairs if overlap(one, two)), None)
            host = next((host for host in hosts if host in others_hosts), None)
            if met is not None and host is not None:
                message = (
                    f'overlapping subnets on {host}: {met[1]} and {met[2]} of "{other}"; '
                    f"write another one, such as {free_subnet(topology, met[1])}"
                )
                yield Finding(("networks", name, "subnets", met[0]), message, ("nodes",))
        seen.append((name, hosts, subnets))


def free_subnet(topology: Topology, like: Subnet) -> str:
    """A subnet no network of the topology has, of the usual size."""
    taken = [net for network in topology.networks.values() for net in subnets_of(network).values()]
    pool, prefix = ("10.0.0.0/8", 24) if like.version == 4 else ("fd00::/16", 64)
    start = ipaddress.ip_network(pool)
    candidates = (net for net in start.subnets(new_prefix=prefix))
    next(candidates)  # 10.0.0.0/24 looks like the whole of it
    return str(next(net for net in candidates if not any(overlap(net, other) for other in taken)))
