"""What pydantic finds wrong with a value, in words that say what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .problems import instead, quoted

_IN_FILES = {"source": "from"}
"""Fields that files call otherwise."""
_EXAMPLES = {
    "from": "from: a",
    "to": 'to: "b:80"',
    "via": "via: [r1, r2]",
    "size": "size: 1400",
    "containers": "containers: 50",
    "ends": 'ends: ["h1:eth1", sw]',
    "host_port": "host_port: 8080",
    "container_port": "container_port: 80",
}


def message_of(error: Mapping[str, Any]) -> str:
    """One of pydantic's `ValidationError.errors()`, for a person."""
    word = _WORDS.get(error["type"])
    return word(error) if word else str(error["msg"])


def key_in_file(field: str) -> str:
    """What a field of the model is called in a file."""
    return _IN_FILES.get(field, field)


def _missing(error: Mapping[str, Any]) -> str:
    if isinstance(error["loc"][-1], int):
        return _ends(error)
    key = key_in_file(str(error["loc"][-1]))
    return f'"{key}" is missing: write {_EXAMPLES.get(key, f"{key}: ...")}'


def _own(error: Mapping[str, Any]) -> str:
    return str(error["ctx"]["error"])


def _choice(error: Mapping[str, Any]) -> str:
    choices = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
    known = [choice for choice in choices if choice]
    given = error["input"]
    close = instead(given, known) if isinstance(given, str) else ""
    listed = ", ".join(known)
    return f"{quoted(given)} is none of {listed}" + (close if "mean" in close else ": write one")


def _integer(error: Mapping[str, Any]) -> str:
    return f"there must be a whole number here, such as 80, not {_given(error)}"


def _boolean(error: Mapping[str, Any]) -> str:
    return f"write true or false, not {_given(error)}"


def _text(error: Mapping[str, Any]) -> str:
    return f"there must be a text here, in quotes if need be, not {_given(error)}"


def _keys(error: Mapping[str, Any]) -> str:
    return f"there must be keys here, each with a colon, not {_given(error)}"


def _list(error: Mapping[str, Any]) -> str:
    return f"there must be a list here, such as [a, b], not {_given(error)}"


def _at_least(error: Mapping[str, Any]) -> str:
    return f"{error['input']} is too small: write {error['ctx']['ge']} or more"


def _at_most(error: Mapping[str, Any]) -> str:
    return f"{error['input']} is too large: write {error['ctx']['le']} or less"


def _field(error: Mapping[str, Any]) -> str:
    return f"there is no field {quoted(str(error['loc'][-1]))}"


def _ends(error: Mapping[str, Any]) -> str:
    return "a link has two ends: write h1:eth1 -- sw"


def _given(error: Mapping[str, Any]) -> str:
    value = error["input"]
    kinds = {list: "a list", tuple: "a list", dict: "keys", type(None): "nothing"}
    return kinds.get(type(value), quoted(value))


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": _missing,
    "value_error": _own,
    "literal_error": _choice,
    "enum": _choice,
    "int_type": _integer,
    "int_parsing": _integer,
    "int_from_float": _integer,
    "int_parsing_size": _integer,
    "bool_type": _boolean,
    "bool_parsing": _boolean,
    "string_type": _text,
    "dict_type": _keys,
    "model_type": _keys,
    "model_attributes_type": _keys,
    "tuple_type": _list,
    "greater_than_equal": _at_least,
    "less_than_equal": _at_most,
    "extra_forbidden": _field,
    "too_long": _ends,
    "too_short": _ends,
}
