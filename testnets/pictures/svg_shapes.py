"""What an SVG picture consists of: boxes within boxes, texts whose room is known, lines.

No font is at hand to measure with. So a text's width is an upper bound, which holds for the widest
of the fonts a browser may take (DejaVu), and what is laid out by it never overflows.
"""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, replace

from .picture import readable

NEUTRAL = -1
"""The tint of what belongs to no network."""


@dataclass(frozen=True)
class Font:
    """`name` is the style's class; `size` in pixels."""

    name: str
    size: int
    mono: bool = False

    @property
    def line(self) -> int:
        """Pixels from one line to the next."""
        return self.size + 4


TITLE = Font("title", 20)
SUBTITLE = Font("subtitle", 12)
NODE = Font("node", 15)
NAME = Font("name", 12)
KIND = Font("kind", 11)
MONO = Font("mono", 11, mono=True)
SMALL = Font("small", 10, mono=True)


@dataclass(frozen=True)
class Text:
    """`x` is its left edge, or where `middle` its centre; `y` its upper edge."""

    content: str
    font: Font
    x: int
    y: int
    middle: bool = False

    @property
    def width(self) -> int:
        return measure(self.content, self.font)

    @property
    def left(self) -> int:
        return self.x - self.width // 2 if self.middle else self.x


@dataclass(frozen=True)
class Line:
    """Straight pieces through `points`; `arrow` at the last. `kind` is the style's class."""

    kind: str
    points: tuple[tuple[int, int], ...]
    tint: int = NEUTRAL
    arrow: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle and what is in it, in coordinates from its own upper left corner."""

    kind: str
    width: int
    height: int
    x: int = 0
    y: int = 0
    tint: int = NEUTRAL
    tooltip: str = ""
    children: tuple[Box, ...] = ()
    texts: tuple[Text, ...] = ()
    lines: tuple[Line, ...] = ()

    def at(self, x: int, y: int) -> Box:
        return replace(self, x=x, y=y)

    @property
    def centre(self) -> int:
        """The middle of its upper and lower edge, in its parent's coordinates."""
        return self.x + self.width // 2


def measure(content: str, font: Font) -> int:
    """The most pixels that `content` may take."""
    widths = _mono_width if font.mono else _sans_width
    return math.ceil(sum(widths(char) for char in content) * font.size)


def fitted(content: str, font: Font, limit: int) -> str:
    """`content` in readable form, cut with an ellipsis where it takes more than `limit` pixels."""
    content = readable(content)
    if measure(content, font) <= limit:
        return content
    # No character takes less than nothing: the more are kept, the wider it gets.
    counts = range(1, min(len(content), limit) + 1)
    kept = bisect_right(counts, limit, key=lambda count: measure(content[:count] + "…", font))
    return content[:kept] + "…"


def _mono_width(char: str) -> float:
    return 0.61 if " " <= char <= "~" or char in "·→…" else _foreign_width(char)


def _sans_width(char: str) -> float:
    if not " " <= char <= "~":
        return _foreign_width(char)
    if char in " !'(),-./:;I[]fijlrt|":
        return 0.52
    if char in "%@MWmw":
        return 1.11
    return 0.88 if char.isupper() or not char.isalnum() else 0.72


def _foreign_width(char: str) -> float:
    return 1.4 if unicodedata.east_asian_width(char) in "WF" else 1.25
