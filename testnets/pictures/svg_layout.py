"""Where everything in an SVG picture stands: pure, and the same for the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .picture import Picture
from .svg_node import shapes
from .svg_rows import Tier, place, seats, wrapped
from .svg_shapes import SUBTITLE, TITLE, Box, Line, Text, fitted, measure
from .svg_wires import Hop, Wire, hops, meet, tracks, wired
from .tiers import neighbours, tiers

EDGE = 30
"""Pixels around everything."""
TRACK = 10
ROOM = 18
"""Pixels between nodes and the nearest track."""
LABEL_GAP = 6


def layout(picture: Picture) -> Box:
    """The whole picture as one box, from (0, 0)."""
    tints = {name: number for number, name in enumerate(picture.networks)}
    known = shapes({node.name: node for node in picture.nodes}, picture.links, tints)
    levels = wrapped(tiers(picture), known)
    row_tiers = [number for number, tier in enumerate(levels) for _ in tier.rows]
    wires = wired(picture.links, known, seats(levels), levels, row_tiers)
    place(levels, neighbours(picture))
    meet(wires, levels, row_tiers)
    crossings = hops(wires, levels, row_tiers)
    heading = _heading(picture)
    nodes, lines, labels = _stacked(
        levels, wires, crossings, heading[-1].y + heading[-1].font.line + ROOM
    )
    return _framed(heading, nodes + labels, lines)


def _heading(picture: Picture) -> list[Text]:
    texts = [Text(fitted(picture.name, TITLE, 900), TITLE, 0, 0)]
    for content in (picture.description, picture.census):
        if content:
            below = texts[-1].y + texts[-1].font.line + 4
            texts.append(Text(fitted(content, SUBTITLE, 900), SUBTITLE, 0, below))
    return texts


def _stacked(
    levels: Sequence[Tier], wires: Sequence[Wire], crossings: Sequence[Hop], top: int
) -> tuple[list[Box], list[Line], list[Box]]:
    """Rows and channels from top to bottom: nodes, links, and the links' labels."""
    rows = [row for tier in levels for row in tier.rows]
    nodes: list[Box] = []
    tops: list[int] = []
    bottoms: dict[str, int] = {}
    track_y: dict[Hop, int] = {}
    y = top
    for number, row in enumerate(rows):
        channel = [hop for hop in crossings if hop.channel == number]
        y = _channel(channel, wires, number, y, track_y)
        tops.append(y)
        nodes += [shape.drawn(y) for shape in row]
        for shape in row:
            bottoms[shape.node.name] = y + shape.height
        y += max(shape.height for shape in row)
    last = [hop for hop in crossings if hop.channel == len(rows)]
    _channel(last, wires, len(rows), y, track_y)
    ways: list[list[Hop]] = [[] for _ in wires]
    for hop in crossings:
        ways[hop.wire].append(hop)
    lines, labels = [], []
    for index, wire in enumerate(wires):
        own = ways[index]
        start = tops[wire.first] if wire.upper.above else bottoms[wire.upper.node.node.name]
        lines.append(_line(own, track_y, start, tops[wire.last]))
        if wire.label:
            left = wire.lower.x - wire.label.width // 2
            labels.append(wire.label.at(left, tops[wire.last] - LABEL_GAP - wire.label.height))
    return nodes, lines, labels


def _channel(
    channel: Sequence[Hop], wires: Sequence[Wire], number: int, y: int, track_y: dict[Hop, int]
) -> int:
    """Lay out one channel below `y`: where its tracks are, and where the next row begins."""
    if not channel:
        return y + (2 * ROOM if number else 0)
    found = tracks(channel)
    y += ROOM
    for hop, track in found.items():
        track_y[hop] = y + TRACK * track
    y += TRACK * max(found.values(), default=0) + ROOM
    labels = [wire.label.height for wire in wires if wire.label and wire.last == number]
    return y + max((height + LABEL_GAP for height in labels), default=0)


def _line(own: Sequence[Hop], track_y: dict[Hop, int], start: int, end: int) -> Line:
    points = [(own[0].enter, start)]
    for hop in own:
        if hop in track_y:
            points += [(hop.enter, track_y[hop]), (hop.leave, track_y[hop])]
    points.append((own[-1].leave, end))
    return Line("link", tuple(points))


def _framed(heading: Sequence[Text], boxes: Sequence[Box], lines: Sequence[Line]) -> Box:
    """Everything moved to where the picture's corner is (0, 0), with an edge around it."""
    xs = [box.x for box in boxes] + [x for line in lines for x, _ in line.points]
    left = min(xs, default=0)
    right = max(
        [
            *(box.x + box.width for box in boxes),
            *(x for line in lines for x, _ in line.points),
            left + 260,
            *(left + measure(text.content, text.font) for text in heading),
        ]
    )
    bottom = max([box.y + box.height for box in boxes], default=80)
    move = EDGE - left
    return Box(
        "picture",
        right - left + 2 * EDGE,
        bottom + 2 * EDGE,
        children=tuple(box.at(box.x + move, box.y + EDGE) for box in boxes),
        texts=tuple(replace(text, x=EDGE, y=text.y + EDGE) for text in heading),
        lines=tuple(
            replace(line, points=tuple((x + move, y + EDGE) for x, y in line.points))
            for line in lines
        ),
    )
