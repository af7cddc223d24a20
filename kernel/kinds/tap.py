"""Taps: made by their own device, and else like other links of a container."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ...model.container_link import Tap
from ...model.errors import UnsupportedField
from ...model.plan import Drift
from ..netlink import links, tuntap
from ..netlink.rtnl import number
from ..places import Places
from .container_link import ContainerLinkHandler, in_the_way, mark
from .handler import compare

# linux/if_link.h, IFLA_TUN_*
_OWNER = 1
_GROUP = 2
_TYPE = 3
_PERSIST = 6
_MULTI_QUEUE = 7
_SELINUX = "/sys/fs/selinux/enforce"


class TapHandler(ContainerLinkHandler[Tap]):
    def create(self, at: Places, resource: Tap) -> None:
        """All of it before it is told to stay: what is refused leaves nothing."""
        if resource.selinux and os.path.exists(_SELINUX):  # noqa: PTH110
            raise UnsupportedField(
                f"selinuxContext {resource.selinux}: a tap has the context of who makes it, and"
                " pynet makes none in another one's; leave the key out"
            )
        if self.exists(at, resource):
            raise in_the_way(at, resource.name)
        sock = at.socket("sandbox")
        sandbox = at.namespace("sandbox")
        with tuntap.made(sandbox, resource.name, multi_queue=resource.multi_queue) as device:
            sock.transact(links.address(resource.name, resource.mac))
            if resource.mtu:
                sock.transact(links.mtu(resource.name, resource.mtu))
            self._join(at, resource)
            mark(at, resource)
            tuntap.keep(device, resource.name, resource.owner, resource.group)

    def verify(self, at: Places, resource: Tap) -> list[Drift]:
        drifts = super().verify(at, resource)
        if not resource.bridge or any(drift.property in ("presence", "kind") for drift in drifts):
            return drifts
        sock = at.socket("sandbox")
        found = links.by_name(sock, resource.name)
        master = links.name_of(sock, found.master) if found and found.master else None
        return drifts + compare(resource.name, master=(resource.bridge, master))

    def options(self, resource: Tap, data: dict[int, bytes]) -> dict[str, tuple[Any, Any]]:
        found = {kind: number(value) for kind, value in data.items()}
        return {
            "mode": ("tap", "tap" if found.get(_TYPE) == tuntap.IFF_TAP else "tun"),
            "owner": (resource.owner, found.get(_OWNER)),
            "group": (resource.group, found.get(_GROUP)),
            "persist": (True, bool(found.get(_PERSIST))),
            "multiQueue": (resource.multi_queue, bool(found.get(_MULTI_QUEUE))),
        }

    def mend(self, at: Places, resources: Sequence[Tap], drifts: Sequence[Drift]) -> None:
        super().mend(at, resources, drifts)
        for resource in resources:
            if any(drift.property == "master" for drift in drifts):
                self._join(at, resource)

    def _join(self, at: Places, resource: Tap) -> None:
        """`ip link set NAME master BRIDGE`, both in the container. Raises `KernelError`."""
        if resource.bridge:
            sock = at.socket("sandbox")
            bridge = links.required_index(sock, resource.bridge)
            sock.transact(links.master(resource.name, bridge, resource.bridge))
