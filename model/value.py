"""What values are made of: they never change, and are equal where all their fields are.

`msgspec.Struct` does in C what a frozen dataclass does in Python: making, comparing and hashing one
costs a fraction of it, and so does the import of a module that has some.
"""

from __future__ import annotations

import json
from typing import Any, dataclass_transform

from msgspec import NODEFAULT, Struct, field
from msgspec.json import Encoder
from msgspec.structs import asdict


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value(Struct, frozen=True):
    """Its subclasses are frozen without saying so; another is made by `msgspec.structs.replace`."""


def defaults(kind: type[Struct]) -> dict[str, Any]:
    """The default of each field, in their order; `NODEFAULT` where it has none."""
    names, known = kind.__struct_fields__, kind.__struct_defaults__
    without = (NODEFAULT,) * (len(names) - len(known))
    return dict(zip(names, (*without, *known), strict=True))


def dump(value: object) -> str:
    """JSON, values as objects with all of their fields: the form a record holds them in."""
    return _ENCODER.encode(value)


def compact(document: object) -> str:
    """JSON without spaces, of what is none of our values.

    A chain of plugins writes some thirty documents, for each of which `json` takes ten times as
    long.
    """
    try:
        return _COMPACT.encode(document).decode()
    except UnicodeEncodeError:  # a path or a variable that is no UTF-8: told by half surrogates
        return json.dumps(document, separators=(",", ":"))


_ENCODER = json.JSONEncoder(default=asdict)
_COMPACT = Encoder()
