"""The inside of a host in an SVG picture: its networks, its containers, and what joins them.

Networks are bars below each other. A line leaves each on the left, runs down the margin, and above
each row of containers to the right, from where it drops onto the interfaces. So no line meets a
box but those it joins, however many rows there are. Published ports are on the right edge, and
reach their containers the same way from below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from . import svg_parts
from .picture import DrawnContainer, DrawnNode, DrawnPort, grouped
from .svg_parts import Tints
from .svg_shapes import KIND, NAME, Box, Line, Text, fitted, measure

GAP = 14
TRACK = 7
"""Pixels from a line to the next beside it."""
MARGIN = 14

MANY = 60
"""Where a host has more containers than this, those alike are drawn small, in one frame."""
LINED_PORTS = 12
"""Where a host publishes more ports than this, they stand in the containers, without lines."""


@dataclass(frozen=True)
class Item:
    """What stands in the grid: a container, or a frame of many alike."""

    box: Box
    networks: tuple[str, ...]
    name: str = ""


@dataclass
class _Inside:
    """What has been placed so far; `y` is where the next thing goes."""

    bars: dict[str, Box] = field(default_factory=dict)
    items: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    feet: dict[str, tuple[int, int]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    y: int = MARGIN
    """`feet`: the middle of each container's lower edge; `ends`: how far down the line of each
    network runs."""


def inside(node: DrawnNode, tints: Tints) -> Box | None:
    """The networks and containers of `node` in one box; None where it has neither."""
    if not node.networks and not node.containers:
        return None
    ports = [port for container in node.containers for port in container.ports]
    lined = ports if len(ports) <= LINED_PORTS else []
    rows = _rows(_items(node.containers, tints, bool(lined)))
    trunks = _trunks(node, rows)
    left = MARGIN + (trunks * TRACK + 5 if trunks else 0)
    width = max([_row_width(row) for row in rows], default=0)
    bars = [svg_parts.network_bar(net, tints[net.name]) for net in node.networks]
    width = max([width, *(bar.width for bar in bars)])
    state = _Inside()
    for net, bar in zip(node.networks, bars, strict=True):
        state.bars[net.name] = replace(bar, x=left, y=state.y, width=width)
        state.y += bar.height + 6
    for number, row in enumerate(rows):
        _place_row(state, row, number == 0, left, width, tints)
        state.y += TRACK * sum(1 for item in row for port in lined if port.container == item.name)
    _draw_trunks(state, tints)
    port_boxes, right = _draw_ports(state, lined, left + width)
    children = (*state.bars.values(), *state.items, *port_boxes)
    height = max(box.y + box.height for box in children) + MARGIN
    return Box("inside", right, max(height, state.y), children=children, lines=tuple(state.lines))


def columns(count: int, width: int, height: int) -> int:
    """How many columns make a pleasant grid of `count` boxes of that size."""
    if count <= 4:
        return max(count, 1)

    def badness(wide: int) -> float:
        high = math.ceil(count / wide)
        shape = (wide * (width + GAP)) / (high * (height + GAP))
        return abs(math.log(shape / 2.5)) + (wide * high - count) / count

    return min(range(2, count + 1), key=badness)


def _items(containers: Sequence[DrawnContainer], tints: Tints, lined: bool) -> list[Item]:
    """Each container in full, or where there are very many, those alike in frames."""
    return [
        _full(group[0], tints, lined) if len(group) == 1 else _frame(group, tints)
        for group in grouped(containers, MANY, by_ports=lined)
    ]


def _full(shown: DrawnContainer, tints: Tints, lined: bool) -> Item:
    networks = tuple(interface.network for interface in shown.interfaces)
    return Item(svg_parts.container(shown, tints, not lined), networks, shown.name)


def _frame(group: Sequence[DrawnContainer], tints: Tints) -> Item:
    """Many containers alike: one tab for each network, and a small box for each container."""
    first = group[0]
    each = [
        svg_parts.tab("interface", [f"{one.name} of each"], tints[one.network])
        for one in first.interfaces
    ]
    tabs = svg_parts.side_by_side(each, svg_parts.PAD)
    names = fitted(f"{first.name} … {group[-1].name}", NAME, svg_parts.TEXT_LIMIT)
    count = f"{len(group)} containers"
    top = max((box.height for box in tabs), default=0) + 6
    small = [svg_parts.small_container(one) for one in group]
    cells = _grid(small, svg_parts.PAD, top + NAME.line + 6)
    heading = measure(names, NAME) + 12 + measure(count, KIND) + 2 * svg_parts.PAD
    edges = [box.x + box.width + svg_parts.PAD for box in (*tabs, *cells)]
    width = max(heading, *edges)
    return Item(
        Box(
            "frame",
            width,
            max(cell.y + cell.height for cell in cells) + svg_parts.PAD,
            children=(*tabs, *cells),
            texts=(
                Text(names, NAME, svg_parts.PAD, top),
                Text(count, KIND, svg_parts.PAD + measure(names, NAME) + 12, top),
            ),
        ),
        tuple(one.network for one in first.interfaces),
    )


def _grid(boxes: Sequence[Box], left: int, top: int) -> list[Box]:
    """Boxes of one size in rows and columns."""
    gap = 6
    width = max(box.width for box in boxes)
    height = max(box.height for box in boxes)
    wide = columns(len(boxes), width, height)
    return [
        replace(svg_parts.widened(box, width), height=height).at(
            left + index % wide * (width + gap), top + index // wide * (height + gap)
        )
        for index, box in enumerate(boxes)
    ]


def _rows(items: Sequence[Item]) -> list[list[Item]]:
    """A grid of containers of one size; a frame has a row of its own."""
    single = [item for item in items if item.box.kind == "container"]
    rows = [[item] for item in items if item.box.kind == "frame"]
    if not single:
        return rows
    width = max(item.box.width for item in single)
    height = max(item.box.height for item in single)
    even = [
        replace(item, box=replace(svg_parts.widened(item.box, width), height=height))
        for item in single
    ]
    wide = columns(len(even), width, height)
    return [even[at : at + wide] for at in range(0, len(even), wide)] + rows


def _row_width(row: Sequence[Item]) -> int:
    return sum(item.box.width for item in row) + GAP * (len(row) - 1)


def _direct(state: _Inside) -> str:
    """The network from whose bar the first row can be reached without a detour: the lowest."""
    return list(state.bars)[-1] if state.bars else ""


def _trunks(node: DrawnNode, rows: Sequence[Sequence[Item]]) -> int:
    """How many lines the left margin has to hold."""
    if len(node.networks) == 1 and len(rows) <= 1:
        return 0
    return len(node.networks)


def _place_row(
    state: _Inside, row: Sequence[Item], first: bool, left: int, width: int, tints: Tints
) -> None:
    """The lines above a row of the grid, and the row."""
    used = [name for name in state.bars if any(name in item.networks for item in row)]
    rails = [name for name in used if not (first and name == _direct(state))]
    state.y += 8
    heights = {name: state.y + TRACK * number for number, name in enumerate(rails)}
    state.y += TRACK * len(rails) + 8
    x = left + (width - _row_width(row)) // 2 if first else left
    for item in row:
        placed = item.box.at(x, state.y)
        state.items.append(placed)
        _drop(state, item, placed, heights, tints)
        x += placed.width + GAP
    bottom = state.y + max(item.box.height for item in row)
    for item, placed in zip(row, state.items[-len(row) :], strict=True):
        if item.name:
            state.feet[item.name] = (placed.centre, bottom)
    for name, height in heights.items():
        reach = max(line.points[0][0] for line in state.lines if line.points[0][1] == height)
        state.lines.append(
            Line("rail", ((_trunk(state, name), height), (reach, height)), tints[name])
        )
        state.ends[name] = height
    state.y = bottom


def _drop(state: _Inside, item: Item, placed: Box, heights: dict[str, int], tints: Tints) -> None:
    """From each network's line (or bar) down onto the interfaces of one item."""
    for name, tab in zip(item.networks, placed.children, strict=False):
        if name in state.bars:
            bar = state.bars[name]
            start = heights.get(name, bar.y + bar.height)
            x = placed.x + tab.centre
            state.lines.append(Line("rail", ((x, start), (x, placed.y)), tints[name]))


