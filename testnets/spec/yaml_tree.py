"""YAML text as values that know their line and the way to them.

Plain scalars are those of YAML 1.2's core schema: `on`, `no` and `8080:80` are texts. A key that
is there twice is a mistake, as the specification says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from .problems import Problem, TopologyError

_DEEPEST = 100
"""Values in each other."""
_MOST = 200_000
"""Values in a file: more is a mistake, or aliases that repeat each other."""

# YAML 1.2.2, section 10.3.2, tag resolution.
_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]{1,400}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (_NULL, lambda text: None),
    (_TRUE, lambda text: True),
    (_FALSE, lambda text: False),
    (_INTEGER, int),
    (_OCTAL, lambda text: int(text, 8)),
    (_HEX, lambda text: int(text, 16)),
    (_FLOAT, float),
    (_INFINITE, lambda text: float(text.replace(".", ""))),
)
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


@dataclass
class Item:
    """A value: None, a scalar, a list of items, items by name, or a value of the model.

    `line` is that of its key, where it has one. What is `broken` was reported already.
    """

    value: Any
    line: int
    where: str
    broken: bool = False

    def plain(self) -> Any:
        """Without the lines."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value

    def like(self, value: Any, *, broken: bool = False) -> Item:
        """Another value at the same place."""
        return Item(value, self.line, self.where, broken)


class _TooDeepError(Exception):
    """No topology is nested like this."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Leaves every scalar a text: which of them is a number is decided here."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 as in its base
    _depth = 0

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Called on the way into each value: libyaml's binding would recurse until it crashes."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _TooDeepError

    def ascend_resolver(self) -> None:
        self._depth -= 1


def item_of(value: object, where: str = "") -> Item:
    """Python's values as items, on no line."""
    if isinstance(value, Mapping):
        start = f"{where}." if where else ""
        inside = {str(key): item_of(each, f"{start}{key}") for key, each in value.items()}
        return Item(inside, 0, where)
    if isinstance(value, list | tuple):
        return Item([item_of(each, f"{where}[{n}]") for n, each in enumerate(value)], 0, where)
    return Item(value, 0, where)


def is_plain_text(text: str) -> bool:
    """Whether this, without quotes, is read as text."""
    return not any(pattern.fullmatch(text) for pattern, _ in _SCALARS)


def compose(text: str, file: str) -> tuple[Item, list[Problem]]:
    """The document, and what is wrong in it. Raises `TopologyError` where it is no YAML."""
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise TopologyError([_syntax(error, text, file)]) from None
    except _TooDeepError:
        raise TopologyError([Problem(file, 1, "", "too many brackets: close some")]) from None
    finally:
        if loader is not None:
            loader.dispose()
    tree = _Tree(file)
    return tree.item(root, 1, "") if root is not None else Item(None, 1, ""), tree.problems


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark, said = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:
        start = text[: getattr(error, "position", 0)]
        message = f"a character no YAML file may hold ({error}): leave it out"
        return Problem(file, start.count("\n") + 1, "", message.replace("\n", " "))
    lines = text.splitlines()
    if mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        advice = "indent with spaces, not with a tab"
    elif "document" in str(said):
        advice = "write one topology a file, without ---"
    else:
        advice = 'check indentation, brackets and quotes, and quote a text such as "a: b" or "@a"'
    line = min(mark.line + 1, len(lines))  # an end that is missing is missed after the last one
    return Problem(file, line, "", f"this is no YAML ({said}): {advice}")


class _Tree:
    """Walks the nodes of PyYAML."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._above: list[yaml.Node] = []
        self._count = 0

    def item(self, node: yaml.Node, line: int, where: str) -> Item:
        self._count += 1
        if self._count > _MOST:
            raise TopologyError([Problem(self._file, line, where, "too much: use generate")])
        if any(node is above for above in self._above):
            return self._wrong(line, where, "it holds itself (a cycle of aliases): write it out")
        if node.tag not in _TAGS:
            return self._wrong(line, where, f"the tag {node.tag} means nothing here: leave it out")
        if isinstance(node, yaml.ScalarNode):
            return Item(_scalar(node), line, where)
        self._above.append(node)
        try:
            return Item(self._inside(node, where), line, where)
        finally:
            self._above.pop()

    def _inside(self, node: yaml.Node, where: str) -> list[Item] | dict[str, Item]:
        if isinstance(node, yaml.SequenceNode):
            return [
                self.item(inner, _line(inner), f"{where}[{number}]")
                for number, inner in enumerate(node.value)
            ]
        return dict(self._pairs(node, where))

    def _pairs(self, node: yaml.Node, where: str) -> Iterator[tuple[str, Item]]:
        first: dict[str, int] = {}
        for key, inner in node.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode):
                self._wrong(line, where, "a key must be a word: check the brackets")
                continue
            inside = f"{where}.{key.value}" if where else key.value
            if key.value in first:
                before = f"it is on line {first[key.value]} already"
                self._wrong(line, inside, f'the key "{key.value}" is there twice; {before}: '
                            "leave one out, or put both into one")  # fmt: skip
                continue
            first[key.value] = line
            yield key.value, self.item(inner, line, inside)

    def _wrong(self, line: int, where: str, message: str) -> Item:
        self.problems.append(Problem(self._file, line, where, message))
        return Item(None, line, where, broken=True)


def _scalar(node: yaml.ScalarNode) -> object:
    text: str = node.value
    if node.style:  # quoted, or a block
        return text
    return next((read(text) for pattern, read in _SCALARS if pattern.fullmatch(text)), text)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
