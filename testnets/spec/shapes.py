"""The shapes that files are made of: keys, names, lists, texts; what has another one is noted.

What is no leaf is checked here, so that a wrong key is reported at its own place, and not as
what else the whole might have been. Leaves are the model's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .problems import Problem, instead, quoted
from .yaml_tree import Item

Reader = Callable[[Item], Item]
Keys = Mapping[str, tuple[str, Reader]]
"""By the key of the file: the field of the model, and who reads it."""


class Shapes:
    """The basic shapes; `problems` are those found so far."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file

    def wrong(self, item: Item, message: str) -> Item:
        """The mistake is noted, and the item not looked at any more."""
        self.problems.append(Problem(self._file, item.line, item.where, message))
        return item.like(None, broken=True)

    def leaf(self, item: Item) -> Item:
        """A value the model checks."""
        return item

    def text(self, item: Item) -> Item:
        """A text; a number counts as one."""
        if isinstance(item.value, bool):
            return item.like(str(item.value).lower())
        return item.like(str(item.value)) if isinstance(item.value, int | float) else item

    def texts(self, item: Item) -> Item:
        """A list of texts, or one of them."""
        return self.listed(item, self.text)

    def listed(self, item: Item, reader: Reader) -> Item:
        """A list, or the only one of it."""
        if item.value is None:
            return item.like([], broken=item.broken)
        inside = item.value if isinstance(item.value, list) else [item]
        return item.like([reader(each) for each in inside])

    def named(self, item: Item, reader: Reader) -> Item:
        """Anything by name."""
        if item.value is None:
            return item.like({}, broken=item.broken)
        if not isinstance(item.value, dict):
            return self.wrong(item, "there must be names here, each with a colon: h1: ...")
        return item.like({name: reader(inside) for name, inside in item.value.items()})

    def keyed(self, item: Item, keys: Keys, what: str) -> Item:
        """The keys of one thing."""
        if item.broken:
            return item
        if item.value is None:
            return item.like({})
        if not isinstance(item.value, dict):
            return self.wrong(item, f"{what} has keys ({', '.join(keys)}), not {kind_of(item)}")
        fields = {}
        for key, inside in item.value.items():
            if key in keys:
                field, reader = keys[key]
                fields[field] = reader(inside) if not inside.broken else inside
            else:
                self.unknown(inside, key, keys, what)
        return item.like(fields)

    def unknown(self, item: Item, key: str, known: Iterable[str], what: str) -> None:
        """A key that there isn't."""
        self.wrong(item, f"{what} has no key {quoted(key)}{instead(key, list(known))}")

    def noted(self, parse: Callable[[str], object]) -> Reader:
        """A text that a function reads; the ValueError it raises says what is wrong."""

        def read(item: Item) -> Item:
            text = self.text(item)
            if item.broken:
                return item
            if not isinstance(text.value, str):
                return self.wrong(item, f"there must be a text here, not {kind_of(item)}")
            try:
                return item.like(parse(text.value))
            except ValueError as error:
                return self.wrong(item, str(error))

        return read


def kind_of(item: Item) -> str:
    """What it is, for who expected something else."""
    kinds = {list: "a list", dict: "keys", type(None): "nothing"}
    return kinds.get(type(item.value), quoted(item.value))
