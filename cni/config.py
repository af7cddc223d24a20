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
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from ..model.blake2 import blake2b
from ..model.errors import CniError, ConfigError, DecodingError
from . import section
from .keys import get, object_of, shown
from .names import name_problem
from .section import Section

if TYPE_CHECKING:
    from .models import ConfigModel as ConfigModel
    from .models import DnsConf as DnsConf
    from .models import NetConf as NetConf

Model = TypeVar("Model")

_MAX_DEPTH = 100


def __getattr__(name: str) -> Any:
    """What others' plugins are described with: pydantic is imported for whoever asks."""
    if name not in ("ConfigModel", "DnsConf", "NetConf"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_pydantic(), name)


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
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=object_of
)


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
    """`config` as a `model`: a `Section`, or a model of pydantic's. The details of an error are a
    list: of each key its path, and the value that was given.

    Raises `ConfigError` naming every wrong key, by its path. A `CniError` that a validator raises
    passes as it is (code 2, for instance).
    """
    problems: section.Problems = []
    found = _read(model, config, problems)
    if problems:
        distinct = list({problem.text: problem for problem in problems}.values())
        keys = [found for problem in distinct for found in problem.found]
        raise ConfigError(
            "; ".join(problem.text for problem in distinct[:3]),
            details=json.dumps(keys) if keys else "",
        )
    return found


def find_problems(model: type, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All that keeps `config` from being a `model`: paths of keys, each with a line for people."""
    problems: section.Problems = []
    try:
        _read(model, config, problems)
    except CniError as error:
        return [("", error.msg)]
    return list(dict.fromkeys((problem.path, problem.text) for problem in problems))


def _read(model: type[Model], config: Mapping[str, Any], problems: section.Problems) -> Model:
    # The runtime's own keys are no plugin's configuration, and can be very long (GC).
    document = {key: value for key, value in config.items() if not key.startswith("cni.dev/")}
    read: Any = section.read if issubclass(model, Section) else _pydantic().read
    found: Model = read(model, document, problems)
    return found


def keys_of(model: Any) -> dict[str, Any] | None:
    """The keys of a model, each with the type of its value; None for what is no model."""
    if isinstance(model, type) and issubclass(model, Section):
        return section.keys_of(model)
    keys: dict[str, Any] | None = None
    if hasattr(model, "model_fields"):
        keys = _pydantic().keys_of(model)
    return keys


def _pydantic() -> ModuleType:
    from . import models

    return models


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
