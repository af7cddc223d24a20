"""Mistakes that tests must see: values, read from the files beside this one.

Each is a small patch, by exact text, and the tests of which every one has to fail for it. What they
guard is a promise that was once broken, or that nothing else would notice the breaking of.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TREE = HERE.parent.parent


@dataclass(frozen=True)
class Mutant:
    """In `file`, `old` (which is there once) becomes `new`; `why` is what then no longer holds."""

    name: str
    why: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self, tree: Path) -> str:
        """Why it can't be made in `tree`; "" where it can."""
        path = tree / self.file
        if not path.is_file():
            return f"{self.name}: there is no {self.file}"
        count = path.read_text().count(self.old)
        if count != 1:
            return f"{self.name}: its text is {count} times in {self.file}, and must be there once"
        return "" if self.old != self.new else f"{self.name}: it changes nothing"

    def mutated(self, tree: Path) -> str:
        return (tree / self.file).read_text().replace(self.old, self.new)


def known() -> list[Mutant]:
    """All of them, in the order of files and of what is in them."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            # A text of several lines is written between lines of its own.
            texts = {key: entry[key].removesuffix("\n") for key in ("old", "new")}
            found.append(Mutant(**{**entry, **texts, "tests": tuple(entry["tests"])}))
    return found
