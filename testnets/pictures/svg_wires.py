"""The links of an SVG picture: at which edge they meet a node, and which way they take.

Between the rows of nodes are channels, in which a link runs sideways on a track of its own; where
a tier has several rows, it passes them by the gutters between the columns. So no link runs through
a node.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import svg_parts
from .picture import DrawnLink
from .svg_node import BETWEEN, INSET, Port, Shape, add_port
from .svg_rows import LANE, Seat, Tier, settled
from .svg_shapes import Box

SWITCH_BETWEEN = 4
"""Pixels between two ports of a switch: they may stand as close as lanes."""
CLEAR = 4
"""Upright lines nearer to each other than this would look like one."""


@dataclass(eq=False)
class Wire:
    """A link on its way from one node to one that is not above it.

    `gutters` says by which gutter it passes each row between, `lanes` on which lane in each tier.
    """

    upper: Port
    lower: Port
    label: Box | None
    first: int
    """The channel it begins in; channel n is above row n."""
    last: int
    gutters: dict[int, int] = field(default_factory=dict)
    lanes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hop:
    """A piece of a wire: how it crosses one channel, sideways from `enter` to `leave`."""

    wire: int
    channel: int
    enter: int
    leave: int
    bend: bool
    """Whether it turns back to the row it came from."""


def wired(
    links: Sequence[DrawnLink],
    shapes: Mapping[str, Shape],
    seats: Mapping[str, Seat],
    tiers: Sequence[Tier],
    row_tiers: Sequence[int],
) -> list[Wire]:
    """A wire for each link, with its ports added to the nodes, and its lanes to the tiers."""
    wires = []
    for link in links:
        label = svg_parts.link_label(link)
        ends = sorted(link.ends, key=lambda end: seats[end[0]].row)
        upper, lower = (seats[name] for name, _ in ends)
        level = upper.tier == lower.tier
        wire = Wire(
            add_port(shapes[ends[0][0]], ends[0][1], level, None),
            add_port(shapes[ends[1][0]], ends[1][1], True, label),
            label,
            upper.row if level else upper.row + 1,
            lower.row,
        )
        _choose_gutters(wire, seats, tiers, row_tiers)
        wires.append(wire)
    _choose_lanes(wires, seats, row_tiers)
    return wires


def meet(wires: Sequence[Wire], tiers: Sequence[Tier], row_tiers: Sequence[int]) -> None:
    """Give every port its `x`: in the order of where the links go, switches' straight below it."""
    for wire in wires:
        inner = [_lane_x(wire, row, tiers, row_tiers) for row in sorted(wire.gutters)]
        wire.upper.heading = inner[0] if inner else _centre(wire.lower.node)
        wire.lower.heading = inner[-1] if inner else _centre(wire.upper.node)
    for tier in tiers:
        for shape in tier.shapes:
            if not shape.is_switch:
                _place_ports(shape)
    for wire in wires:
        if not wire.gutters:
            _aim(wire.upper, wire.lower)
            _aim(wire.lower, wire.upper)
    for tier in tiers:
        _place_switches(tier)
    _part(wires)


def hops(wires: Sequence[Wire], tiers: Sequence[Tier], row_tiers: Sequence[int]) -> list[Hop]:
    """What each wire does in each channel it passes."""
    found = []
    for number, wire in enumerate(wires):
        inner = [_lane_x(wire, row, tiers, row_tiers) for row in range(wire.first, wire.last)]
        xs = [wire.upper.x, *inner, wire.lower.x]
        for step, (enter, leave) in enumerate(itertools.pairwise(xs)):
            bend = step == 0 and wire.upper.above
            found.append(Hop(number, wire.first + step, enter, leave, bend))
    return found


def tracks(channel: Sequence[Hop]) -> dict[Hop, int]:
    """The track on which each hop that runs sideways does so, the uppermost being 0.

    Those to the right, from the right; then those to the left, from the left; each below all it
    overlaps with that came before: neighbours from one node don't cross then.
    """
    right = sorted((hop for hop in channel if hop.enter < hop.leave), key=lambda hop: -hop.enter)
    left = sorted((hop for hop in channel if hop.enter > hop.leave), key=lambda hop: hop.enter)
    found: dict[Hop, int] = {}
    for hop in right + left:
        above = [track for other, track in found.items() if _overlap(hop, other)]
        found[hop] = max(above, default=-1) + 1
    for hop in channel:
        if hop.bend and hop.enter == hop.leave:
            found.setdefault(hop, 0)
    return found


def _overlap(one: Hop, other: Hop) -> bool:
    low, high = sorted((one.enter, one.leave))
    other_low, other_high = sorted((other.enter, other.leave))
    return low - CLEAR <= other_high and other_low - CLEAR <= high


def _centre(shape: Shape) -> int:
    return shape.x + shape.width // 2


