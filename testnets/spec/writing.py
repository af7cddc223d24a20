"""A topology as a file: what `reading` reads as the same, in the short forms people write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from .notation import impairment_text, link_text, publication_text
from .schema import schema
from .topology import (
    Check,
    Container,
    Fault,
    Impairment,
    Membership,
    Mesh,
    Node,
    Topology,
)
from .yaml_tree import is_plain_text

__all__ = ["dump", "schema"]

_WIDTH = 100


def dump(topology: Topology) -> str:
    """YAML text. What has its default value is left out."""
    values = {key: value for key, value in _sections(topology).items() if value or key == "name"}
    return yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True, indent=2
    )


def _sections(topology: Topology) -> dict[str, Any]:
    return {
        "name": topology.name,
        "description": topology.description,
        "nodes": {name: _node(node) for name, node in topology.nodes.items()},
        "links": [link_text(link) for link in topology.links],
        "underlay": _Inline(_changed(topology.underlay)),
        "networks": {name: _Inline(_changed(each)) for name, each in topology.networks.items()},
        "containers": dict(_container(*each) for each in topology.containers.items()),
        "generate": [_Inline(_changed(generator)) for generator in topology.generate],
        "checks": [_check(check) for check in topology.checks],
        "needs": _Row(topology.needs),
    }


def _changed(model: Any) -> dict[str, Any]:
    """The fields that don't have their default value."""
    defaults = {name: field.get_default() for name, field in type(model).model_fields.items()}
    values = model.model_dump(mode="json")
    return {key: values[key] for key in values if getattr(model, key) != defaults[key]}


def _node(node: Node) -> object:
    changed = {"kind": node.kind, **_changed(node)}
    return node.kind if len(changed) == 1 else _Inline(changed)


def _container(name: str, container: Container) -> tuple[str, dict[str, Any]]:
    """`a@h1`, and the rest."""
    rest = {
        "networks": [_membership(each) for each in container.networks],
        "publish": [publication_text(each) for each in container.publish],
        "run": _command(container.run),
    }
    key = f"{name}@{container.host}" if container.host else name
    return key, _Inline({key: value for key, value in rest.items() if value})


def _command(argv: tuple[str, ...]) -> str | list[str]:
    """A shell's command is only text."""
    return argv[2] if argv[:2] == ("sh", "-c") and len(argv) == 3 and argv[2] else list(argv)


def _membership(membership: Membership) -> object:
    asked = _changed(membership)
    del asked["network"]
    return {membership.network: asked} if asked else membership.network


def _check(check: Check) -> dict[str, Any]:
    if isinstance(check, Fault):
        return _fault(check)
    keys = _changed(check)
    keys.pop("kind", None)
    if isinstance(check, Mesh):
        members = keys.get("members", "all")
        return {"mesh": _Inline(keys) if keys.keys() - {"members"} else _row(members)}
    start = {"from": keys.pop("source"), "to": str(check.to)}
    del keys["to"]
    if check.kind == "deny":  # its default depends on the port
        keys["protocol"] = check.protocol
    return {check.kind: _Inline({**start, **keys})}


def _fault(fault: Fault) -> dict[str, Any]:
    """What it leads to stands beside it."""
    impair = {name: _impairment(each) for name, each in fault.impair.items()}
    keys = {"down": list(fault.down), "stop": list(fault.stop), "impair": impair}
    after = {"expect": fault.expect, "heals": fault.heals}
    return {
        "fault": _Inline({key: value for key, value in keys.items() if value}),
        **{key: [_check(check) for check in checks] for key, checks in after.items() if checks},
    }


def _impairment(impairment: Impairment) -> str | dict[str, Any]:
    return impairment_text(impairment) or {}


class _Inline(dict[str, Any]):
    """Keys that are written in one line, in braces."""


class _Row(list[Any]):
    """A list in one line."""


def _row(value: object) -> object:
    return _Row(value) if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would not read as text."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> str:
        style: str = super().choose_scalar_style()
        return '"' if style == "'" else style


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None if is_plain_text(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _inline(dumper: yaml.SafeDumper, value: Mapping[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)


def _in_row(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Inline, _inline)
_Dumper.add_representer(_Row, _in_row)
