"""Finds code that stands twice: eight or more lines in a row, the same but for layout.

Blank lines, comments, imports and lines of brackets alone don't count. Exit status 1 where
something is found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

WINDOW = 8
_NOTHING = re.compile(r"(#.*|//.*|/?\*.*|import .*|from .* import .*|#include.*|[\])}({\[,;:]*)$")


class Line(NamedTuple):
    path: Path
    number: int
    text: str


def lines_of(path: Path) -> list[Line]:
    """The lines that count, each without its layout."""
    texts = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    stripped = ((number, re.sub(r"\s+", " ", text).strip()) for number, text in texts)
    return [Line(path, n, text) for n, text in stripped if text and not _NOTHING.match(text)]


def duplicates(files: list[Path]) -> list[tuple[list[Line], list[Line]]]:
    """Each pair of longest runs of the same lines, the earlier one first."""
    every = [lines_of(path) for path in files]
    seen: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    found = []
    covered: set[tuple[int, int, int]] = set()
    for which, lines in enumerate(every):
        for start in range(len(lines) - WINDOW + 1):
            key = tuple(line.text for line in lines[start : start + WINDOW])
            for other, first in seen[key]:
                if (other, which, start - first) not in covered:
                    covered.add((other, which, start - first))
                    found.append(_longest(every[other][first:], lines[start:]))
            seen[key].append((which, start))
    return [pair for pair in found if not _overlap(*pair)]


def _longest(one: list[Line], other: list[Line]) -> tuple[list[Line], list[Line]]:
    length = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine.text != theirs.text:
            break
        length += 1
    return one[:length], other[:length]


def _overlap(one: list[Line], other: list[Line]) -> bool:
    """Whether it is one run that repeats itself, like a table."""
    return one[0].path == other[0].path and one[-1].number >= other[0].number


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.py", "*.c"], capture_output=True, check=True, text=True
    )
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    found = duplicates([path for path in files if path.is_file() and not path.is_symlink()])
    for one, other in found:
        places = " = ".join(
            f"{run[0].path}:{run[0].number}-{run[-1].number}" for run in (one, other)
        )
        print(f"{len(one)} lines twice: {places}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