def _choose_gutters(
    wire: Wire, seats: Mapping[str, Seat], tiers: Sequence[Tier], row_tiers: Sequence[int]
) -> None:
    """A gutter beside the lower node in its own tier, beside the upper one in that one's."""
    for row in range(wire.first, wire.last):
        tier = tiers[row_tiers[row]]
        at = _passed(wire, row_tiers[row], seats)
        if row > wire.first and row_tiers[row] == row_tiers[row - 1]:
            wire.gutters[row] = wire.gutters[row - 1]
            continue
        wire.gutters[row] = min((at.column, at.column + 1), key=lambda one: tier.lanes[one])
        tier.lanes[wire.gutters[row]] += 1


def _choose_lanes(
    wires: Sequence[Wire], seats: Mapping[str, Seat], row_tiers: Sequence[int]
) -> None:
    """In one gutter: who leaves it to the left first has the leftmost lane, and so on."""
    users: dict[tuple[int, int], list[Wire]] = {}
    for wire in wires:
        for level, gutter in {(row_tiers[row], gutter) for row, gutter in wire.gutters.items()}:
            users.setdefault((level, gutter), []).append(wire)
    for (level, gutter), sharing in users.items():

        def order(wire: Wire, level: int = level, gutter: int = gutter) -> tuple[bool, int]:
            at = _passed(wire, level, seats)
            to_the_left = at.column < gutter
            return not to_the_left, at.row if to_the_left else -at.row

        for lane, wire in enumerate(sorted(sharing, key=order)):
            wire.lanes[level] = lane


def _passed(wire: Wire, level: int, seats: Mapping[str, Seat]) -> Seat:
    """Beside which of its two nodes a wire passes the rows of a tier."""
    lower = seats[wire.lower.node.node.name]
    return lower if lower.tier == level else seats[wire.upper.node.node.name]


def _lane_x(wire: Wire, row: int, tiers: Sequence[Tier], row_tiers: Sequence[int]) -> int:
    level = row_tiers[row]
    return tiers[level].gutters[wire.gutters[row]] + LANE * wire.lanes[level]


def _aim(port: Port, at: Port) -> None:
    """Where the other end has a place of its own already, the link goes straight there."""
    if not at.node.is_switch:
        port.heading = at.x


def _place_ports(shape: Shape) -> None:
    """Each edge's ports in the middle of it, in the order of where their links go."""
    for above in (True, False):
        ports = sorted(shape.edge(above), key=lambda port: port.heading)
        x = _centre(shape) - (sum(port.room for port in ports) + BETWEEN * (len(ports) - 1)) // 2
        for port in ports:
            port.x = x + port.room // 2
            x += port.room + BETWEEN


def _place_switches(tier: Tier) -> None:
    """Switches are stretched over what they lead to, as far as their neighbours leave room."""
    alone = len(tier.rows) == 1
    for index, shape in enumerate(tier.shapes):
        if not shape.is_switch:
            continue
        if alone:
            before = tier.shapes[index - 1] if index else None
            after = tier.shapes[index + 1] if index + 1 < len(tier.shapes) else None
            _stretch(shape, before, after)
        for above in (True, False):
            _spread(shape, above)


def _stretch(shape: Shape, before: Shape | None, after: Shape | None) -> None:
    wanted = [(port.heading, port.room // 2) for port in shape.ports]
    low = min([shape.x, *(x - half - INSET for x, half in wanted)])
    high = max([shape.x + shape.width, *(x + half + INSET for x, half in wanted)])
    if before is not None:
        low = max(low, min(shape.x, before.x + before.width + 30))
    if after is not None:
        high = min(high, max(shape.x + shape.width, after.x - 30))
    shape.x, shape.stretched = low, high - low


def _spread(shape: Shape, above: bool) -> None:
    """A switch's ports straight before where their links go, or as near as there is room."""
    ports = sorted(shape.edge(above), key=lambda port: port.heading)
    low, high = shape.x + INSET, shape.x + shape.width - INSET
    rooms = [port.room for port in ports]
    wanted = [min(max(port.heading, low + port.room // 2), high - port.room // 2) for port in ports]
    for port, left in zip(ports, settled(wanted, rooms, SWITCH_BETWEEN), strict=True):
        left = max(left, low)
        low = left + port.room + SWITCH_BETWEEN
        port.x = left + port.room // 2
    for port in reversed(ports):
        port.x = min(port.x, high - port.room + port.room // 2)
        high = port.x - port.room // 2 - SWITCH_BETWEEN


def _part(wires: Sequence[Wire]) -> None:
    """Move ports a little where two links in one channel would stand on one upright line."""
    taken: dict[int, list[tuple[int, Wire]]] = {}
    for wire in wires:
        taken.setdefault(wire.last, []).append((wire.lower.x, wire))
    for wire in wires:
        others = [x for x, other in taken.get(wire.first, []) if other is not wire]
        port = wire.upper
        for step in (0, CLEAR, -CLEAR):
            if all(abs(port.x + step - x) >= CLEAR for x in others):
                port.x += step
                break
        taken.setdefault(wire.first, []).append((port.x, wire))
