"""The inside of a host in an SVG picture: its networks, its containers, and what joins them.

Networks are bars below each other. A line leaves each on the left, runs down the margin, and above
each row of containers to the right, from where it drops onto the interfaces. So no line meets a
box but those it joins, however many rows there are. Published ports are on the right edge, and
reach their containers the same way from below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import svg_parts
from .picture import DrawnNetwork, DrawnNode, DrawnPort
from .svg_grid import GAP, Item, row_width, rows
from .svg_parts import Tints
from .svg_shapes import Box, Line

TRACK = 7
"""Pixels from a line to the next beside it."""
MARGIN = 14
LINED_PORTS = 12
"""Where a host publishes more ports than this, they stand in the containers, without lines."""


@dataclass
class _Inside:
    """What has been placed so far; `y` is where the next thing goes."""

    left: int
    width: int
    """Of the bars, between which edges the containers are, too."""
    tints: Tints
    y: int = MARGIN
    bars: dict[str, Box] = field(default_factory=dict)
    items: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    feet: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The middle of each container's lower edge."""
    ends: dict[str, int] = field(default_factory=dict)
    """How far down the line of each network runs in the margin."""


def inside(node: DrawnNode, tints: Tints) -> Box | None:
    """The networks and containers of `node` in one box; None where it has neither."""
    if not node.networks and not node.containers:
        return None
    ports = [port for container in node.containers for port in container.ports]
    lined = ports if len(ports) <= LINED_PORTS else []
    grid = rows(node.containers, tints, with_ports=not lined)
    bars = [svg_parts.network_bar(net, tints[net.name]) for net in node.networks]
    margin = TRACK * len(bars) + 5 if len(bars) > 1 or len(grid) > 1 else 0
    width = max([*map(row_width, grid), *(bar.width for bar in bars)])
    state = _Inside(MARGIN + margin, width, tints)
    _place_bars(state, node.networks, bars)
    for row in grid:
        _place_row(state, row, lined)
    _draw_trunks(state)
    port_boxes, right = _draw_ports(state, lined)
    children = (*state.bars.values(), *state.items, *port_boxes)
    bottom = max(box.y + box.height for box in children) + MARGIN
    return Box("inside", right, max(bottom, state.y), children=children, lines=tuple(state.lines))


def _place_bars(state: _Inside, networks: Sequence[DrawnNetwork], bars: Sequence[Box]) -> None:
    for net, bar in zip(networks, bars, strict=True):
        state.bars[net.name] = svg_parts.widened(bar, state.width).at(state.left, state.y)
        state.y += bar.height + 6


def _place_row(state: _Inside, row: Sequence[Item], lined: Sequence[DrawnPort]) -> None:
    """The lines above a row of the grid, the row, and below it the room for published ports.

    The lowest network's bar is right above the first row, and needs no line to it.
    """
    first = not state.items
    used = [name for name in state.bars if any(name in item.networks for item in row)]
    direct = list(state.bars)[-1] if first and state.bars else ""
    rails = [name for name in used if name != direct]
    heights = {name: state.y + 8 + TRACK * number for number, name in enumerate(rails)}
    state.y += TRACK * len(rails) + 16
    x = state.left + ((state.width - row_width(row)) // 2 if first else 0)
    for item in row:
        placed = item.box.at(x, state.y)
        state.items.append(placed)
        state.feet[item.name] = placed.centre, placed.y + placed.height
        x += placed.width + GAP
    _draw_rails(state, row, heights)
    names = {item.name for item in row}
    state.y += max(item.box.height for item in row)
    state.y += TRACK * sum(1 for port in lined if port.container in names)


def _draw_rails(state: _Inside, row: Sequence[Item], heights: dict[str, int]) -> None:
    """From each network's line, or bar, down onto the interfaces of the row placed last."""
    reach: dict[str, int] = {}
    for item, placed in zip(row, state.items[-len(row) :], strict=True):
        for name, tab in zip(item.networks, placed.children, strict=False):
            bar = state.bars[name]
            start = heights.get(name, bar.y + bar.height)
            x = placed.x + tab.centre
            state.lines.append(Line("rail", ((x, start), (x, placed.y)), state.tints[name]))
            reach[name] = max(x, reach.get(name, x))
    for name, height in heights.items():
        along = ((_trunk(state, name), height), (reach[name], height))
        state.lines.append(Line("rail", along, state.tints[name]))
        state.ends[name] = height


def _trunk(state: _Inside, name: str) -> int:
    return MARGIN + TRACK * list(state.bars).index(name)


def _draw_trunks(state: _Inside) -> None:
    for name, end in state.ends.items():
        bar = state.bars[name]
        middle = bar.y + bar.height // 2
        x = _trunk(state, name)
        state.lines.append(
            Line("rail", ((bar.x, middle), (x, middle), (x, end)), state.tints[name])
        )


def _draw_ports(state: _Inside, ports: Sequence[DrawnPort]) -> tuple[list[Box], int]:
    """Published ports on the right edge, lines to their containers, and where that edge is."""
    left = state.left + state.width + MARGIN
    if not ports:
        return [], left
    ordered = sorted(ports, key=lambda port: _leftwards(state.feet[port.container]))
    entries = _entries(ordered, state.feet)
    boxes = [svg_parts.port(port) for port in ordered]
    column = left + TRACK * len(ports) + 8
    width = max(box.width for box in boxes)
    y = MARGIN
    below: dict[int, int] = {}
    placed = []
    for number, (port, box) in enumerate(zip(ordered, boxes, strict=True)):
        placed.append(svg_parts.widened(box, width).at(column, y))
        x, bottom = entries[number], state.feet[port.container][1]
        rail = below[bottom] = below.get(bottom, bottom + 3) + TRACK
        trunk = left + TRACK * number
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
