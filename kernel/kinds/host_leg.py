"""The host's own link beside those of its containers on one parent."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from ...model.errors import KernelError
from ...model.host_leg import HostLeg
from ...model.plan import Drift
from ...model.query import Link
from ..netlink import links
from ..netlink.refusals import THERE, tolerating
from ..netlink.stacked import data_of, mode_data, mode_of, stacked
from ..places import Places
from .container_link import kind_required
from .handler import Handler, compare, missing
from .links import ready_for_ipv6, set_attributes

_ARP = (("arp_ignore", "1"), ("arp_announce", "2"))
"""On the wire it speaks of its own addresses alone. Else whoever asks there for another address
of the host's would be answered twice, by two MACs, of which one goes with the last container."""


class HostLegHandler(Handler[HostLeg]):
    """Name and MAC tell ours from somebody else's; where it has no MAC of its own, its name."""

    def exists(self, at: Places, resource: HostLeg) -> bool:
        found = links.by_name(at.socket("host"), resource.name)
        return found is not None and found.kind == resource.link

    def create(self, at: Places, resource: HostLeg) -> None:
        sock = at.socket("host")
        found = links.by_name(sock, resource.name)
        if found is None:
            self._make(at, resource)
            found = links.required(sock, resource.name)
        if found.kind != resource.link:
            raise KernelError(
                f"interface {resource.name} is there already and is no {resource.link} link but "
                f"{found.kind or 'a device without a kind'}; rename it",
                errno=errno.EEXIST,
            )
        if not found.up:
            ready_for_ipv6(at, resource.name)
            for key, value in _ARP:
                at.set_sysctl("host", f"ipv4/conf/{resource.name}/{key}", value)
            sock.transact(links.up(resource.name))

    @staticmethod
    def _make(at: Places, resource: HostLeg) -> None:
        """Down at first. Somebody else may make it at the same moment."""
        sock = at.socket("host")
        operation = stacked(
            resource.link,
            resource.name,
            parent=links.required_index(sock, resource.parent),
            mac=resource.mac,
            data=mode_data(resource.link, resource.mode),
        )
        with tolerating(THERE), kind_required(resource.link):
            sock.transact(operation)

    def verify(self, at: Places, resource: HostLeg) -> list[Drift]:
        sock = at.socket("host")
        found = links.by_name(sock, resource.name)
        if found is None:
            return [missing(resource.name)]
        if found.kind != resource.link:
            return compare(resource.name, kind=(resource.link, found.kind))
        mode = mode_of(resource.link, data_of(sock, resource.name))
        parent = links.index(sock, resource.parent)
        on = resource.parent if parent == found.parent else f"index {found.parent}"
        return compare(
            resource.name,
            MAC=(resource.mac or found.mac, found.mac),
            mode=(resource.mode, mode),
            parent=(resource.parent, on),
            state=("up", "up" if found.up else "down"),
        )

    def mend(self, at: Places, resources: Sequence[HostLeg], drifts: Sequence[Drift]) -> None:
        super().mend(at, resources, drifts)
        for resource in resources:
            set_attributes(at.socket("host"), resource.name, drifts)

    def delete(self, at: Places, resource: HostLeg, previous: str | None) -> None:
        found = links.by_name(at.socket("host"), resource.name)
        if found and self._is_ours(found, resource):
            at.delete_link(found.index, found.name)

    @staticmethod
    def _is_ours(found: Link, resource: HostLeg) -> bool:
        return found.kind == resource.link and resource.mac in ("", found.mac)
