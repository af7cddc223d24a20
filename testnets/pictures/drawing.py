"""A topology as a picture, in one of several formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from ..lab.forked import LabError
from ..spec.topology import Topology
from .dot import dot
from .mermaid import mermaid
from .picture import Live, Picture, picture
from .svg import svg

Format = Literal["svg", "mermaid", "dot"]

FORMATS: tuple[Format, ...] = get_args(Format)
_WRITERS: dict[str, Callable[[Picture], str]] = {"svg": svg, "mermaid": mermaid, "dot": dot}


def draw(topology: Topology, format: str, testnet: Live | None = None) -> str:
    """The picture of `topology` as text: "svg", "mermaid" (a flowchart), or "dot" (Graphviz).

    The addresses are those that would be given; where `testnet` is up, those that are there.
    The same topology gives the same text. Raises LabError for another format.
    """
    if format not in _WRITERS:
        raise LabError(f"There is no picture format {format!r}: use {', '.join(FORMATS)}.")
    return _WRITERS[format](picture(topology, testnet))
