"""What is wrong with a topology: where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..lab.forked import LabError

Location = tuple[str | int, ...]
_NAMED = 12
"""How many names are listed where one of them is to be chosen."""


@dataclass(frozen=True)
class Problem:
    """One mistake. `where` is the way to it through the file's keys: "checks[2].tcp.from".

    `line` counts from 1, and is 0 where there is none: the topology was not read from a file.
    """

    file: str
    line: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.where, self.message) if part)


class TopologyError(LabError):
    """A topology can't be brought up as it is; `problems` are all that was found, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[TopologyError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True)
class Finding:
    """A mistake by the place in the model where it is.

    `relies_on` are the sections it is judged by, or `names_of` them: where one of these could not
    be read, it may be no mistake.
    """

    location: Location
    message: str
    relies_on: tuple[str, ...] = ()


def names_of(*sections: str) -> tuple[str, ...]:
    """That no more is relied on than the names in these sections."""
    return tuple(f"names of {section}" for section in sections)


def where(location: Location) -> str:
    """The location in words."""
    text = ""
    for key in location:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def no_such(what: str, word: str, known: Collection[str]) -> str:
    """That there is no such thing, and which one may be meant."""
    return f"there is no {what} {quoted(word)}{instead(word, known)}"


def instead(word: str, known: Collection[str]) -> str:
    """What may be meant by a word that isn't known."""
    close = difflib.get_close_matches(word, known, 1)
    if close:
        return f"; did you mean {quoted(close[0])}?"
    if not known:
        return ""
    listed = [*known][:_NAMED]
    more = ", ..." if len(known) > len(listed) else ""
    return f"; write {'one of ' if len(known) > 1 else ''}{', '.join(listed)}{more}"


def quoted(value: object) -> str:
    """As it would be written in a file."""
    return f'"{value}"' if isinstance(value, str) else str(value)
