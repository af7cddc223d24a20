"""The JSON Schema of topology files, by which editors complete and check them.

The model's own, with the short forms of files where they may stand.
"""

from __future__ import annotations

from typing import Any

from .topology import Topology
from .units import delay_text
from .wording import key_in_file

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_NOTHING: Schema = {"type": "null"}
_LINK: Schema = {
    "type": "string",
    "pattern": r"^\s*\S+\s+--\s+[^\s{]+\s*(\{[^{}]*\})?\s*$",
    "examples": ["h1:eth1 -- sw {rate=10mbit loss=1%}"],
}
_PUBLICATION: Schema = {
    "type": "string",
    "pattern": r"^\s*((\[[^\]]+\]|[^:\[\]]+):)?[0-9]+:[0-9]+(/(tcp|udp))?\s*$",
    "examples": ["8080:80"],
}
_REACHES = ("tcp", "udp", "http")
_OTHERS = ("mesh", "deny", "path", "mtu")


def schema() -> Schema:
    """Of a whole file, as a JSON document."""
    whole = Topology.model_json_schema()
    fields = {name: _in_files(shape) for name, shape in whole.pop("$defs").items()}
    return {
        "$schema": DIALECT,
        "title": "A topology of pynet",
        **_in_files(whole),
        "$defs": {**_parts(fields), **_checks(fields)},
    }


def _in_files(shape: Any) -> Any:
    """A shape of the model, with lists that may be one thing, and without what has no value."""
    if isinstance(shape, list):
        return [_in_files(each) for each in shape]
    if not isinstance(shape, dict):
        return shape
    if "oneOf" in shape:  # checks are told apart by their key
        kinds = shape["discriminator"]["mapping"]
        return {"$ref": f"#/$defs/{'Check' if 'fault' in kinds else 'Probe'}"}
    shape = {key: _in_files(value) for key, value in shape.items() if not _is_noise(key, value)}
    choices = [each for each in shape.get("anyOf", ()) if each != _NOTHING]
    if len(choices) == 1:
        shape = {**{key: value for key, value in shape.items() if key != "anyOf"}, **choices[0]}
    if isinstance(shape.get("default"), float) and shape.get("type") == "string":
        shape["default"] = delay_text(shape["default"])
    if shape.get("type") == "array" and "items" in shape:
        return {"anyOf": [shape["items"], shape]}
    return shape


def _is_noise(key: str, value: object) -> bool:
    """Titles repeat the keys; defaults that say "none" say nothing."""
    titled = key == "title" and isinstance(value, str)
    return titled or (key == "default" and value in (None, "", [], {}))


def _parts(fields: dict[str, Schema]) -> dict[str, Schema]:
    """Everything but the checks: by keys, or short."""
    node = _with(fields["Node"], sysctls={"type": "object", "additionalProperties": _SCALAR})
    link = _without(fields["Link"], "impairment")
    ends = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
    link = _with(link, **fields["Impairment"]["properties"], ends=ends)
    place = _any(_without(fields["Membership"], "network"), _TEXTS, _NOTHING)
    return {
        "Node": _any(node["properties"]["kind"], node, _NOTHING),
        "Link": _any(_LINK, link),
        "Underlay": fields["Underlay"],
        "Network": _any(fields["Network"], _TEXTS),
        "Membership": _any(_TEXT, {"type": "object", "additionalProperties": place}),
        "Publication": _any(_PUBLICATION, fields["Publication"]),
        "Container": _any(fields["Container"], _TEXTS, _NOTHING),
        "Generator": fields["Generator"],
        "Impairment": _any(fields["Impairment"], _TEXT),
    }


def _checks(fields: dict[str, Schema]) -> dict[str, Schema]:
    """A check is one key that says its kind; what a fault leads to may stand beside it."""
    shapes = {kind: _check(fields[kind.title()]) for kind in _OTHERS}
    for kind in _REACHES:
        http_only = () if kind == "http" else ("status", "answer")
        shapes[kind] = _without(_check(fields["Reach"]), *http_only)
    probes = {**shapes, "mesh": _any(shapes["mesh"], _TEXTS, _NOTHING)}
    fault = _check(fields["Fault"])
    after = {key: fault["properties"][key] for key in ("expect", "heals")}
    alike = {"type": "object", "additionalProperties": False, "minProperties": 1}
    probe = {**alike, "properties": probes, "maxProperties": 1}
    check = {**alike, "properties": {**probes, "fault": fault, **after}}
    check["dependentRequired"] = {key: ["fault"] for key in after}
    return {"Probe": _any(probe, {"const": "mesh"}), "Check": _any(check, {"const": "mesh"})}


def _check(shape: Schema) -> Schema:
    """Its kind is the key it stands under."""
    shape = _without(shape, "kind")
    properties = {key_in_file(key): value for key, value in shape["properties"].items()}
    if "to" in properties:
        properties["to"] = {"type": "string", "examples": ["b:80"]}
    required = [key_in_file(key) for key in shape.get("required", ())]
    return {**shape, "properties": properties, "required": required}


def _any(*shapes: Schema) -> Schema:
    return {"anyOf": list(shapes)}


def _with(shape: Schema, **properties: Schema) -> Schema:
    return {**shape, "properties": {**shape["properties"], **properties}}


def _without(shape: Schema, *keys: str) -> Schema:
    kept = {key: value for key, value in shape["properties"].items() if key not in keys}
    required = [key for key in shape.get("required", ()) if key not in keys]
    return {**shape, "properties": kept, "required": required}
