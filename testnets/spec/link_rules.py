"""Mistakes in nodes and links: what is plugged in where, and which addresses it has."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from .expanding import named_links
from .problems import Finding, Location, names_of, no_such, quoted
from .topology import End, Link, Node, Topology

_INTERFACE = re.compile(r"[^\s/:]{1,15}")
"""dev_valid_name() of the kernel: shorter than IFNAMSIZ, no slash, colon or space."""
_LINKS = ("nodes", "links")


def link_findings(topology: Topology) -> Iterator[Finding]:
    """Each link, the rings they close, each node, and the underlay."""
    yield from _plugs(topology)
    yield from _switch_cycles(topology)
    for name, node in topology.nodes.items():
        yield from _node_findings(topology, name, node)
    yield from _underlay_findings(topology)


def is_interface(name: str) -> bool:
    """Whether the kernel takes this as an interface's name."""
    return bool(_INTERFACE.fullmatch(name)) and name not in (".", "..") and len(name.encode()) < 16


def wrong_interface(name: str) -> str:
    """What is wrong with a name that it doesn't take."""
    return f"{quoted(name)} can't be an interface: write 1 to 15 letters and digits, as eth1"


def _plugs(topology: Topology) -> Iterator[Finding]:
    """Each link by itself, and with those before it."""
    ports: dict[tuple[str, str], Link] = {}
    pairs: dict[frozenset[str], Link] = {}
    for number, link in enumerate(topology.links):
        location: Location = ("links", number)
        for end in link.ends:
            yield from _wrong_end(topology, location, end)
        nodes = frozenset(end.node for end in link.ends)
        if len(nodes) == 1:
            message = f"this links {quoted(link.ends[0].node)} with itself: name another node"
            yield Finding(location, message)
            continue
        if nodes in pairs:
            message = (
                f'a second link "{link.name}" can\'t be told from the first: leave it out, '
                f"or put a switch between"
            )
            yield Finding(location, message)
        pairs.setdefault(nodes, link)
        for end in link.ends:
            key = (end.node, end.interface)
            if end.interface and key in ports:
                message = (
                    f"two links on one port: {end} is in {quoted(ports[key].name)} already; "
                    f"write another interface, or {end.node} alone for the next free one"
                )
                yield Finding(location, message)
            ports.setdefault(key, link)


def _wrong_end(topology: Topology, location: Location, end: End) -> Iterator[Finding]:
    if end.node not in topology.nodes:
        message = no_such("node", end.node, topology.nodes)
        yield Finding(location, message, names_of("nodes"))
    elif end.interface == "lo":
        yield Finding(location, f"{end} is no port: write {end.node}:eth1")
    elif end.interface and not is_interface(end.interface):
        yield Finding(location, wrong_interface(end.interface))


def _switch_cycles(topology: Topology) -> Iterator[Finding]:
    """Links that close a ring of switches, as none of them would break it (no spanning tree)."""
    known = {name for name, node in topology.nodes.items() if node.kind == "switch"}
    ways: dict[str, dict[str, str]] = {name: {} for name in known}
    pairs: set[frozenset[str]] = set()
    for number, link in enumerate(topology.links):
        one, other = (end.node for end in link.ends)
        if one == other or not {one, other} <= known or frozenset((one, other)) in pairs:
            continue
        pairs.add(frozenset((one, other)))
        ring = _way(ways, one, other)
        if ring:
            message = (
                f"a cycle of switches ({' -- '.join([*ring, one])}): frames would go round "
                f"for ever; leave this link out, or make one of them a router"
            )
            yield Finding(("links", number), message, _LINKS)
        ways[one][other] = ways[other][one] = link.name


def _way(ways: dict[str, dict[str, str]], start: str, goal: str) -> list[str]:
    """The nodes on the shortest way; none where there is no way."""
    before = {start: ""}
    reached = [start]
    for at in reached:
        for neighbour in ways[at]:
            if neighbour not in before:
                before[neighbour] = at
                reached.append(neighbour)
    way: list[str] = []
    at = goal if goal in before else ""
    while at:
        way.insert(0, at)
        at = before[at]
    return way


def _node_findings(topology: Topology, name: str, node: Node) -> Iterator[Finding]:
    location: Location = ("nodes", name)
    if node.kind == "switch":
        for key in ("addresses", "sysctls"):
            if getattr(node, key):
                message = f"a switch has no {key}: leave them out, or write kind: router"
                yield Finding((*location, key), message)
        return
    known = [
        end.interface for link in named_links(topology) for end in link.ends if end.node == name
    ]
    for interface, addresses in node.addresses.items():
        where = (*location, "addresses", interface)
        if interface not in (*known, "lo"):
            message = no_such(f"interface of {name}", interface, [*known, "lo"])
            yield Finding(where, message, names_of("links"))
        for text in addresses:
            yield from _wrong_address(topology, name, where, text)
    for key in node.sysctls:
        if not re.fullmatch(r"[a-z0-9_]+([./][^\s./]+)+", key):
            message = f"{quoted(key)} is no setting: write it like net.ipv4.ip_forward"
            yield Finding((*location, "sysctls", key), message)


def _wrong_address(topology: Topology, name: str, where: Location, text: str) -> Iterator[Finding]:
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        address = None
    if address is None or "/" not in text:
        prefix = text.partition("/")[0] if address else "192.0.2.7"
        bits = 64 if ":" in prefix else 24
        message = f"{quoted(text)} is no address with a prefix length: write {prefix}/{bits}"
        yield Finding(where, message)
        return
    for other, node in topology.nodes.items():
        if other == name:
            return
        if any(_is(each, address) for texts in node.addresses.values() for each in texts):
            yield Finding(
                where, f"{address.ip} is an address of {other} already: write another one"
            )


def _is(text: str, address: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> bool:
    return text.partition("/")[0] in (str(address.ip), address.ip.exploded)


def _underlay_findings(topology: Topology) -> Iterator[Finding]:
    for key, version, example in (("ipv4", 4, "192.168.0.0/16"), ("ipv6", 6, "fd00:c0a8::/32")):
        text = getattr(topology.underlay, key)
        try:
            right = not text or ipaddress.ip_network(text).version == version
        except ValueError:
            right = False
        if not right:
            message = (
                f'{quoted(text)} is no {_FAMILY[version]} subnet: write {example}, or "" for none'
            )
            yield Finding(("underlay", key), message)


_FAMILY = {4: "IPv4", 6: "IPv6"}