def _trunk(state: _Inside, name: str) -> int:
    return MARGIN + TRACK * list(state.bars).index(name)


def _draw_trunks(state: _Inside, tints: Tints) -> None:
    for name, end in state.ends.items():
        bar = state.bars[name]
        middle = bar.y + bar.height // 2
        x = _trunk(state, name)
        state.lines.append(Line("rail", ((bar.x, middle), (x, middle), (x, end)), tints[name]))


def _draw_ports(state: _Inside, ports: Sequence[DrawnPort], left: int) -> tuple[list[Box], int]:
    """Published ports on the right edge, lines to their containers, and where that edge is."""
    if not ports:
        return [], left + MARGIN
    ordered = sorted(ports, key=lambda port: _leftwards(state.feet[port.container]))
    entries = _entries(ordered, state.feet)
    boxes = [svg_parts.port(port) for port in ordered]
    column = left + MARGIN + TRACK * len(ports) + 8
    width = max(box.width for box in boxes)
    y = MARGIN
    below: dict[int, int] = {}
    placed = []
    for number, (port, box) in enumerate(zip(ordered, boxes, strict=True)):
        placed.append(svg_parts.widened(box, width).at(column, y))
        x, bottom = entries[number], state.feet[port.container][1]
        rail = below[bottom] = below.get(bottom, bottom + 3) + TRACK
        trunk = left + MARGIN + TRACK * number
        middle = y + box.height // 2
        points = ((column, middle), (trunk, middle), (trunk, rail), (x, rail), (x, bottom))
        state.lines.append(Line("published", points, arrow=True))
        y += box.height + 5
    state.y = max([state.y, *(rail + MARGIN for rail in below.values())])
    return placed, column + width


def _leftwards(foot: tuple[int, int]) -> tuple[int, int]:
    """The upper row first, in it the rightmost: each line from the right runs below the last."""
    x, bottom = foot
    return bottom, -x


def _entries(ports: Sequence[DrawnPort], feet: dict[str, tuple[int, int]]) -> list[int]:
    """Where each port's line enters its container: side by side around the middle."""
    names = [port.container for port in ports]
    found = []
    for number, name in enumerate(names):
        total = names.count(name)
        step = 8 if total <= 6 else 4
        before = names[:number].count(name)
        found.append(feet[name][0] + step * (total - 1 - 2 * before) // 2)
    return found
