"""The colours and fonts of an SVG picture, light and dark, as a style sheet.

Written out rule by rule, without CSS variables: what is not a browser (rsvg, Inkscape) reads it,
too, and draws the light one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LIGHT_TINTS = (
    ("#2563eb", "#e4edff"),
    ("#c2560c", "#ffeddc"),
    ("#15803d", "#def7e5"),
    ("#8b2fc9", "#f4e6ff"),
    ("#0e7490", "#d9f5fb"),
    ("#be185d", "#ffe3ef"),
    ("#6b7011", "#f5f6d2"),
    ("#57534e", "#eceae8"),
)
"""The line and the surface of each network; they come round again after the last."""
DARK_TINTS = (
    ("#7aa7ff", "#1b2b4d"),
    ("#f4a05e", "#43290f"),
    ("#66d08b", "#12351f"),
    ("#cd93f5", "#37194d"),
    ("#5cc8e0", "#0d3540"),
    ("#f585b3", "#481329"),
    ("#cfd35c", "#33350c"),
    ("#b8b2ab", "#2f2c29"),
)


@dataclass(frozen=True)
class Theme:
    """Colours by what they are for."""

    page: str
    ink: str
    dim: str
    link: str
    published: str
    published_surface: str
    surfaces: Mapping[str, tuple[str, str]]
    """(surface, edge) of each kind of box."""
    tints: tuple[tuple[str, str], ...]


LIGHT = Theme(
    page="#ffffff",
    ink="#16202e",
    dim="#5a6879",
    link="#5f6f84",
    published="#b4232a",
    published_surface="#ffe9e8",
    surfaces={
        "host": ("#f5f7fa", "#9aa8ba"),
        "router": ("#fdf6e3", "#c49b3a"),
        "switch": ("#e9eef5", "#7d8fa6"),
        "external": ("#f0ecfb", "#8c78c6"),
        "container": ("#ffffff", "#a9b5c4"),
        "frame": ("#ffffff", "#a9b5c4"),
        "small": ("#f5f7fa", "#c2ccd8"),
        "interface": ("#ffffff", "#7d8fa6"),
        "label": ("#ffffff", "#b9c4d1"),
    },
    tints=LIGHT_TINTS,
)
DARK = Theme(
    page="#0f1520",
    ink="#e8edf4",
    dim="#9fadbf",
    link="#8a9bb2",
    published="#ff8a85",
    published_surface="#45191b",
    surfaces={
        "host": ("#182130", "#4a5b72"),
        "router": ("#2b2412", "#a07f30"),
        "switch": ("#1f2c3f", "#667991"),
        "external": ("#241d3b", "#7b68b4"),
        "container": ("#0f1520", "#4d5f77"),
        "frame": ("#0f1520", "#4d5f77"),
        "small": ("#182130", "#3b4a5e"),
        "interface": ("#0f1520", "#667991"),
        "label": ("#0f1520", "#4a5b72"),
    },
    tints=DARK_TINTS,
)

FONTS = """\
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
text.mono, text.small { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
text.title { font-size: 20px; font-weight: 700; }
text.subtitle { font-size: 12px; }
text.node { font-size: 15px; font-weight: 700; }
text.name { font-size: 12px; font-weight: 700; }
text.kind { font-size: 11px; }
text.mono { font-size: 11px; }
text.small { font-size: 10px; }
polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
polyline.published { stroke-dasharray: 5 3; }
rect.external { stroke-dasharray: 6 3; }
"""


def style_sheet() -> str:
    """The whole sheet: fonts, the light theme, and the dark one where the reader prefers it."""
    dark = "".join("  " + rule for rule in _rules(DARK))
    return f"{FONTS}{''.join(_rules(LIGHT))}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _rules(theme: Theme) -> list[str]:
    rules = [
        f".page {{ fill: {theme.page}; }}",
        f"text {{ fill: {theme.ink}; }}",
        f"text.kind, text.subtitle, text.small {{ fill: {theme.dim}; }}",
        f"polyline {{ stroke: {theme.link}; }}",
        f"polyline.published {{ stroke: {theme.published}; }}",
        f"polygon.published {{ fill: {theme.published}; }}",
        f"rect.published {{ fill: {theme.published_surface}; stroke: {theme.published}; }}",
    ]
    for kind, (surface, edge) in theme.surfaces.items():
        rules.append(f"rect.{kind} {{ fill: {surface}; stroke: {edge}; }}")
    for number, (edge, surface) in enumerate(theme.tints):
        rules.append(f"rect.tint{number} {{ fill: {surface}; stroke: {edge}; }}")
        rules.append(f"polyline.tint{number} {{ stroke: {edge}; }}")
    return [rule + "\n" for rule in rules]
