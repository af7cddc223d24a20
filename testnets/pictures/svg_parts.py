"""The small boxes of an SVG picture: interfaces, containers, bars of networks, published ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .picture import DrawnContainer, DrawnInterface, DrawnLink, DrawnNetwork, DrawnPort
from .svg_shapes import KIND, MONO, NAME, NEUTRAL, SMALL, Box, Font, Text, fitted, measure

Tints = Mapping[str, int]
"""Which colour each container network has."""

PAD = 8
TEXT_LIMIT = 260
SMALL_LIMIT = 120


def interface(shown: DrawnInterface, tint: int = NEUTRAL) -> Box:
    """A tab for the edge of what has the interface: its name, then an address a line."""
    lines = [shown.name, *shown.addresses] if shown.name else list(shown.addresses)
    tooltip = " ".join(filter(None, (shown.name, shown.network, *shown.addresses)))
    return tab("interface", lines, tint, tooltip)


def tab(kind: str, lines: Sequence[str], tint: int = NEUTRAL, tooltip: str = "") -> Box:
    """Monospaced lines, centred, the first of them in a style of its own."""
    fonts = [KIND if number == 0 and len(lines) > 1 else MONO for number in range(len(lines))]
    return _written(kind, lines, fonts, tint, tooltip)


def port(shown: DrawnPort) -> Box:
    """A published port, for the right edge of its host."""
    text = f"{shown.outside} → {shown.inside}"
    return tab("published", [text], tooltip=f"{text} of {shown.container}")


def link_label(link: DrawnLink) -> Box | None:
    """What is unusual about a link, to stand on its line; None where nothing is."""
    if not link.remarks:
        return None
    return _written("label", [" · ".join(link.remarks)], [SMALL], NEUTRAL, "")


def network_bar(shown: DrawnNetwork, tint: int) -> Box:
    """A bridge: name, interface and subnets on one line; as wide as that needs."""
    facts = " · ".join(filter(None, (shown.bridge, *shown.subnets)))
    parts = [(shown.name, NAME), (facts, MONO), (", ".join(shown.remarks), KIND)]
    texts = []
    x = PAD + 4
    for content, font in parts:
        if content:
            cut = fitted(content, font, 2 * TEXT_LIMIT)
            texts.append(Text(cut, font, x, (26 - font.line) // 2))
            x += measure(cut, font) + 12
    tooltip = " ".join(filter(None, (shown.name, facts, *shown.remarks)))
    return Box("network", x - 12 + PAD + 4, 26, tint=tint, tooltip=tooltip, texts=tuple(texts))


def container(shown: DrawnContainer, tints: Tints, with_ports: bool) -> Box:
    """A container in full: a tab for each interface on its upper edge, then name and command."""
    lines = [(shown.name, NAME), (shown.command, SMALL)]
    if with_ports:
        lines += [(f"{one.outside} → {one.inside}", SMALL) for one in shown.ports]
    lines = [(fitted(text, font, TEXT_LIMIT), font) for text, font in lines if text]
    tabs = [interface(one, tints[one.network]) for one in shown.interfaces]
    tabs_width = sum(box.width + PAD for box in tabs)
    width = max([tabs_width + PAD, 64, *(measure(text, font) + 2 * PAD for text, font in lines)])
    tabs = side_by_side(tabs, (width - tabs_width + PAD) // 2)
    y = max((box.height for box in tabs), default=0) + 5
    texts = []
    for text, font in lines:
        texts.append(Text(text, font, width // 2, y, middle=True))
        y += font.line
    return Box(
        "container", width, y + 5, tooltip=_about(shown), children=tuple(tabs), texts=tuple(texts)
    )


def small_container(shown: DrawnContainer) -> Box:
    """One of very many: its name, and where known what it can be told from the others by."""
    lines = [(shown.name, NAME)]
    addresses = [address for one in shown.interfaces for address in one.addresses]
    lines += [(address.partition("/")[0], SMALL) for address in addresses[:1]]
    lines += [(f"{one.outside} → {one.inside}", SMALL) for one in shown.ports[:1]]
    texts = [fitted(text, font, SMALL_LIMIT) for text, font in lines]
    return _written("small", texts, [font for _, font in lines], NEUTRAL, _about(shown))


def widened(box: Box, width: int) -> Box:
    """`box` at another width; its tabs, and what is centred in it, are centred again."""
    shift = (width - box.width) // 2
    tabs = tuple(child.at(child.x + shift, child.y) for child in box.children)
    texts = tuple(
        Text(text.content, text.font, width // 2 if text.middle else text.x, text.y, text.middle)
        for text in box.texts
    )
    return Box(box.kind, width, box.height, box.x, box.y, box.tint, box.tooltip, tabs, texts)


def side_by_side(boxes: Sequence[Box], x: int, y: int = 0) -> list[Box]:
    """In a row that begins at (x, y)."""
    placed = []
    for box in boxes:
        placed.append(box.at(x, y))
        x += box.width + PAD
    return placed


def _written(
    kind: str, lines: Sequence[str], fonts: Sequence[Font], tint: int, tooltip: str
) -> Box:
    texts = [fitted(line, font, TEXT_LIMIT) for line, font in zip(lines, fonts, strict=True)]
    width = max((measure(text, font) for text, font in zip(texts, fonts, strict=True)), default=0)
    width += 12
    placed = []
    y = 3
    for text, font in zip(texts, fonts, strict=True):
        placed.append(Text(text, font, width // 2, y, middle=True))
        y += font.line
    return Box(kind, width, y + 3, tint=tint, tooltip=tooltip, texts=tuple(placed))


def _about(shown: DrawnContainer) -> str:
    facts = [shown.name]
    facts += [
        " ".join(filter(None, (one.name, one.network, *one.addresses))) for one in shown.interfaces
    ]
    facts += [f"{one.outside} → {one.inside}" for one in shown.ports]
    return ", ".join(filter(None, (*facts, shown.command)))
