"""VRFs in the container, and the interfaces in them."""

from __future__ import annotations

from typing import Any

from ...model.plan import Drift
from ...model.vrf import Vrf, VrfPort, VrfRules
from ..netlink import addresses, links, vrfs
from ..netlink.refusals import GONE, THERE, tolerating
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .addresses import wait_for_dad
from .container_link import kind_required
from .handler import Handler, compare, missing


class VrfRulesHandler(Handler[VrfRules]):
    def exists(self, at: Places, resource: VrfRules) -> bool:
        sock = at.socket(resource.place)
        return any(vrfs.has_rule(sock, family) for family in vrfs.FAMILIES.values())

    def create(self, at: Places, resource: VrfRules) -> None:
        """What a kernel can't do of it, it says when the VRF is made."""
        sock = at.socket(resource.place)
        sock.transact(*vrfs.rules_added(), tolerated=(*THERE, *vrfs.LACKING))

    def verify(self, at: Places, resource: VrfRules) -> list[Drift]:
        sock = at.socket(resource.place)
        return [
            missing(f"IPv{version} rule lookup [l3mdev-table]")
            for version, family in vrfs.FAMILIES.items()
            if vrfs.has_rule(sock, family) is False
        ]

    def delete(self, at: Places, resource: VrfRules, previous: str | None) -> None:
        sock = at.socket(resource.place)
        if not links.of_kind(sock, "vrf"):
            sock.transact(*vrfs.rules_removed(), tolerated=(*GONE, *vrfs.LACKING))


class VrfHandler(Handler[Vrf]):
    def exists(self, at: Places, resource: Vrf) -> bool:
        found = links.by_name(at.socket(resource.place), resource.name)
        return found is not None and found.kind == "vrf"

    def create(self, at: Places, resource: Vrf) -> None:
        sock = at.socket(resource.place)
        if not self.exists(at, resource):
            with kind_required("vrf"):
                sock.transact(vrfs.added(resource.name, resource.table))
        sock.transact(links.up(resource.name))

    def verify(self, at: Places, resource: Vrf) -> list[Drift]:
        sock = at.socket(resource.place)
        found = links.by_name(sock, resource.name)
        if found is None:
            return [missing(resource.name)]
        if found.kind != "vrf":
            return compare(resource.name, kind=("vrf", found.kind))
        state = ("up", "up" if found.up else "down")
        table = (resource.table, vrfs.table_of(sock, resource.name))
        return compare(resource.name, state=state, table=table)

    def delete(self, at: Places, resource: Vrf, previous: str | None) -> None:
        sock = at.socket(resource.place)
        found = links.by_name(sock, resource.name)
        if found is None or found.kind != "vrf" or links.ports(sock, found.index):
            return
        with tolerating(GONE):
            sock.transact(links.deletion(found.index, found.name))


class VrfPortHandler(Handler[VrfPort]):
    def exists(self, at: Places, resource: VrfPort) -> bool:
        return not self.verify(at, resource)

    def create(self, at: Places, resource: VrfPort) -> None:
        """Until its addresses are what they were: the kernel looks for duplicates of them anew."""
        sock = at.socket(resource.place)
        link = links.required(sock, resource.name)
        usable = [each for each in addresses.on(sock, link.index) if not each.tentative]
        vrf = links.required_index(sock, resource.vrf)
        sock.transact(links.master(resource.name, vrf, resource.vrf))
        for each in usable:
            if link.up and ":" in each.address and not each.link_local:
                wait_for_dad(sock, link, each.address)

    def verify(self, at: Places, resource: VrfPort) -> list[Drift]:
        sock = at.socket(resource.place)
        found = links.by_name(sock, resource.name)
        if found is None:
            return [missing(resource.name)]
        return compare(resource.name, VRF=(resource.vrf, _name(sock, found.master)))

    def delete(self, at: Places, resource: VrfPort, previous: str | None) -> None:
        sock = at.socket(resource.place)
        found = links.by_name(sock, resource.name)
        vrf = links.by_index(sock, found.master) if found and found.master else None
        if vrf is None or vrf.kind != "vrf" or resource.vrf not in ("", vrf.name):
            return
        with tolerating(GONE):
            sock.transact(links.master(resource.name, 0, ""))


def _name(sock: Socket, index: int) -> str | None:
    return links.name_of(sock, index) if index else None


HANDLERS: dict[str, Handler[Any]] = {
    Vrf.kind: VrfHandler(),
    VrfPort.kind: VrfPortHandler(),
    VrfRules.kind: VrfRulesHandler(),
}
