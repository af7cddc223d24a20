"""A picture as Graphviz's DOT: an undirected graph with a cluster for each host.

Nodes are numbered, and names stand only in quoted labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .picture import (
    MANY_AS_TEXT,
    DrawnContainer,
    DrawnInterface,
    DrawnLink,
    DrawnNode,
    Picture,
    grouped,
    names_in_lines,
    readable,
)
from .tiers import downwards

SHAPES = {"router": "octagon", "external": "ellipse", "switch": "box3d", "host": "box"}


def dot(picture: Picture) -> str:
    """The graph's text, for `dot -Tsvg`."""
    picture = downwards(picture)
    numbers = {node.name: f"n{index}" for index, node in enumerate(picture.nodes)}
    lines = [
        f"graph {_quoted([picture.name])} {{",
        f"  label={_quoted([picture.name, picture.description or picture.census])};",
        "  labelloc=t; compound=true; newrank=true; fontname=sans;",
        "  node [shape=box, style=rounded, fontname=sans, fontsize=11];",
        "  edge [fontname=sans, fontsize=10];",
    ]
    for node in picture.nodes:
        lines += _node(node, numbers[node.name])
    lines += [_link(link, numbers) for link in picture.links]
    return "\n".join([*lines, "}"]) + "\n"


def _node(node: DrawnNode, number: str) -> Iterator[str]:
    """A host with anything in it is a cluster; its own node stands for its interfaces."""
    interfaces = [_interface(one) for one in node.interfaces if one.addresses]
    if not node.networks and not node.containers:
        label = _quoted([node.name, *interfaces])
        yield f"  {number} [shape={SHAPES[node.kind]}, label={label}];"
        return
    yield f"  subgraph cluster_{number} {{"
    yield f"    label={_quoted([node.name])}; style=rounded;"
    label = _quoted(interfaces or [node.name])
    yield f"    {number} [shape=plaintext, label={label}];"
    networks = {net.name: f"{number}b{index}" for index, net in enumerate(node.networks)}
    for net in node.networks:
        label = _quoted([*filter(None, (net.name, net.bridge, *net.subnets, *net.remarks))])
        fill = 'style=filled, fillcolor="#e4edff"'
        yield f"    {networks[net.name]} [{fill}, label={label}];"
        yield f"    {number} -- {networks[net.name]} [style=invis];"
    for index, group in enumerate(grouped(node.containers, MANY_AS_TEXT)):
        yield from _containers(group, f"{number}c{index}", networks)
    yield "  }"


def _containers(
    group: Sequence[DrawnContainer], number: str, networks: Mapping[str, str]
) -> Iterator[str]:
    yield f"    {number} [label={_quoted(names_in_lines(group))}];"
    for one in group[0].interfaces:
        said = [one.name, *one.addresses] if len(group) == 1 else [f"{one.name} of each"]
        yield f"    {networks[one.network]} -- {number} [label={_quoted(said)}];"
    for index, port in enumerate(group[0].ports):
        colour = 'color="#b4232a"'
        yield f"    {number}p{index} [shape=cds, {colour}, label={_quoted([port.outside])}];"
        arrow = f"dir=forward, style=dashed, {colour}, label={_quoted([port.inside])}"
        yield f"    {number}p{index} -- {number} [{arrow}];"


def _link(link: DrawnLink, numbers: dict[str, str]) -> str:
    (one, _), (other, _) = link.ends
    return f"  {numbers[one]} -- {numbers[other]} [label={_quoted([' '.join(link.remarks)])}];"


def _interface(interface: DrawnInterface) -> str:
    return " ".join((interface.name, *interface.addresses))


def _quoted(lines: Sequence[str]) -> str:
    """A quoted string of DOT, one line below the other; backslashes mean themselves."""
    escaped = (readable(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
