"""Containers in rows and columns, in an SVG picture: in full, or small where they are many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import svg_parts
from .picture import DrawnContainer, grouped
from .svg_parts import PAD, Tints
from .svg_shapes import KIND, NAME, Box, Text, fitted, measure

GAP = 14
MANY = 60
"""Where a host has more containers than this, those alike are drawn small, in one frame."""


@dataclass(frozen=True)
class Item:
    """What stands in the grid: a container, or a frame of many alike, which has no name.

    The first of the box's children are the tabs of the interfaces in `networks`, in this order.
    """

    box: Box
    networks: tuple[str, ...]
    name: str = ""


def rows(containers: Sequence[DrawnContainer], tints: Tints, with_ports: bool) -> list[list[Item]]:
    """A grid of containers of one size; a frame has a row of its own.

    `with_ports`: published ports are written into the containers.
    """
    items = [
        _full(group[0], tints, with_ports) if len(group) == 1 else _frame(group, tints)
        for group in grouped(containers, MANY, by_ports=not with_ports)
    ]
    single = [item for item in items if item.box.kind == "container"]
    frames = [[item] for item in items if item.box.kind == "frame"]
    if not single:
        return frames
    width = max(item.box.width for item in single)
    height = max(item.box.height for item in single)
    even = [
        replace(item, box=replace(svg_parts.widened(item.box, width), height=height))
        for item in single
    ]
    wide = _columns(len(even), width, height)
    return [even[at : at + wide] for at in range(0, len(even), wide)] + frames


def row_width(row: Sequence[Item]) -> int:
    """From the left edge of the first to the right one of the last."""
    return sum(item.box.width for item in row) + GAP * (len(row) - 1)


def _columns(count: int, width: int, height: int) -> int:
    """How many columns make a pleasant grid of `count` boxes of that size."""
    if count <= 4:
        return max(count, 1)

    def badness(wide: int) -> float:
        high = math.ceil(count / wide)
        shape = (wide * (width + GAP)) / (high * (height + GAP))
        return abs(math.log(shape / 2.5)) + (wide * high - count) / count

    return min(range(2, count + 1), key=badness)


def _full(shown: DrawnContainer, tints: Tints, with_ports: bool) -> Item:
    networks = tuple(interface.network for interface in shown.interfaces)
    return Item(svg_parts.container(shown, tints, with_ports), networks, shown.name)


def _frame(group: Sequence[DrawnContainer], tints: Tints) -> Item:
    """Many containers alike: one tab for each network, and a small box for each container."""
    first = group[0]
    each = [
        svg_parts.tab("interface", [f"{one.name} of each"], tints[one.network])
        for one in first.interfaces
    ]
    tabs = svg_parts.side_by_side(each, PAD)
    names = fitted(f"{first.name} … {group[-1].name}", NAME, svg_parts.TEXT_LIMIT)
    count = f"{len(group)} containers"
    top = max((box.height for box in tabs), default=0) + 6
    small = [svg_parts.small_container(one) for one in group]
    cells = _grid(small, PAD, top + NAME.line + 6)
    heading = measure(names, NAME) + 12 + measure(count, KIND) + 2 * PAD
    edges = [box.x + box.width + PAD for box in (*tabs, *cells)]
    width = max(heading, *edges)
    return Item(
        Box(
            "frame",
            width,
            max(cell.y + cell.height for cell in cells) + PAD,
            children=(*tabs, *cells),
            texts=(
                Text(names, NAME, PAD, top),
                Text(count, KIND, PAD + measure(names, NAME) + 12, top),
            ),
        ),
        tuple(one.network for one in first.interfaces),
    )


def _grid(boxes: Sequence[Box], left: int, top: int) -> list[Box]:
    """Boxes of one size in rows and columns."""
    gap = 6
    width = max(box.width for box in boxes)
    height = max(box.height for box in boxes)
    wide = _columns(len(boxes), width, height)
    return [
        replace(svg_parts.widened(box, width), height=height).at(
            left + index % wide * (width + gap), top + index // wide * (height + gap)
        )
        for index, box in enumerate(boxes)
    ]
