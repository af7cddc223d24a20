"""A network configuration: from bytes to an object, from an object to a plugin's model.

Rules that hold here:
- Keys are matched as `keys` says, in nested models too, whatever depth.
- Types are JSON's own, as in Go: no "true" for true, no "1" and no 1.0 for 1.
- Unknown keys are kept, wrong ones are refused with their path, value and what was expected.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import blake2b
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..model.errors import CniError, ConfigError, DecodingError
from ..model.result import Dns
from .keys import Keys, get, shown
from .names import name_problem, type_problem

Model = TypeVar("Model", bound=BaseModel)
Fold = Callable[[Any], Any]

# A plugin may put a model of its own where NetConf has a plain object. Any lets it.
if TYPE_CHECKING:
    Section = Any
else:
    Section = dict[str, Any]

_MAX_DEPTH = 100


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
    ipam: Section = Field(default_factory=dict)
    dns: DnsConf = DnsConf()
    args: Section = Field(default_factory=dict)
    runtimeConfig: Section = Field(default_factory=dict)
    capabilities: Section = Field(default_factory=dict)
    prevResult: Any = None

    @field_validator("ipam")
    @classmethod
    def _ipam_type_is_no_path(cls, ipam: Any) -> Any:
        kind = ipam.get("type") if isinstance(ipam, dict) else getattr(ipam, "type", None)
        if kind and isinstance(kind, str) and (problem := type_problem(kind)):
            raise ValueError(f"type {shown(kind)} {problem}")
        return ipam

    @property
    def cni_args(self) -> Mapping[str, Any]:
        """`args.cni`; optional, so that what can't be read is passed over (CONVENTIONS.md)."""
        found = self.args.get("cni") if isinstance(self.args, dict) else None
        return found if isinstance(found, dict) else {}


# --- bytes to an object ----------------------------------------------------------


def decode(stdin: bytes) -> dict[str, Any]:
    """The one JSON object that `stdin` holds. Raises `DecodingError`."""
    if not stdin.strip():
        raise DecodingError("no network configuration on stdin")
    try:
        text = stdin.decode()
        config = _DECODER.decode(text)
        if "\\u" in text:
            _refuse_odd_characters(config)
    except RecursionError:
        raise DecodingError("the network configuration is nested too deeply") from None
    except ValueError as error:
        raise DecodingError(f"the network configuration is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise DecodingError(f"the network configuration is not an object: {shown(config)}")
    if text.count("{") + text.count("[") > _MAX_DEPTH and not _shallow(config, _MAX_DEPTH):
        raise DecodingError("the network configuration is nested too deeply")
    return config


_ODD = re.compile(
    rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)"  # a backslash itself, and a whole pair
    rb"|\\u(?:0000|[dD][89a-fA-F]..)"
)


def without_odd_characters(stdin: bytes) -> bytes:
    """The same with U+FFFD for each character that `decode` refuses.

    For a DEL: in a list, what another plugin was refused for stands in the way of all others.
    """
    return _ODD.sub(lambda found: found[1] or rb"\ufffd", stdin) if b"\\u" in stdin else stdin


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number


# Python reads NaN, Infinity and 1e999 as numbers; no other reader of JSON does.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_odd_characters(config: Any) -> None:
    """Half a surrogate pair, and NUL: no name, path or address can hold them."""
    text = json.dumps(config, ensure_ascii=False)
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("it holds the character U+0000")
    text.encode()


def _shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_shallow(one, levels - 1) for one in inner)


def network_name(config: Mapping[str, Any]) -> str:
    """`name`, which every network has. Raises `ConfigError`."""
    name = get(config, "name")
    if name is None or name == "":
        raise ConfigError("name: missing; a network configuration needs one", details="name")
    problem = name_problem(name) if isinstance(name, str) else "is not a string"
    if problem:
        raise ConfigError(f"name: {shown(name)} {problem}", details="name")
    return str(name)


# --- an object to a model ----------------------------------------------------------


def parse_model(model: type[Model], config: Mapping[str, Any]) -> Model:
    """`config` as a `model`. Raises `ConfigError` naming every wrong key, by its path.

    A `CniError` that a validator raises passes as it is (code 2, for instance).
    """
    document = _document(model, config)
    try:
        return _validated(model, document)
    except ValidationError as error:
        problems = _distinct_problems(error, document)
        raise ConfigError(
            "; ".join(problem for _, problem in problems[:3]),
            details=json.dumps([path for path, _ in problems]),
        ) from None


def find_problems(model: type[BaseModel], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All that keeps `config` from being a `model`: paths of keys, each with a line for people."""
    document = _document(model, config)
    try:
        _validated(model, document)
    except ValidationError as error:
        return _distinct_problems(error, document)
    except CniError as error:
        return [("", error.msg)]
    return []


def _document(model: type[BaseModel], config: Mapping[str, Any]) -> Any:
    return _shape(model)(
        # The runtime's own keys are no plugin's configuration, and can be very long (GC).
        {key: value for key, value in config.items() if not key.startswith("cni.dev/")}
    )


def _validated(model: type[Model], document: Any) -> Model:
    # From JSON, not from Python values: only there does pydantic's strict mode mean
    # JSON's types (a list for a tuple, a string for an address).
    return model.model_validate_json(json.dumps(document))


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


def _distinct_problems(error: ValidationError, document: Any) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_problems(error, document)))


def _problems(error: ValidationError, document: Any) -> Iterator[tuple[str, str]]:
    """(path, one line for people) of each problem."""
    for problem in error.errors(include_url=False):
        kind, context = problem["type"], problem.get("ctx", {})
        path = _path(problem["loc"], document, kind)
        at = f"{path}: " if path else ""
        if kind == "missing":
            yield path, f"{at}missing"
        elif expected := _EXPECTED.get(kind):
            yield path, f"{at}{shown(problem['input'])} {expected.format(**context)}"
        else:
            text = " ".join(str(context.get("error", problem["msg"])).split())
            whole = isinstance(problem["input"], dict | list)
            yield path, f"{at}{text}" if whole else f"{at}{shown(problem['input'])}: {text}"


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


# --- identity ----------------------------------------------------------

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_ONE_CALLS_OWN = ("prevresult", "runtimeconfig")


def digest(config: Mapping[str, Any]) -> str:
    """32 hex digits that tell one plugin's configuration from another's.

    Without what belongs to one call: the previous result, the runtime's arguments.
    """
    lasting = {
        key: value
        for key, value in config.items()
        if key.lower() not in _ONE_CALLS_OWN and not key.startswith("cni.dev/")
    }
    return blake2b(_CANONICAL.encode(lasting).encode(), digest_size=16).hexdigest()
