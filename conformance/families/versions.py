"""Versions: what VERSION answers, and that each version named there is spoken."""

from __future__ import annotations

from ...cni.version import SUPPORTED, parse
from ..checks import Family
from ..judging import refused, shape, succeeded
from ..scene import ABSENT, Scene
from ..verdicts import Failed, NotApplicable

FAMILY = Family("versions")
_SUCCESS = "VERSION Success"
_CONSIDERATIONS = "Version considerations"
_INCOMPATIBLE = {1}


@FAMILY.check(_SUCCESS)
def version(scene: Scene) -> None:
    """VERSION answers with `cniVersion` and the list `supportedVersions`"""
    answer = succeeded(scene.call("VERSION", config={"cniVersion": "1.0.0"}))
    listed = answer.get("supportedVersions")
    if not isinstance(answer.get("cniVersion"), str):
        raise Failed("`cniVersion` is not a string")
    if not isinstance(listed, list) or not listed or not all(isinstance(v, str) for v in listed):
        raise Failed("`supportedVersions` is not a list of versions")


@FAMILY.check("VERSION: probe plugin version support")
def version_alone(scene: Scene) -> None:
    """VERSION needs no other variable"""
    only = {"CNI_PATH": ABSENT}
    succeeded(scene.call("VERSION", environ=only, stdin=b'{"cniVersion": "1.0.0"}'))


@FAMILY.check("ADD Success")
def each_version(scene: Scene) -> None:
    """An ADD in each supported version has a result of that version's form; its DEL succeeds"""
    for number, spoken in enumerate(scene.versions):
        scene.version = spoken
        container = scene.container(f"v{number}")
        scene.prepare(container)
        result = scene.add(container)
        shape(result, spoken, scene.calls[-1])
        if parse(spoken) >= parse("0.4.0"):
            succeeded(scene.call("CHECK", container))
        succeeded(scene.call("DEL", container))
        scene.release(container)


@FAMILY.check(_CONSIDERATIONS)
def version_that_is_not_listed(scene: Scene) -> None:
    """A version that VERSION does not list is error 1, whether older or newer"""
    container = scene.container()
    for unknown in ("0.5.0", "99.0.0"):
        refused(scene.call("ADD", container, config={"cniVersion": unknown}), _INCOMPATIBLE)


@FAMILY.check(_CONSIDERATIONS)
def no_version(scene: Scene) -> None:
    """A configuration without `cniVersion` is one of the oldest version"""
    scene.version = SUPPORTED[0]
    container = scene.container()
    if SUPPORTED[0] not in scene.versions:
        refused(scene.call("ADD", container, config={"cniVersion": ABSENT}), _INCOMPATIBLE)
        return
    scene.prepare(container)
    result = scene.add(container, config={"cniVersion": ABSENT})
    if result.get("cniVersion") not in ("", None, *SUPPORTED[:2]):
        raise Failed(f"the result is of version {result['cniVersion']}")
    shape({**result, "cniVersion": SUPPORTED[0]}, SUPPORTED[0], scene.calls[-1])


@FAMILY.check("Error", since="0.4.0")
def check_before_0_4_0(scene: Scene) -> None:
    """CHECK with a configuration older than 0.4.0 is error 1"""
    older = [spoken for spoken in scene.versions if parse(spoken) < parse("0.4.0")]
    if not older:
        raise NotApplicable("the plugin speaks no version without CHECK")
    container = scene.attach(scene.container())
    refused(scene.call("CHECK", container, config={"cniVersion": older[-1]}), _INCOMPATIBLE)


@FAMILY.check("Error", since="1.1.0")
def gc_and_status_before_1_1_0(scene: Scene) -> None:
    """GC and STATUS with a configuration older than 1.1.0 are error 1"""
    older = [spoken for spoken in scene.versions if parse(spoken) < parse("1.1.0")]
    if not older:
        raise NotApplicable("the plugin speaks no version without GC and STATUS")
    for command in ("GC", "STATUS"):
        refused(scene.call(command, config={"cniVersion": older[-1]}), _INCOMPATIBLE)
