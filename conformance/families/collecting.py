"""GC and STATUS, which came with version 1.1.0."""

from __future__ import annotations

from typing import Any

from ..checks import Family
from ..judging import refused, succeeded
from ..scene import Attachment, Scene
from ..subject import CHAINED, IPAM, MAIN, tight
from ..traces import few, host, run
from ..verdicts import Failed, NotApplicable

FAMILY = Family("collecting")
_GC = "GC: Clean up any stale resources"
_STATUS = "STATUS: Check plugin status"
_SINCE = "1.1.0"
_UNAVAILABLE = {50, 51}


@FAMILY.check(_STATUS, since=_SINCE)
def status(scene: Scene) -> None:
    """STATUS succeeds where an ADD would, and prints nothing"""
    succeeded(scene.call("STATUS"))


@FAMILY.check(_STATUS, MAIN, IPAM, since=_SINCE)
def status_of_a_full_range(scene: Scene) -> None:
    """STATUS is error 50 or 51 where no address is free"""
    small = tight(scene.subject.config, 30)
    if small is None:
        raise NotApplicable("its addresses are not those of host-local")
    scene.changes = small
    scene.attach(scene.container())
    refused(scene.call("STATUS"), _UNAVAILABLE)


def _valid(*attachments: Attachment) -> dict[str, Any]:
    listed = [{"containerID": each.container, "ifname": each.interface} for each in attachments]
    return {"cni.dev/valid-attachments": listed, "cni.dev/attachments": listed}


@FAMILY.check(_GC, since=_SINCE)
def gc_keeps_the_valid(scene: Scene) -> None:
    """GC does not touch the attachments that are listed as valid, and prints nothing"""
    attachment = scene.attach(scene.container())
    before = host()
    succeeded(scene.call("GC", config=_valid(attachment)))
    if changed := scene.unchanged(before):
        raise Failed(f"this has changed: {few(changed)}")
    succeeded(scene.call("CHECK", attachment))


@FAMILY.check(_GC, since=_SINCE)
def gc_of_nothing(scene: Scene) -> None:
    """GC succeeds where nothing was ever attached"""
    succeeded(scene.call("GC", config=_valid()))


@FAMILY.check(_GC, MAIN, CHAINED, IPAM, since=_SINCE)
def gc_removes_the_stale(scene: Scene) -> None:
    """GC removes what containers that ended without a DEL have left"""
    scene.live_once()
    stale = scene.container("stale")
    scene.prepare(stale)
    before = host()
    _added(scene, stale)
    run(f"ip netns del {stale.namespace}")
    succeeded(scene.call("GC", config=_valid()))
    if left := scene.left_over(before):
        raise Failed(f"this is left on the host: {few(left)}")


@FAMILY.check(_GC, MAIN, IPAM, since=_SINCE)
def gc_frees_addresses(scene: Scene) -> None:
    """After GC the address of a stale container can be given again"""
    small = tight(scene.subject.config, 30)
    if small is None:
        raise NotApplicable("its addresses are not those of host-local")
    scene.changes = small
    stale = scene.attach(scene.container("stale"))
    run(f"ip netns del {stale.namespace}")
    succeeded(scene.call("GC", config=_valid()))
    scene.add(scene.container("next"))


@FAMILY.check(_GC, MAIN, CHAINED, IPAM, since=_SINCE)
def gc_keeps_other_networks(scene: Scene) -> None:
    """GC of a network does not touch what belongs to another one"""
    attachment = scene.attach(scene.container())
    before = host()
    succeeded(scene.call("GC", config={**_valid(), "name": f"{scene.subject.network}-2"}))
    if changed := scene.unchanged(before):
        raise Failed(f"this has changed: {few(changed)}")
    succeeded(scene.call("CHECK", attachment))


def _added(scene: Scene, attachment: Attachment) -> None:
    scene.begin_with(attachment)
