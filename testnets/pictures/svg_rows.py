"""Nodes of an SVG picture in rows: where a tier is wrapped, and who stands how far to the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .svg_node import Shape

GAP = 40
"""Pixels between two nodes of a row."""
LANE = 14
"""Pixels more for each link that passes between them."""
WIDEST_ROW = 1700
SHAPE = 1.8
"""How wide a wrapped tier is, compared with its height."""


@dataclass
class Tier:
    """Nodes as far from the containers, in rows of `columns` each.

    `lanes` says how many links pass each gutter: before the first column, between the first and
    the second ... after the last.
    """

    shapes: list[Shape]
    columns: int
    lanes: list[int] = field(default_factory=list)
    gutters: list[int] = field(default_factory=list)
    """Where each gutter's first lane is."""

    @property
    def rows(self) -> list[list[Shape]]:
        size = max(self.columns, 1)
        return [self.shapes[at : at + size] for at in range(0, len(self.shapes), size)]


@dataclass(frozen=True)
class Seat:
    """Where a node stands: its tier, its row among all rows of the picture, its column."""

    tier: int
    row: int
    column: int


def wrapped(levels: Sequence[Sequence[str]], shapes: Mapping[str, Shape]) -> list[Tier]:
    """The tiers, each in as many rows as keep the picture in shape."""
    found = []
    for names in levels:
        members = [shapes[name] for name in names]
        wide = _columns(members)
        found.append(Tier(members, wide, [0] * (wide + 1)))
    return found


def seats(tiers: Sequence[Tier]) -> dict[str, Seat]:
    """Each node's seat, by name."""
    found = {}
    row = 0
    for level, tier in enumerate(tiers):
        for members in tier.rows:
            for column, shape in enumerate(members):
                found[shape.node.name] = Seat(level, row, column)
            row += 1
    return found


def settled(wanted: Sequence[int], widths: Sequence[int], gap: int) -> list[int]:
    """Left edges, in the order given and without overlap, as near to `wanted` as can be.

    What would overlap is put side by side, where it is least far from its wanted centres.
    """
    groups: list[list[int]] = []
    for centre, width in zip(wanted, widths, strict=True):
        group = [centre - width // 2, 1, width + gap]
        while groups and groups[-1][0] // groups[-1][1] + groups[-1][2] > group[0] // group[1]:
            total, count, length = groups.pop()
            group = [total + group[0] - length * group[1], count + group[1], length + group[2]]
        groups.append(group)
    placed: list[int] = []
    for total, count, _ in groups:
        left = total // count
        for width in widths[len(placed) : len(placed) + count]:
            placed.append(left)
            left += width + gap
    return placed


def place(tiers: Sequence[Tier], joined: Mapping[str, Sequence[str]]) -> None:
    """Give every node its `x`, from the lowest tier upwards, each above what it is linked to."""
    known: dict[str, Shape] = {}
    for tier in reversed(tiers):
        if len(tier.rows) > 1 or not known:
            _place_table(tier)
        else:
            _place_row(tier, joined, known)
        known.update((shape.node.name, shape) for shape in tier.shapes)


def _columns(members: Sequence[Shape]) -> int:
    """One row where it fits; else what comes near a pleasant shape and leaves few seats empty."""
    count = len(members)
    widths = [shape.width + GAP for shape in members]
    heights = [shape.height + GAP for shape in members]
    if sum(widths) <= WIDEST_ROW:
        return count

    def badness(wide: int) -> float:
        width = sum(_widest_by_column(widths, wide))
        rows = [max(heights[at : at + wide]) for at in range(0, count, wide)]
        empty = wide * len(rows) - count
        return abs(math.log(width / sum(rows) / SHAPE)) + 1.5 * empty / count

    return min(range(1, count + 1), key=badness)


def _widest_by_column(widths: Sequence[int], wide: int) -> list[int]:
    return [max(widths[column::wide]) for column in range(wide)]


def _place_table(tier: Tier) -> None:
    """Columns as wide as their widest, around 0; and the gutters between them."""
    widths = _widest_by_column([shape.width for shape in tier.shapes], tier.columns)
    spaces = [GAP + LANE * lanes for lanes in tier.lanes]
    x = -(sum(widths) + sum(spaces[1:-1])) // 2 - spaces[0]
    tier.gutters = []
    for column, space in enumerate(spaces):
        tier.gutters.append(x + GAP // 2 + LANE // 2)
        x += space
        if column < tier.columns:
            for shape in tier.shapes[column :: tier.columns]:
                shape.x = x + (widths[column] - shape.width) // 2
            x += widths[column]


def _place_row(tier: Tier, joined: Mapping[str, Sequence[str]], known: Mapping[str, Shape]) -> None:
    wanted = []
    for shape in tier.shapes:
        below = [known[name] for name in joined[shape.node.name] if name in known]
        centres = [other.x + other.width // 2 for other in below]
        wanted.append(sum(centres) // len(centres) if centres else 0)
    widths = [shape.width for shape in tier.shapes]
    for shape, x in zip(tier.shapes, settled(wanted, widths, GAP), strict=True):
        shape.x = x
