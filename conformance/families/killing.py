"""Killed at random: whatever a plugin was doing, the DEL that follows leaves nothing."""

from __future__ import annotations

from ..checks import Family
from ..judging import succeeded
from ..scene import Attachment, Scene
from ..subject import tight
from ..traces import few, host, run
from ..verdicts import Failed

FAMILY = Family("killing")
_ADD = "ADD: Add container to network, or apply modifications"
_DEL = "DEL: Remove container from network, or un-apply modifications"
_KILLS = 8
"""More than a /29 has addresses, so that one that is lost each time is missed at the end."""


@FAMILY.check(_DEL)
def add(scene: Scene) -> None:
    """After an ADD that was killed, DEL succeeds and leaves nothing; addresses come back"""
    lasts = _begin(scene)
    for number in range(_KILLS):
        attachment = scene.container(f"k{number}")
        scene.prepare(attachment)
        before = host()
        scene.call("ADD", attachment, kill_after=scene.random.uniform(0, lasts))
        _deleted(scene, attachment, before)
    last = scene.container("last")
    scene.prepare(last)
    scene.add(last)


@FAMILY.check(_DEL)
def delete(scene: Scene) -> None:
    """After a DEL that was killed, another one succeeds and leaves nothing"""
    lasts = _begin(scene)
    for number in range(_KILLS):
        attachment = scene.container(f"k{number}")
        scene.prepare(attachment)
        before = host()
        scene.begin_with(attachment)
        scene.call("DEL", attachment, kill_after=scene.random.uniform(0, lasts))
        _deleted(scene, attachment, before)


@FAMILY.check(_ADD)
def add_again(scene: Scene) -> None:
    """An ADD that was killed works, once the container was DELeted"""
    lasts = _begin(scene)
    attachment = scene.container()
    for _ in range(_KILLS):
        scene.prepare(attachment)
        scene.call("ADD", attachment, kill_after=scene.random.uniform(0, lasts))
        succeeded(scene.call("DEL", attachment))
        scene.release(attachment)
        scene.prepare(attachment)
        scene.add(attachment)
        succeeded(scene.call("DEL", attachment))
        scene.release(attachment)
        attachment.result = None


def _begin(scene: Scene) -> float:
    """Seconds that an ADD takes, in the least range there is."""
    scene.changes = tight(scene.subject.config, 29) or {}
    scene.live_once()
    return scene.live_once("second").seconds


def _deleted(scene: Scene, attachment: Attachment, before: set[str]) -> None:
    succeeded(scene.call("DEL", attachment))
    if left := scene.left_over(before):
        raise Failed(f"after DEL this is left on the host: {few(left)}")
    scene.release(attachment)
    run(f"ip netns del {attachment.namespace}")
