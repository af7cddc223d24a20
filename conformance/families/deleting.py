"""DEL: it succeeds whatever is gone, twice, leaves nothing, and touches nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..checks import Family
from ..judging import succeeded
from ..scene import Attachment, Scene
from ..subject import CHAINED, IPAM, MAIN, ROLES
from ..traces import few, host, ip, network, run, state_files, unchanged
from ..verdicts import Failed, NotApplicable

FAMILY = Family("deleting")
_DEL = "DEL: Remove container from network, or un-apply modifications"

Situation = Callable[[Scene, Attachment], Callable[[], object]]
"""What has happened before the DEL, and gives what happens after it. May raise `NotApplicable`."""


def _nothing(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    return _nothing_more


def _no_namespace(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    """A runtime that has no path any more: it is the kernel's to end the namespace, later."""
    name = attachment.namespace
    attachment.netns = ""
    return lambda: run(f"ip netns del {name}")


def _namespace_gone(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    run(f"ip netns del {attachment.namespace}")
    return _nothing_more


def _held_without_path(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    """As when a process of the container still runs."""
    held = os.open(attachment.netns, os.O_RDONLY | os.O_CLOEXEC)
    run(f"ip netns del {attachment.namespace}")
    return lambda: os.close(held)


def _interface_gone(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    run(f"ip link del {attachment.interface}", attachment.namespace)
    return _nothing_more


def _host_end_gone(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    names = host_ends(attachment)
    if not names:
        raise NotApplicable("the result names no end of the link on the host")
    for name in names:
        run(f"ip link del {name}")
    return _nothing_more


def _no_result(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    attachment.result = attachment.before = None
    return _nothing_more


def _master_gone(scene: Scene, attachment: Attachment) -> Callable[[], object]:
    if "master" not in scene.subject.config:
        raise NotApplicable("its configuration has no `master`")
    run(f"ip link del {scene.subject.config['master']}")
    return _nothing_more


def _nothing_more() -> None:
    pass


def host_ends(attachment: Attachment) -> list[str]:
    """The ends of pairs outside of the container that the result names."""
    named = {one["name"] for one in (attachment.result or {}).get("interfaces", [])
             if not one.get("sandbox")}  # fmt: skip
    kinds = {link["ifname"]: link.get("linkinfo", {}).get("info_kind") for link in ip("-d link")}
    return sorted(name for name in named if kinds.get(name) in ("veth", "netkit"))


_SITUATIONS: tuple[tuple[str, str, Situation, frozenset[str]], ...] = (
    ("twice", "where all is there", _nothing, ROLES),
    ("no-namespace", "where CNI_NETNS is empty", _no_namespace, ROLES),
    ("namespace-gone", "where the namespace is gone", _namespace_gone, ROLES),
    ("path-gone", "where the path is gone and the namespace lives", _held_without_path, ROLES),
    ("interface-gone", "where the interface is gone", _interface_gone, frozenset({MAIN, CHAINED})),
    ("host-end-gone", "where the link's end on the host is gone", _host_end_gone,
     frozenset({MAIN, CHAINED})),
    ("no-result", "without prevResult", _no_result, ROLES),
    ("master-gone", "where the interface that it was put on is gone", _master_gone,
     frozenset({MAIN})),
)  # fmt: skip


def _deleted_twice(situation: Situation) -> Callable[[Scene], None]:
    def ask(scene: Scene) -> None:
        scene.live_once()
        attachment = scene.container()
        scene.prepare(attachment)
        before = host()
        scene.begin_with(attachment)
        path = Path(attachment.netns)
        end = situation(scene, attachment)
        gone = not path.exists()
        for _ in ("once", "and again"):
            succeeded(scene.call("DEL", attachment))
        if gone and path.exists():
            raise Failed(f"it has made a file {path}, where the namespace was")
        end()
        if left := scene.left_over(before):
            raise Failed(f"this is left on the host: {few(left)}")

    return ask


for _name, _where, _situation, _roles in _SITUATIONS:
    FAMILY.add(
        _name,
        f"DEL {_where} succeeds, a second one too, and nothing is left",
        _DEL,
        _deleted_twice(_situation),
        *_roles,
    )


@FAMILY.check(_DEL)
def never_attached(scene: Scene) -> None:
    """DEL of a container that was never attached succeeds, and changes nothing"""
    scene.live_once()
    attachment = scene.container()
    scene.prepare(attachment)
    before = host()
    succeeded(scene.call("DEL", attachment))
    if changed := scene.unchanged(before):
        raise Failed(f"this has changed: {few(changed)}")


@FAMILY.check(_DEL)
def without_state(scene: Scene) -> None:
    """DEL succeeds where the state that plugins keep in files is gone"""
    attachment = scene.attach(scene.container())
    for path in state_files():
        path.unlink(missing_ok=True)
    succeeded(scene.call("DEL", attachment))


@FAMILY.check(_DEL, MAIN, CHAINED)
def container_is_as_before(scene: Scene) -> None:
    """DEL leaves the container's namespace as ADD has found it"""
    attachment = scene.container()
    scene.prepare(attachment)
    inside = set(network(attachment.namespace))
    scene.begin_with(attachment)
    succeeded(scene.call("DEL", attachment))
    if changed := unchanged(inside, lambda: set(network(attachment.namespace))):
        raise Failed(f"this has changed in the container: {few(changed)}")


def _touches_no_other(scene: Scene, attachment: Attachment) -> None:
    """ADD and DEL of `attachment`, beside one that is there, leave the host as it was."""
    scene.prepare(attachment)
    before = host()
    try:
        scene.add(attachment)
    except Failed as error:
        raise NotApplicable(f"the ADD of the second: {error.message}") from None
    succeeded(scene.call("DEL", attachment))
    if changed := scene.unchanged(before):
        raise Failed(f"of what the other has, this has changed: {few(changed)}")


@FAMILY.check(_DEL, MAIN, CHAINED, IPAM)
def another_container_stays(scene: Scene) -> None:
    """DEL does not touch another container of the network"""
    scene.live_once(other=True)
    scene.attach(scene.container("c1"))
    _touches_no_other(scene, scene.container("c2", other=True))


@FAMILY.check("Parameters", MAIN, CHAINED, IPAM)
def another_interface_stays(scene: Scene) -> None:
    """DEL does not touch another interface of the same container in the same network"""
    scene.live_once(other=True)
    first = scene.attach(scene.container("c1"))
    second = Attachment("c1", first.netns, "eth1", other=True)
    _touches_no_other(scene, second)


@FAMILY.check("Parameters", MAIN, CHAINED, IPAM)
def another_network_stays(scene: Scene) -> None:
    """DEL does not touch the same container's interface in another network"""
    network = f"{scene.subject.network}-2"
    scene.live_once(other=True, network=network)
    first = scene.attach(scene.container("c1"))
    second = Attachment("c1", first.netns, "eth1", other=True, network=network)
    _touches_no_other(scene, second)
