"""Chains: what a plugin is given by the one before, and keys that are not for it."""

from __future__ import annotations

from typing import Any

from ..checks import Family
from ..judging import refused, succeeded
from ..scene import Scene
from ..subject import CHAINED
from ..verdicts import Failed

FAMILY = Family("chaining")
_ADD = "ADD: Add container to network, or apply modifications"
_DERIVING = "Deriving request configuration from plugin configuration"


@FAMILY.check(_ADD, CHAINED, since="0.3.0")
def result_is_passed_on(scene: Scene) -> None:
    """The result of a chained plugin has all that prevResult had"""
    attachment = scene.attach(scene.container())
    before, result = attachment.before or {}, attachment.result or {}
    names = [one.get("name") for one in result.get("interfaces", [])]
    for one in before.get("interfaces", []):
        if one["name"] not in names:
            raise Failed(f"interface {one['name']!r} of prevResult is not in the result")
    for key, field in (("ips", "address"), ("routes", "dst")):
        kept = [one.get(field) for one in result.get(key, [])]
        for one in before.get(key, []):
            if one[field] not in kept:
                raise Failed(f"{one[field]} of prevResult's `{key}` is not in the result")


@FAMILY.check(_ADD, CHAINED, since="0.3.0")
def addresses_know_their_interface(scene: Scene) -> None:
    """In the result of a chained plugin each address still names the interface that has it"""
    attachment = scene.attach(scene.container())
    if (before := _owners(attachment.before or {})) != (now := _owners(attachment.result or {})):
        raise Failed(f"in prevResult it was {before}, in the result it is {now}")


def _owners(result: dict[str, Any]) -> dict[str, str]:
    names = [one.get("name", "") for one in result.get("interfaces", [])]
    return {
        one["address"]: names[one["interface"]] if one.get("interface") is not None else ""
        for one in result.get("ips", [])
    }


@FAMILY.check("Network configuration format")
def unknown_keys(scene: Scene) -> None:
    """Keys that the plugin does not know, those of the runtime too, are no error"""
    attachment = scene.container()
    scene.prepare(attachment)
    given = scene.subject.config.get("runtimeConfig") or {}
    more = {
        "com.example/colour": {"red": [1, None, "x"]},
        "args": {"cni": {"labels": [{"key": "app", "value": "web"}], "com.example": 7}},
        "runtimeConfig": {**given, "com.example/size": 1},
    }
    scene.add(attachment, config=more)
    succeeded(scene.call("DEL", attachment, config=more))


@FAMILY.check(_DERIVING, CHAINED, since="0.3.0")
def result_that_is_none(scene: Scene) -> None:
    """A prevResult that is no result is an error"""
    attachment = scene.container()
    scene.prepare(attachment)
    for wrong in ("x", {"cniVersion": scene.version, "interfaces": 7, "ips": "x"}):
        refused(scene.call("ADD", attachment, config={"prevResult": wrong}))
