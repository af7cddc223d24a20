"""A part of a configuration, described by a class: its annotations are the keys' types.

pydantic would read the same annotations, but importing it took a process that answers one call
nearly a third of its time. Rules that hold here:
- Types are JSON's own, as in Go: no "true" for true, no "1" and no 1.0 for 1.
- Every wrong key is found, not the first alone, and named by its path.
- Keys nobody knows are passed over: whoever wants them has the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Self,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from .keys import Keys, shown


class Problem(NamedTuple):
    """`text` is a line for people; `found` are the keys it is about, by their paths, and of those
    that were given the values.
    """

    path: str
    text: str
    found: tuple[dict[str, Any], ...] = ()


Problems = list[Problem]
Reader = Callable[[Any, str, Problems], Any]
"""From a value of JSON and its path; what it returns counts where it adds no problem."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Section:
    """Subclass it, and annotate its keys; a key without a default has to be given.

    Types are str, bool, int, Any, `Literal` of strings, tuples of one type, dicts, other sections,
    each with None too. `Annotated[type, function, ...]` has the functions see the value in turn:
    each returns it, or another in its place, or raises ValueError.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)
        self.check()

    def check(self) -> None:
        """Raises ValueError where the keys, each right by itself, don't go together.

        Its text begins with the key that it is about, as in "mtu: 9 is too small"; of several it
        is a `Clash`.
        """

    def replaced(self, **changes: Any) -> Self:
        """The same with these values, which nobody checks."""
        copy = object.__new__(type(self))
        copy.__dict__.update(vars(self), **changes)
        return copy

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} can't be changed")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({given})"


class Unfit(ValueError):
    """Of a value alone: the message goes on from the value, as in "-1 is below 0"."""


class Clash(ValueError):
    """Of `keys` that don't go together."""

    def __init__(self, text: str, *keys: str) -> None:
        super().__init__(text)
        self.keys = keys


def within(low: int, high: int) -> Callable[[int], int]:
    """For `Annotated`: a number that is neither below `low` nor above `high`."""

    def check(number: int) -> int:
        if number < low:
            raise Unfit(f"is below {low}")
        if number > high:
            raise Unfit(f"is above {high}")
        return number

    return check


def keys_of(section: type[Section]) -> dict[str, Any]:
    """The keys, each with its type."""
    return get_type_hints(section, include_extras=True)


def read(section: type[Section], document: Mapping[str, Any], problems: Problems) -> Any:
    """`document` as a `section`; to be used only if that adds nothing to `problems`."""
    return _section(section, document, "", problems)


@cache
def _table(section: type[Any]) -> tuple[Keys, list[tuple[str, Reader, bool]]]:
    """Its keys, and how each is read, and whether it has to be there."""
    keys = keys_of(section)
    rows = [(name, _reader(kind), _is_required(section, name)) for name, kind in keys.items()]
    return Keys(*keys), rows


def _is_required(section: type[Any], name: str) -> bool:
    """Whether the last class that annotates it gives no default, whatever those before it do."""
    last = next(base for base in section.__mro__ if name in base.__annotations__)
    return name not in vars(last)


@cache
def _reader(kind: Any) -> Reader:
    if kind is Any:
        return _anything
    if kind in _PLAIN:
        return partial(_plain, kind, _PLAIN[kind])
    if isinstance(kind, type) and issubclass(kind, Section):
        return partial(_section, kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return partial(_checked, _reader(arguments[0]), arguments[1:])
    if origin is Literal:
        return partial(_one_of, arguments)
    if origin is dict:
        return partial(_each_value, _reader(arguments[1]))
    if origin is tuple:
        return partial(_each_item, _reader(arguments[0]))
    if origin in (Union, UnionType):
        [inner] = [one for one in arguments if one is not type(None)]
        return partial(_unless_null, _reader(inner))
    raise TypeError(f"{kind} is no type of a key")


_PLAIN = {bool: "true or false", int: "a whole number", str: "a string"}


def _anything(value: Any, path: str, problems: Problems) -> Any:
    return value


def _plain(kind: type, name: str, value: Any, path: str, problems: Problems) -> Any:
    if type(value) is not kind:  # True is no number
        problems.append(_unfit(value, path, f"is not {name}"))
    return value


def _one_of(choices: tuple[str, ...], value: Any, path: str, problems: Problems) -> Any:
    if value not in choices:
        *most, last = map(repr, filter(None, choices))  # "" is as if nothing had been given
        known = f"one of {', '.join(most)} or {last}" if most else last
        problems.append(_unfit(value, path, f"is not {known}"))
    return value


def _unless_null(inner: Reader, value: Any, path: str, problems: Problems) -> Any:
    return None if value is None else inner(value, path, problems)


def _each_item(inner: Reader, value: Any, path: str, problems: Problems) -> Any:
    if isinstance(value, list):
        return tuple(inner(item, f"{path}[{place}]", problems) for place, item in enumerate(value))
    problems.append(_unfit(value, path, "is not a list"))
    return value


def _each_value(inner: Reader, value: Any, path: str, problems: Problems) -> Any:
    if isinstance(value, dict):
        return {key: inner(item, f"{path}.{key}", problems) for key, item in value.items()}
    problems.append(_unfit(value, path, "is not an object"))
    return value


def _checked(
    inner: Reader,
    checks: tuple[Callable[[Any], Any], ...],
    value: Any,
    path: str,
    problems: Problems,
) -> Any:
    before = len(problems)
    found = inner(value, path, problems)
    if len(problems) > before:
        return found
    try:
        for check in checks:
            found = check(found)
    except Unfit as error:
        problems.append(_unfit(value, path, str(error)))
    except ValueError as error:
        problems.append(refused(error, value, path))
    return found


def _section(section: Any, value: Any, path: str, problems: Problems) -> Any:
    if not isinstance(value, Mapping):
        problems.append(_unfit(value, path, "is not an object"))
        return value
    before = len(problems)
    keys, rows = _table(section)
    folded = keys.fold(value)
    found = {}
    for name, reader, is_required in rows:
        at = f"{path}.{name}" if path else name
        if name in folded:
            found[name] = reader(folded[name], at, problems)
        elif is_required:
            problems.append(Problem(at, f"{at}: missing", ({"key": at},)))
    if len(problems) == before:
        try:
            return section(**found)
        except ValueError as error:
            problems.append(refused(error, folded, path))
    return value


def _unfit(value: Any, path: str, words: str) -> Problem:
    return Problem(path, f"{path}: {shown(value)} {words}", ({"key": path, "value": value},))


def refused(error: ValueError, value: Any, path: str) -> Problem:
    """What a function that saw the `value` at `path` says against it, or against keys in there."""
    text = " ".join(str(error).split())
    at = f"{path}: " if path else ""
    if not isinstance(value, Mapping):
        said = text if isinstance(value, list) else f"{shown(value)}: {text}"
        return Problem(path, f"{at}{said}", ({"key": path, "value": value},))
    return Problem(path, f"{at}{text}", tuple(_in_object(error, text, value, path)))


def _in_object(
    error: ValueError, text: str, value: Mapping[str, Any], path: str
) -> Iterator[dict[str, Any]]:
    key, colon, _ = text.partition(": ")
    named = error.keys if isinstance(error, Clash) else (key,) * (bool(colon) and " " not in key)
    for name in named:
        at = f"{path}.{name}" if path else name
        yield {"key": at, "value": value[name]} if name in value else {"key": at}
    if path and not named:
        yield {"key": path}
