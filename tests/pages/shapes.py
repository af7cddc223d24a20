"""Whether what a command has printed looks like what a page shows."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SHAPES = (
    (re.compile(r"(?<=\bveth)[0-9a-f]+\b"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+Z?"), "<time>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:/\d+)?(?![\w:])"), "<inet-six>"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+(?:/\d+)?"), "<inet>"),
    (re.compile(r"\b(?=[a-z]*\d)[0-9a-f]{8,}\b"), "<id>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<n>"),
    (re.compile(r"\s+"), " "),
)
ANYTHING = "..."


def shape(line: str) -> str:
    """The line with times, addresses, numbers and ids as such, and one blank for many."""
    for pattern, name in _SHAPES:
        line = pattern.sub(name, line)
    return line.strip()


def alike(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether each line is of the shape shown; `...` is any lines, or the rest of one."""
    if not shown:
        return not printed
    first, rest = shape(shown[0]), shown[1:]
    if first == ANYTHING:
        return any(alike(rest, printed[skipped:]) for skipped in range(len(printed) + 1))
    if not printed:
        return False
    actual = shape(printed[0])
    if first.endswith(ANYTHING):
        same = actual.startswith(first.removesuffix(ANYTHING).rstrip())
    else:
        same = actual == first
    return same and alike(rest, printed[1:])
