"""What is pynet's on a host by its name or its mark, and on no record: the store was lost or moved.

Rules that hold here:
- What tells nobody whose it is (forwarding that is on) is named, with the command, and left.
- Of a runtime's results only those of pynet's attachments go: the interfaces that they tell of have
  names and MACs that are made of the attachment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...engine.survey import bridges_made
from ...model.request import Attachment
from ...model.resources import Bridge, Forwarding
from ..cni.result_cache import Cached, ResultCache, default_directory

if TYPE_CHECKING:
    from ...kernel.world import KernelWorld

Key = tuple[str, str, str]
"""Network, container and interface."""

_SWITCHES = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def bridges(world: KernelWorld, recorded: Collection[str]) -> list[Bridge]:
    """Those with the MAC that pynet gives them, but for those of the names `recorded`."""
    return [bridge for bridge in bridges_made(world) if bridge.name not in recorded]


def delete(world: KernelWorld, bridge: Bridge) -> list[str]:
    """What is left of it, in a line: one that others have ports in stays."""
    world.delete([(bridge, None)])
    return [f"bridge {bridge.name}: others have ports in it"] if world.exists(bridge) else []


def switched_on(world: KernelWorld, recorded: Collection[int]) -> Iterator[tuple[str, str]]:
    """What may have been off before pynet, and why it stays: families that are not `recorded`."""
    for family, setting in _SWITCHES.items():
        if family not in recorded and world.exists(Forwarding(family=family)):
            why = f"whether it was on before, no record tells; if not: `sysctl -w {setting}=0`"
            yield f"IPv{family} forwarding, which is on", why


# --- what a runtime keeps -------------------------------------------------------------------------


def results(world: KernelWorld, recorded: Collection[Key], ends: Collection[str]) -> list[Cached]:
    """Those of attachments of pynet's that end with it, or have ended: their container is gone, or
    has one of these `ends` on the host. Those that are `recorded` go with their record.
    """
    return [
        cached
        for cached in ResultCache(default_directory()).attachments()
        if _key(cached) not in recorded
        and _is_ours(cached)
        and (_attachment(cached).host_end in ends or _is_gone(world, cached))
    ]


def forget(cached: Cached) -> None:
    """Raises OSError."""
    ResultCache(default_directory()).remove(cached.network, cached.target)


def _key(cached: Cached) -> Key:
    return cached.network, cached.target.container, cached.target.interface


def _attachment(cached: Cached) -> Attachment:
    return Attachment(*_key(cached))


def _is_ours(cached: Cached) -> bool:
    """Whether pynet has attached it: `pynet attach` marks that, and plugins name what they make."""
    if cached.sandbox.cookie:
        return True
    attachment = _attachment(cached)
    marks = {attachment.host_end, attachment.mac("host"), attachment.mac("container")}
    told = cached.result.get("interfaces")
    interfaces = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return any(one.get(key) in marks for one in interfaces for key in ("name", "mac"))


def _is_gone(world: KernelWorld, cached: Cached) -> bool:
    netns, cookie = cached.target.netns, cached.sandbox.cookie
    if cookie:
        return not world.reaches(netns, cookie)
    return bool(netns) and not Path(netns).exists()
