"""A topology file as a topology, or all that is wrong with it, each with its line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .file_shapes import FileShapes
from .network_rules import network_notes
from .problems import Finding, Location, Problem, TopologyError, names_of
from .topology import Topology
from .validation import findings
from .wording import message_of
from .yaml_tree import Item, compose, item_of

__all__ = ["Problem", "TopologyError", "notes", "of_values", "parse", "read"]

_BY_NAME = ("nodes", "networks", "containers")
_LISTED = ("links", "generate", "checks")


def read(path: str | os.PathLike[str]) -> Topology:
    """The topology of a YAML file. Raises `TopologyError`."""
    return parse(_text(path), os.fspath(path))


def notes(path: str | os.PathLike[str]) -> list[Problem]:
    """What is right in a YAML file without mistakes, and often not what was meant.

    Raises `TopologyError` where it can't be read.
    """
    name = os.fspath(path)
    root, _ = compose(_text(path), name)
    reading = _Reading(FileShapes(name).topology(root), name)
    topology = reading.topology()
    return [reading.problem(note) for note in network_notes(topology)] if topology else []


_LIMIT = 8 << 20
"""Bytes of a file: as much as of a network's configuration."""


def _text(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            document = file.read(_LIMIT + 1)
        if len(document) > _LIMIT:
            message = f"it is larger than {_LIMIT >> 20} MiB"
            raise TopologyError([Problem(name, 0, "", message)])
        return document.decode()
    except OSError as error:
        raise TopologyError([Problem(name, 0, "", f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8: save the file as UTF-8"
        raise TopologyError([Problem(name, 0, "", message)]) from None


def parse(text: str, name: str = "topology") -> Topology:
    """The topology of a YAML text; `name` stands for the file in messages.

    Raises `TopologyError` with every problem that is found, not only the first one.
    """
    root, problems = compose(text, name)
    if root.value is None and not problems:
        problems.append(Problem(name, root.line, "", "nothing is in it: begin with nodes:"))
        raise TopologyError(problems)
    return _topology(root, problems, name)


def of_values(values: Mapping[str, object], name: str) -> Topology:
    """The topology of what a file holds, as Python has it: dicts, lists and scalars.

    `name` is what messages begin with. Raises `TopologyError`.
    """
    return _topology(item_of(values), [], name)


def _topology(root: Item, problems: list[Problem], name: str) -> Topology:
    shapes = FileShapes(name)
    shaped = shapes.topology(root)
    problems += shapes.problems
    if not isinstance(shaped.value, dict):
        raise TopologyError(problems)
    reading = _Reading(shaped, name)
    topology = reading.topology()
    problems += reading.problems
    if topology is not None:
        problems += [reading.problem(found) for found in findings(topology) if reading.sure(found)]
    if problems or topology is None:
        raise TopologyError(sorted(problems, key=lambda problem: problem.line))
    return topology


@dataclass
class _Reading:
    """Makes the model of the items; where that fails, of all the others, to check these too."""

    root: Item
    file: str
    problems: list[Problem] = field(default_factory=list)
    _bad: set[Location] = field(default_factory=set)
    """The entries in which something was reported."""
    _kept: dict[str, list[int]] = field(default_factory=dict)
    """The places of the entries of a list that are left, where some were taken out."""
    _incomplete: set[str] = field(default_factory=set)
    """The sections in which something could not be read."""

    def topology(self) -> Topology | None:
        """The model, or what is left of it without that which is wrong."""
        self._bad.update(_broken(self.root))
        topology = self._validated(self.root.plain())
        if self._bad:
            topology = self._validated(self._without_the_bad())
        return topology

    def problem(self, finding: Finding) -> Problem:
        """A finding, where it is in the file."""
        location = self._original(finding.location)
        item = _at(self.root, location)
        return Problem(self.file, item.line, item.where, finding.message)

    def sure(self, finding: Finding) -> bool:
        """Whether it would be found had everything been read."""
        read = _entry(self._original(finding.location)) not in self._bad
        return read and not self._incomplete.intersection(finding.relies_on)

    def _validated(self, values: object) -> Topology | None:
        try:
            return Topology.model_validate(values)
        except ValidationError as error:
            self._note(error)
            return None

    def _note(self, error: ValidationError) -> None:
        """What pydantic found, in the file's words; what was reported before is passed over."""
        for details in error.errors(include_url=False):
            location = self._original(details["loc"])
            self._bad.add(_entry(location))
            item = _at(self.root, location)
            if not item.broken:
                text = message_of(details)
                self.problems.append(Problem(self.file, item.line, item.where, text))

    def _without_the_bad(self) -> dict[str, Any]:
        """The values without those entries: by name they become empty, so that the name stays."""
        values: dict[str, Any] = self.root.plain()
        self._incomplete = {str(location[0]) for location in self._bad if location}
        for section in [*self._incomplete]:
            inside = values.pop(section)
            wrong = {
                location[1] for location in self._bad if location[0] == section and location[1:]
            }
            if section not in _BY_NAME or not wrong:
                self._incomplete.update(names_of(section))
            if section in _BY_NAME and wrong:
                values[section] = {key: {} if key in wrong else inside[key] for key in inside}
            elif section in _LISTED and wrong:
                self._kept[section] = [n for n in range(len(inside)) if n not in wrong]
                values[section] = [inside[n] for n in self._kept[section]]
        return values

    def _original(self, location: Location) -> Location:
        """The location before anything was taken out."""
        section, *rest = location or ("",)
        if section in self._kept and rest:
            return (section, self._kept[str(section)][int(rest[0])], *rest[1:])
        return location


def _entry(location: Location) -> Location:
    """The section, and the entry of it, that a location is in."""
    deep = location and location[0] in (*_BY_NAME, *_LISTED)
    return location[: 2 if deep else 1]


def _broken(item: Item, location: Location = ()) -> Iterator[Location]:
    """The entries in which something was reported already."""
    if item.broken:
        yield _entry(location)
    for key, inside in _inside(item.value):
        yield from _broken(inside, (*location, key))


def _inside(value: object) -> Iterable[tuple[str | int, Item]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _at(item: Item, location: Location) -> Item:
    """The item there, or the last one on the way: pydantic names things no file holds."""
    for key in location:
        inside = dict(_inside(item.value)).get(key)
        item = item if inside is None else inside
    return item
