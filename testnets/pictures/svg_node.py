"""A node of an SVG picture, sized before it is known where its links come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import svg_host, svg_parts
from .picture import DrawnLink, DrawnNode
from .svg_parts import PAD, Tints
from .svg_shapes import KIND, NODE, Box, Text, fitted, measure

INSET = 12
BETWEEN = 10


@dataclass(eq=False)
class Port:
    """Where a link meets a node: a tab on its edge. `x` is in the picture's coordinates."""

    node: Shape
    tab: Box
    room: int
    above: bool
    """Whether on the upper edge."""
    x: int = 0
    heading: int = 0
    """The `x` that its link goes to."""


@dataclass(eq=False)
class Shape:
    """A node, its ports in any order until they are placed; `x` of its left edge."""

    node: DrawnNode
    body: Box | None
    loose: tuple[Box, ...]
    """Tabs of interfaces that no link leads to."""
    ports: list[Port] = field(default_factory=list)
    x: int = 0
    stretched: int = 0
    """The width it has been given, where that is more than it needs."""

    @property
    def is_switch(self) -> bool:
        return self.node.kind == "switch"

    def edge(self, above: bool) -> list[Port]:
        return [port for port in self.ports if port.above is above]

    @property
    def width(self) -> int:
        title = self._title_width() + 2 * INSET
        loose = sum(tab.width + PAD for tab in self.loose) + 2 * INSET
        body = self.body.width if self.body else 0
        strips = (self._strip_width(above) for above in (True, False))
        return max(title, loose, body, 110, *strips, self.stretched)

    @property
    def height(self) -> int:
        return self._loose_top() + self._loose_height() + self._body_height() + self._foot()

    def drawn(self, y: int) -> Box:
        """The whole, once `x` and the ports' are known."""
        height = self.height
        tabs = [
            port.tab.at(
                port.x - self.x - port.tab.width // 2, 0 if port.above else height - port.tab.height
            )
            for port in self.ports
        ]
        left = (self.width - sum(tab.width + PAD for tab in self.loose) + PAD) // 2
        tabs += svg_parts.side_by_side(self.loose, left, self._loose_top())
        if self.body:
            top = self._loose_top() + self._loose_height()
            tabs.append(self.body.at(self._body_left(self.body), top))
        return Box(
            self.node.kind,
            self.width,
            height,
            self.x,
            y,
            tooltip=f"{self.node.kind} {self.node.name}",
            children=tuple(tabs),
            texts=self._title(),
        )

    def _name(self) -> str:
        return fitted(self.node.name, NODE, svg_parts.TEXT_LIMIT)

    def _title_width(self) -> int:
        return measure(self._name(), NODE) + 8 + measure(self.node.kind, KIND)

    def _title(self) -> tuple[Text, ...]:
        left = INSET if self.body else (self.width - self._title_width()) // 2
        top = 7 if self._titled_beside() else self._tallest(True) + 7
        kind = left + measure(self._name(), NODE) + 8
        return (
            Text(self._name(), NODE, left, top),
            Text(self.node.kind, KIND, kind, top + NODE.size - KIND.size),
        )

    def _strip_width(self, above: bool) -> int:
        ports = self.edge(above)
        return sum(port.room for port in ports) + BETWEEN * (len(ports) - 1) + 2 * INSET

    def _tallest(self, above: bool) -> int:
        return max((port.tab.height for port in self.edge(above)), default=0)

    def _titled_beside(self) -> bool:
        """Whether the title has room to the left of the ports, which are in the middle."""
        ports = self._strip_width(True) - 2 * INSET
        return bool(self.body) and (self.width - ports) // 2 >= self._title_width() + 2 * INSET

    def _loose_top(self) -> int:
        if self._titled_beside():
            return max(self._tallest(True), 7 + NODE.line)
        return self._tallest(True) + 7 + NODE.line + (0 if self.body else 7)

    def _loose_height(self) -> int:
        return max((tab.height + PAD for tab in self.loose), default=0)

    def _body_left(self, body: Box) -> int:
        """In the middle; published ports are on the host's own edge, though."""
        spare = self.width - body.width
        return spare if any(box.kind == "published" for box in body.children) else spare // 2

    def _body_height(self) -> int:
        return self.body.height if self.body else 0

    def _foot(self) -> int:
        return self._tallest(False) + (6 if self.edge(False) else 0)


def shape(node: DrawnNode, linked: frozenset[str], tints: Tints) -> Shape:
    """`linked` are the interfaces that links lead to."""
    loose = [one for one in node.interfaces if one.name not in linked and one.addresses]
    return Shape(
        node, svg_host.inside(node, tints), tuple(svg_parts.interface(one) for one in loose)
    )


def add_port(to: Shape, interface: str, above: bool, label: Box | None) -> Port:
    """A port for one end of a link; `label` is what stands before it on the line."""
    if to.is_switch:
        tab = Box("interface", 10, 7, tooltip=interface)
    else:
        tab = svg_parts.interface(to.node.interface(interface))
    port = Port(to, tab, max(tab.width, label.width if label else 0), above)
    to.ports.append(port)
    return port


def shapes(
    nodes: Mapping[str, DrawnNode], links: tuple[DrawnLink, ...], tints: Tints
) -> dict[str, Shape]:
    """A shape for each node, without ports yet."""
    linked: dict[str, set[str]] = {name: set() for name in nodes}
    for link in links:
        for name, interface in link.ends:
            linked[name].add(interface)
    return {name: shape(node, frozenset(linked[name]), tints) for name, node in nodes.items()}
