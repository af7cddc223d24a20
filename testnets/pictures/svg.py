"""A picture as SVG text: one file that needs nothing else, neither fonts nor scripts."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from .picture import Picture, readable
from .svg_layout import layout
from .svg_shapes import NEUTRAL, Box, Line, Text
from .svg_style import LIGHT_TINTS, style_sheet

CORNERS = {"host": 10, "router": 10, "external": 18, "switch": 6, "label": 8}
"""How round a kind of box is, in pixels; others have 4."""
UNSEEN = ("picture", "inside")


def svg(picture: Picture) -> str:
    """The picture in SVG 1.1, in ASCII, so that it may be written in any encoding."""
    whole = layout(picture)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole.width}" height="{whole.height}"'
        f' viewBox="0 0 {whole.width} {whole.height}" role="img">\n'
        f"<title>{escape(readable(picture.name))}</title>\n"
        f"<desc>{escape(readable(picture.description or picture.census))}</desc>\n"
        f"<style>\n{style_sheet()}</style>\n"
        f'<rect class="page" width="{whole.width}" height="{whole.height}"/>\n'
    )
    text = head + "".join(f"{line}\n" for line in _box(whole)) + "</svg>\n"
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _box(box: Box) -> Iterator[str]:
    """Itself, then its lines, so that what is in it covers their ends, then what is in it."""
    move = f' transform="translate({box.x} {box.y})"' if box.x or box.y else ""
    yield f"<g{move}>"
    if box.tooltip:
        yield f"<title>{escape(readable(box.tooltip))}</title>"
    if box.kind not in UNSEEN:
        yield (
            f'<rect class={quoteattr(_class(box.kind, box.tint))} width="{box.width}"'
            f' height="{box.height}" rx="{CORNERS.get(box.kind, 4)}"/>'
        )
    for line in box.lines:
        yield from _line(line)
    for child in box.children:
        yield from _box(child)
    for text in box.texts:
        yield _text(text)
    yield "</g>"


def _line(line: Line) -> Iterator[str]:
    points = " ".join(f"{x},{y}" for x, y in line.points)
    yield f'<polyline class="{_class(line.kind, line.tint)}" points="{points}"/>'
    if line.arrow:
        x, y = line.points[-1]
        yield f'<polygon class="{line.kind}" points="{x},{y} {x - 4},{y + 7} {x + 4},{y + 7}"/>'


def _text(text: Text) -> str:
    anchor = ' text-anchor="middle"' if text.middle else ""
    return (
        f'<text class="{text.font.name}" x="{text.x}" y="{text.y + text.font.size}"{anchor}>'
        f"{escape(text.content)}</text>"
    )


def _class(kind: str, tint: int) -> str:
    return kind if tint == NEUTRAL else f"{kind} tint{tint % len(LIGHT_TINTS)}"
