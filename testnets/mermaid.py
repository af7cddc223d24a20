"""A picture as a Mermaid flowchart, which GitHub and GitLab render in Markdown.

Nodes are numbered, and names stand only in labels, as entities where Mermaid would read them as
its own: so no name can change what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .picture import DrawnContainer, DrawnInterface, DrawnNode, Picture, readable

SHAPES = {"router": '{{{{"{}"}}}}', "external": '(["{}"])', "switch": '["{}"]', "host": '["{}"]'}
"""What stands around a node's label: `{{"..."}}` is a hexagon."""


def mermaid(picture: Picture) -> str:
    """The flowchart's text, without a fence."""
    numbers = {node.name: f"n{index}" for index, node in enumerate(picture.nodes)}
    lines = ["---", f'title: "{_escaped(picture.name)}"', "---", "flowchart TB"]
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
    interfaces = [_interface(one) for one in node.interfaces if one.addresses]
    if not node.networks and not node.containers:
        label = _label([node.name, *interfaces])
        yield f"  {number}{SHAPES[node.kind].format(label)}"
        return
    yield f'  subgraph {number}["{_label([node.name])}"]'
    for interface in interfaces[:1]:
        yield f'    {number}i["{_label([interface, *interfaces[1:]])}"]'
    networks = {net.name: f"{number}b{index}" for index, net in enumerate(node.networks)}
    for net in node.networks:
        about = filter(None, (net.name, net.bridge, *net.subnets, *net.remarks))
        yield f'    {networks[net.name]}["{_label(list(about))}"]:::network'
    for index, container in enumerate(node.containers):
        yield from _container(container, f"{number}c{index}", networks)
    yield "  end"


def _container(container: DrawnContainer, number: str, networks: dict[str, str]) -> Iterator[str]:
    yield f'    {number}("{_label([container.name])}")'
    for one in container.interfaces:
        yield f'    {networks[one.network]} ---|"{_label([_interface(one)])}"| {number}'
    for index, port in enumerate(container.ports):
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
