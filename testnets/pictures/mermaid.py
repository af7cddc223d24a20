"""A picture as a Mermaid flowchart, which GitHub and GitLab render in Markdown.

Nodes are numbered, and names stand only in labels, as entities where Mermaid would read them as
its own: so no name can change what is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from .picture import (
    MANY_AS_TEXT,
    DrawnContainer,
    DrawnInterface,
    DrawnNode,
    Picture,
    grouped,
    names_in_lines,
    readable,
)
from .tiers import downwards

SHAPES = {"router": '{{{{"{}"}}}}', "external": '(["{}"])', "switch": '["{}"]', "host": '["{}"]'}
"""What stands around a node's label: `{{"..."}}` is a hexagon."""


def mermaid(picture: Picture) -> str:
    """The flowchart's text, without a fence."""
    picture = downwards(picture)
    numbers = {node.name: f"n{index}" for index, node in enumerate(picture.nodes)}
    title = json.dumps(readable(picture.name), ensure_ascii=False)
    lines = ["---", f"title: {title}", "---", "flowchart TB"]
    for node in picture.nodes:
        lines += _node(node, numbers[node.name])
    for link in picture.links:
        (one, _), (other, _) = link.ends
        said = f'|"{_label(link.remarks, " · ")}"|' if link.remarks else ""
        lines.append(f"  {numbers[one]} ---{said} {numbers[other]}")
    lines += [
        "  classDef network fill:#e4edff,stroke:#2563eb,color:#16202e",
        "  classDef published fill:#ffe9e8,stroke:#b4232a,color:#16202e",
    ]
    return "\n".join(lines) + "\n"


def _node(node: DrawnNode, number: str) -> Iterator[str]:
    """A host with anything in it is a subgraph, around a node that stands for the host."""
    interfaces = [_interface(one) for one in node.interfaces if one.addresses]
    if not node.networks and not node.containers:
        label = _label([node.name, *interfaces])
        yield f"  {number}{SHAPES[node.kind].format(label)}"
        return
    yield f'  subgraph {number}s["{_label([node.name])}"]'
    yield f'    {number}["{_label(interfaces or [node.name])}"]'
    networks = {net.name: f"{number}b{index}" for index, net in enumerate(node.networks)}
    for net in node.networks:
        about = filter(None, (net.name, net.bridge, *net.subnets, *net.remarks))
        yield f'    {networks[net.name]}["{_label(list(about))}"]:::network'
        yield f"    {number} ~~~ {networks[net.name]}"
    for index, group in enumerate(grouped(node.containers, MANY_AS_TEXT)):
        yield from _containers(group, f"{number}c{index}", networks)
    yield "  end"


def _containers(
    group: Sequence[DrawnContainer], number: str, networks: Mapping[str, str]
) -> Iterator[str]:
    yield f'    {number}("{_label(names_in_lines(group))}")'
    for one in group[0].interfaces:
        said = _interface(one) if len(group) == 1 else f"{one.name} of each"
        yield f'    {networks[one.network]} ---|"{_label([said])}"| {number}'
    for index, port in enumerate(group[0].ports):
        yield f'    {number}p{index}(["{_label([port.outside])}"]):::published'
        yield f'    {number}p{index} -.->|"{_label([port.inside])}"| {number}'


def _interface(interface: DrawnInterface) -> str:
    return " ".join((interface.name, *interface.addresses))


def _label(lines: Sequence[str], between: str = "<br/>") -> str:
    return between.join(_escaped(line) for line in lines)


def _escaped(text: str) -> str:
    """All but letters, digits and a few harmless signs as numeric entities (`#35;`)."""
    return "".join(
        char if char.isalnum() or char in " .:/-_@→…,[]%" else f"#{ord(char)};"
        for char in readable(text)
    )
