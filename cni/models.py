"""Configurations described with pydantic: how others' plugins may describe theirs.

Of pynet's own plugins none does (`net_conf`): a process that answers one call imports this for
another's plugin alone. Rules that hold here, as in `section`:
- Keys are matched as `keys` says, in nested models too, whatever depth.
- Types are JSON's own, as in Go: no "true" for true, no "1" and no 1.0 for 1.
- Unknown keys are kept, wrong ones are refused with their path, value and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..model.result import Dns
from .keys import Keys, shown
from .net_conf import Replaceable, cni_arguments, with_plain_type
from .section import Problem, Problems, refused

Fold = Callable[[Any], Any]


class ConfigModel(BaseModel):
    """What every model of a part of the configuration is made from."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class DnsConf(ConfigModel):
    """CNI spec 1.1.0, "Well-known keys", `dns`."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def to_dns(self) -> Dns:
        return Dns(self.nameservers, self.domain, self.search, self.options)


class NetConf(ConfigModel):
    """The keys every plugin's configuration has. CNI spec 1.1.0, "Plugin configuration objects"."""

    name: str = ""
    cniVersion: str = ""
    type: str = ""
    ipam: Replaceable = Field(default_factory=dict)
    dns: DnsConf = DnsConf()
    args: Replaceable = Field(default_factory=dict)
    runtimeConfig: Replaceable = Field(default_factory=dict)
    capabilities: Replaceable = Field(default_factory=dict)
    prevResult: Any = None

    @field_validator("ipam")
    @classmethod
    def _ipam_type_is_no_path(cls, ipam: Any) -> Any:
        return with_plain_type(ipam)

    @property
    def cni_args(self) -> Mapping[str, Any]:
        return cni_arguments(self.args)


# --- an object to a model ----------------------------------------------------------


def read(model: type[BaseModel], document: Mapping[str, Any], problems: Problems) -> Any:
    """As `section.read`."""
    folded = _shape(model)(document)
    try:
        # From JSON, not from Python values: only there does pydantic's strict mode mean
        # JSON's types (a list for a tuple, a string for an address).
        return model.model_validate_json(json.dumps(folded))
    except ValidationError as error:
        problems += _problems(error, folded)
        return None


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """As `section.keys_of`."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


@cache
def _shape(model: type[BaseModel]) -> Fold:
    """The function that folds the keys of a `model`'s object, and of those inside it."""
    folds: dict[str, Fold] = {}
    names = []
    for field_name, field in model.model_fields.items():
        name = field.alias or field_name
        names.append(name)
        if inner := _fold_of(field.annotation):
            folds[name] = inner
    keys = Keys(*names)

    def fold(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        folded = dict(keys.fold(value))
        for name, inner in folds.items():
            if name in folded:
                folded[name] = inner(folded[name])
        return folded

    return fold


def _fold_of(annotation: Any) -> Fold | None:
    """How a value of this type is folded; None where no model is inside."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        # Looked up when used: a model may hold itself.
        return lambda value: _shape(annotation)(value)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _fold_of(arguments[0])
    folds = [inner for argument in arguments if (inner := _fold_of(argument))]
    if not folds:
        return None
    if origin in (Union, UnionType):
        return lambda value: _in_turn(folds, value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return lambda value: _each_value(folds[-1], value)
    return lambda value: _each_item(folds[0], value)


def _in_turn(folds: list[Fold], value: Any) -> Any:
    for fold in folds:
        value = fold(value)
    return value


def _each_value(fold: Fold, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: fold(inner) for key, inner in value.items()}


def _each_item(fold: Fold, value: Any) -> Any:
    return [fold(inner) for inner in value] if isinstance(value, list) else value


# --- what is wrong, in words ----------------------------------------------------------

_EXPECTED = {
    "bool_type": "is not true or false",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "string_type": "is not a string",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "set_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "literal_error": "is not one of {expected}",
    "enum": "is not one of {expected}",
    "greater_than": "is not above {gt}",
    "greater_than_equal": "is below {ge}",
    "less_than": "is not below {lt}",
    "less_than_equal": "is above {le}",
}


def _problems(error: ValidationError, document: Any) -> Iterator[Problem]:
    for problem in error.errors(include_url=False):
        kind, context = problem["type"], problem.get("ctx", {})
        path = _path(problem["loc"], document, kind)
        given = problem["input"]
        at = f"{path}: " if path else ""
        if kind == "missing":
            yield Problem(path, f"{at}missing", ({"key": path},))
        elif expected := _EXPECTED.get(kind):
            said = f"{at}{shown(given)} {_without_nothing(expected.format(**context))}"
            yield Problem(path, said, ({"key": path, "value": given},))
        else:
            why = context.get("error", problem["msg"])
            yield refused(why if isinstance(why, ValueError) else ValueError(why), given, path)


def _without_nothing(expected: str) -> str:
    """A list of choices without "", which is as if nothing had been given."""
    return expected.replace("one of '', ", "one of ").replace("one of '' or ", "")


def _path(location: tuple[int | str, ...], document: Any, kind: str) -> str:
    """`ipam.ranges[0][0].subnet`: the parts of `location` that are keys, not pydantic's own."""
    path = ""
    for part in location:
        if isinstance(part, int):
            if not isinstance(document, list) or part >= len(document):
                continue
            path += f"[{part}]"
            document = document[part]
        elif isinstance(document, dict) and (part in document or kind == "missing"):
            path += f".{part}" if path else part
            document = document.get(part)
    return path
