"""Delegation to an IPAM plugin: a script of ours stands in for it, and writes down what it is told.

The script answers ADD with the document in its directory's `result`; with `fail.COMMAND` there,
that command fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..checks import Family
from ..judging import refused, succeeded
from ..scene import Attachment, Scene
from ..subject import MAIN
from ..traces import few, network, run, unchanged
from ..verdicts import Failed, NotApplicable

FAMILY = Family("delegating")
_PROTOCOL = "Delegated Plugin protocol"
_PROCEDURE = "Delegated plugin execution procedure"
_NAME = "conformance-ipam"
_FOLDER = Path("/run/conformance")
_SCRIPT = """#!/bin/sh
cd '{folder}' || exit 1
echo "$CNI_COMMAND" >>calls
env >"env.$CNI_COMMAND"
cat >"stdin.$CNI_COMMAND"
if [ -e "fail.$CNI_COMMAND" ]; then
    echo '{{"cniVersion": "{version}", "code": 111, "msg": "the IPAM plugin refuses"}}'
    exit 1
fi
[ "$CNI_COMMAND" != ADD ] || cat result
"""
_RESULT: dict[str, Any] = {
    "ips": [{"address": "10.77.0.5/24", "gateway": "10.77.0.1"}],
    "routes": [{"dst": "10.200.0.0/16", "gw": "10.77.0.1"}],
    "dns": {"nameservers": ["10.77.0.53"]},
}
_UNREACHABLE = {"dst": "10.250.0.0/16", "gw": "192.0.2.77"}
"""A route that no kernel takes: nothing leads to its gateway."""


class _Ipam:
    """The script in this scene's host, first in CNI_PATH; the plugin is told to use it."""

    def __init__(self, scene: Scene) -> None:
        if "ipam" not in scene.subject.config:
            raise NotApplicable("its configuration has no `ipam`")
        _FOLDER.mkdir()
        script = _FOLDER / _NAME
        script.write_text(_SCRIPT.format(folder=_FOLDER, version=scene.version))
        script.chmod(0o755)
        self.answer(scene, _RESULT)
        scene.folders = [*scene.folders, _FOLDER]
        scene.changes = {"ipam": {"type": _NAME, "com.example": [1]}}

    def answer(self, scene: Scene, result: dict[str, Any]) -> None:
        """Give this from now on."""
        ips = result["ips"]
        if scene.version.startswith("0."):
            ips = [{"version": "4", **one} for one in ips]
        document = {"cniVersion": scene.version, **result, "ips": ips}
        (_FOLDER / "result").write_text(json.dumps(document))

    def fail(self, command: str, *, fails: bool = True) -> None:
        """That command fails from now on, or no more."""
        marker = _FOLDER / f"fail.{command}"
        marker.touch() if fails else marker.unlink()

    def calls(self, command: str) -> int:
        """How often it was told so."""
        log = _FOLDER / "calls"
        return log.read_text().split().count(command) if log.exists() else 0

    def was_told(self, command: str) -> None:
        """Raises `Failed` where it was not."""
        if not self.calls(command):
            raise Failed(f"the IPAM plugin was not called with {command}")

    def environ(self, command: str) -> dict[str, str]:
        lines = (_FOLDER / f"env.{command}").read_text().splitlines()
        pairs = (line.partition("=") for line in lines)
        return {name: text for name, _, text in pairs if name.startswith("CNI_")}

    def config(self, command: str) -> Any:
        """What was on its stdin. Raises `Failed` where that is no object."""
        try:
            found = json.loads((_FOLDER / f"stdin.{command}").read_bytes())
        except ValueError as error:
            raise Failed(f"the IPAM plugin is given what is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise Failed("the IPAM plugin is given JSON that is not an object")
        return found


def _attached(scene: Scene) -> tuple[_Ipam, Attachment]:
    """A version is asked in which all plugins that delegate can give an answer of ours."""
    if scene.version.startswith(("0.1", "0.2")):
        raise NotApplicable(f"the plugin speaks up to {scene.version}")
    ipam = _Ipam(scene)
    attachment = scene.attach(scene.container())
    if not ipam.calls("ADD"):
        raise NotApplicable("the plugin does not delegate")
    return ipam, attachment


@FAMILY.check(_PROTOCOL, MAIN)
def same_environment(scene: Scene) -> None:
    """An IPAM plugin is given the variables that the plugin was given"""
    ipam, attachment = _attached(scene)
    sent = scene.environ("ADD", attachment)
    for name, text in ipam.environ("ADD").items():
        if sent.get(name) != text:
            raise Failed(f"{name} is {text!r} for the IPAM plugin, and was {sent.get(name)!r}")
    for name in sent:
        if name.startswith("CNI_") and name not in ipam.environ("ADD"):
            raise Failed(f"the IPAM plugin was not given {name}")


@FAMILY.check(_PROTOCOL, MAIN)
def whole_configuration(scene: Scene) -> None:
    """An IPAM plugin is given the whole configuration that the plugin was given"""
    ipam, attachment = _attached(scene)
    sent = scene.own_config("ADD", attachment)
    found = ipam.config("ADD")
    for key, value in sent.items():
        if found.get(key) != value:
            raise Failed(f"`{key}` is {found.get(key)!r} for the IPAM plugin, and was {value!r}")


@FAMILY.check(_PROCEDURE, MAIN)
def answer_is_used(scene: Scene) -> None:
    """The addresses, routes and name servers that an IPAM plugin gives are in the result"""
    _, attachment = _attached(scene)
    result = attachment.result or {}
    if [one["address"] for one in result.get("ips", [])] != ["10.77.0.5/24"]:
        raise Failed("the result does not have the address, 10.77.0.5/24")
    if not any(route["dst"] == "10.200.0.0/16" for route in result.get("routes", [])):
        raise Failed("the result does not have the route, 10.200.0.0/16")
    if (result.get("dns") or {}).get("nameservers") != ["10.77.0.53"]:
        raise Failed("the result does not have the name server, 10.77.0.53")


@FAMILY.check(_PROCEDURE, MAIN)
def del_is_passed_on(scene: Scene) -> None:
    """DEL is passed on to the IPAM plugin"""
    ipam, attachment = _attached(scene)
    succeeded(scene.call("DEL", attachment))
    ipam.was_told("DEL")


@FAMILY.check(_PROCEDURE, MAIN)
def del_without_namespace_is_passed_on(scene: Scene) -> None:
    """DEL is passed on to the IPAM plugin, though the namespace is gone"""
    ipam, attachment = _attached(scene)
    run(f"ip netns del {attachment.namespace}")
    attachment.netns = ""
    succeeded(scene.call("DEL", attachment))
    ipam.was_told("DEL")


@FAMILY.check(_PROCEDURE, MAIN, since="0.4.0")
def check_is_passed_on(scene: Scene) -> None:
    """CHECK is passed on to the IPAM plugin, and its error is the plugin's"""
    ipam, attachment = _attached(scene)
    succeeded(scene.call("CHECK", attachment))
    ipam.was_told("CHECK")
    ipam.fail("CHECK")
    refused(scene.call("CHECK", attachment))


@FAMILY.check(_PROCEDURE, MAIN, since="1.1.0")
def status_is_passed_on(scene: Scene) -> None:
    """STATUS is passed on to the IPAM plugin, and its error is the plugin's"""
    ipam, _ = _attached(scene)
    succeeded(scene.call("STATUS"))
    ipam.was_told("STATUS")
    ipam.fail("STATUS")
    refused(scene.call("STATUS"))


@FAMILY.check(_PROCEDURE, MAIN, since="1.1.0")
def gc_is_passed_on(scene: Scene) -> None:
    """GC is passed on to the IPAM plugin"""
    ipam, attachment = _attached(scene)
    valid = [{"containerID": attachment.container, "ifname": attachment.interface}]
    succeeded(scene.call("GC", config={"cni.dev/valid-attachments": valid}))
    ipam.was_told("GC")


@FAMILY.check(_PROCEDURE, MAIN)
def refusal_leaves_nothing(scene: Scene) -> None:
    """ADD that the IPAM plugin refuses fails, leaves nothing, and works once it does not refuse"""
    ipam = _Ipam(scene)
    _failing(scene, lambda: ipam.fail("ADD"), lambda: ipam.fail("ADD", fails=False))


@FAMILY.check(_PROCEDURE, MAIN)
def failure_gives_the_address_back(scene: Scene) -> None:
    """ADD that fails after the IPAM plugin's leaves nothing, and calls its DEL"""
    ipam = _Ipam(scene)
    impossible = {**_RESULT, "routes": [_UNREACHABLE]}
    _failing(scene, lambda: ipam.answer(scene, impossible), lambda: ipam.answer(scene, _RESULT))
    ipam.was_told("DEL")


def _failing(scene: Scene, spoil: Any, mend: Any) -> None:
    attachment = scene.container()
    inside = set(network(attachment.namespace))
    spoil()
    call = scene.call("ADD", attachment)
    if not call.status:
        raise NotApplicable("the plugin can do without what it was given")
    refused(call)
    if left := unchanged(inside, lambda: set(network(attachment.namespace))):
        raise Failed(f"it failed, and this is left in the container: {few(left)}", call)
    mend()
    scene.add(attachment)
