"""Keys of JSON objects, matched as the reference matches them: exactly, else in any case.

Go's encoding/json takes `"SUBNET"` for `"subnet"`, so configurations with sloppy keys
work today. Rules that hold here:
- The exact spelling wins; a second spelling beside it is an unknown key, and kept.
- null is no value: a known key that holds it counts as absent.
- Of a key written twice the last value counts, but it is known: some plugin may not have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..model.errors import ConfigError


class Keys:
    """The known keys of one kind of object, in their own spelling."""

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)
        self._spelling = {name.lower(): name for name in names}

    def fold(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """`document` with its known keys in their own spelling, and without their nulls."""
        folded = {}
        for key, value in document.items():
            name = key if key in self.names else self._spelling.get(key.lower(), key)
            if name != key and name in document:
                name = key
            if value is not None or name not in self.names:
                folded[name] = value
        return folded


class WithRepeats(dict[str, Any]):
    """An object in which keys were written twice: `repeated` are those. The last one counts."""

    repeated: tuple[str, ...] = ()


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, as a JSON reader finds them."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = WithRepeats(found)
    twice.repeated = tuple(
        key for key, count in Counter(key for key, _ in pairs).items() if count > 1
    )
    return twice


def repeated(document: Any) -> tuple[str, ...]:
    """The keys that stand twice in it."""
    return document.repeated if isinstance(document, WithRepeats) else ()


def get(document: Mapping[str, Any], key: str) -> Any:
    """The value of `key`, None where there is none."""
    if key in document:
        return document[key]
    wanted = key.lower()
    found = None
    for name, value in document.items():
        if len(name) == len(wanted) and name.lower() == wanted:
            found = value
    return found


def get_object(document: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    """The object under `key`, None where there is none. Raises `ConfigError` for another type."""
    value = get(document, key)
    if value is None or isinstance(value, dict):
        return value
    raise ConfigError(f"{key}: {shown(value)} is not an object")


def shown(value: Any) -> str:
    """`value` as the JSON it came as, shortened to fit a message."""
    from json import dumps

    text = dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
