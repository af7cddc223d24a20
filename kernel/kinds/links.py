"""A link set up, and the bridge."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from ...model.errors import KernelError
from ...model.plan import Drift
from ...model.query import Link
from ...model.resources import ArpNotify, Bridge, LinkUp
from ..netlink import links
from ..netlink.refusals import GONE, THERE, tolerating, vlans_required
from ..netlink.resolving import arp_on
from ..netlink.rtnl import Operation
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .batch import LinkHandler
from .handler import Handler, compare, missing
from .sysctls import setting_drift


class LinkUpHandler(LinkHandler[LinkUp]):
    def exists(self, at: Places, resource: LinkUp) -> bool:
        found = links.by_name(at.socket(resource.place), resource.name)
        return found is not None and found.up

    def operations(self, resource: LinkUp, index: Callable[[str], int]) -> Iterator[Operation]:
        yield links.up(resource.name)

    def verify(self, at: Places, resource: LinkUp) -> list[Drift]:
        found = links.by_name(at.socket(resource.place), resource.name)
        if found is None:
            return [missing(resource.name)]
        state = compare(resource.name, state=("up", "up" if found.up else "down"))
        return state + arp_drift(found)

    def mend(self, at: Places, resources: Sequence[LinkUp], drifts: Sequence[Drift]) -> None:
        super().mend(at, resources, drifts)
        for resource in resources:
            set_attributes(at.socket(resource.place), resource.name, drifts)

    def delete(self, at: Places, resource: LinkUp, previous: str | None) -> None:
        with tolerating(GONE):
            at.socket(resource.place).transact(links.down(resource.name))


class ArpNotifyHandler(LinkHandler[ArpNotify]):
    def exists(self, at: Places, resource: ArpNotify) -> bool:
        return at.sysctl(resource.place, resource.setting) == resource.value

    def operations(self, resource: ArpNotify, index: Callable[[str], int]) -> Iterator[Operation]:
        yield links.arp_notify(resource.name, True)

    def verify(self, at: Places, resource: ArpNotify) -> list[Drift]:
        return setting_drift(
            resource.setting, resource.value, at.sysctl(resource.place, resource.setting)
        )

    def delete(self, at: Places, resource: ArpNotify, previous: str | None) -> None:
        with tolerating(GONE):
            at.socket(resource.place).transact(links.arp_notify(resource.name, False))


class BridgeHandler(Handler[Bridge]):
    """One that is there is used as it is, but is set up, and filters VLANs if that is asked."""

    def exists(self, at: Places, resource: Bridge) -> bool:
        found = links.by_name(at.socket("host"), resource.name)
        return found is not None and found.kind == "bridge"

    def create(self, at: Places, resource: Bridge) -> None:
        sock = at.socket("host")
        if not resource.vlan_filtering and links.is_up(sock, resource.name):
            return  # the usual one: whoever planned this has seen that it is a bridge
        found = links.by_name(sock, resource.name)
        if found is None:
            self._make(at, resource)
            found = links.required(sock, resource.name)
        if found.kind != "bridge":
            raise KernelError(
                f"interface {resource.name} is there already and is no bridge but "
                f"{found.kind or 'a device without a kind'}; name another bridge",
                errno=errno.EEXIST,
            )
        if resource.vlan_filtering and not found.vlan_filtering:
            with _needing_vlans(resource):
                sock.transact(links.vlan_filtering_on(resource.name))
        if not found.up:
            sock.transact(links.up(resource.name))

    def _make(self, at: Places, resource: Bridge) -> None:
        """Down at first: no router advertisement is accepted before accept_ra says so.

        Somebody else may make it at the same moment. The MTU is set afterwards, for one
        given at creation would follow that of the ports.
        """
        sock = at.socket("host")
        operation = links.bridge(
            resource.name, resource.mac, vlan_filtering=resource.vlan_filtering
        )
        with tolerating(THERE), _needing_vlans(resource):
            sock.transact(operation)
            ready_for_ipv6(at, resource.name)
            sock.transact(links.up(resource.name, mtu=resource.mtu))

    def verify(self, at: Places, resource: Bridge) -> list[Drift]:
        found = links.by_name(at.socket("host"), resource.name)
        if found is None:
            return [missing(resource.name)]
        filtering = found.vlan_filtering or not resource.vlan_filtering
        return compare(
            resource.name,
            kind=("bridge", found.kind),
            MAC=(resource.mac, found.mac),
            MTU=(resource.mtu or found.mtu, found.mtu),
            state=("up", "up" if found.up else "down"),
            vlan_filtering=(True, filtering),
        ) + arp_drift(found)

    def mend(self, at: Places, resources: Sequence[Bridge], drifts: Sequence[Drift]) -> None:
        super().mend(at, resources, drifts)
        for resource in resources:
            set_attributes(at.socket("host"), resource.name, drifts)

    def delete(self, at: Places, resource: Bridge, previous: str | None) -> None:
        """Only the bridge we made, and only without ports: somebody may have put theirs in."""
        found = links.by_name(at.socket("host"), resource.name)
        if (
            found
            and self._is_ours(found, resource)
            and not links.ports(at.socket("host"), found.index)
        ):
            at.delete_link(found.index, found.name)

    @staticmethod
    def _is_ours(found: Link, resource: Bridge) -> bool:
        return found.kind == "bridge" and found.mac == resource.mac


def arp_drift(found: Link) -> list[Drift]:
    """Where a link of a kind that asks for its neighbours asks nobody any more, nor answers."""
    asks = found.kind in ("bridge", "macvlan", "veth")
    return compare(found.name, ARP=(True, found.arp)) if asks else []


def set_attributes(sock: Socket, name: str, drifts: Sequence[Drift]) -> None:
    """`ip link set NAME address MAC mtu MTU arp on`, of what is not as it was made."""
    for drift in drifts:
        if (drift.subject, drift.property) == (name, "MAC"):
            sock.transact(links.address(name, drift.expected))
        elif (drift.subject, drift.property) == (name, "MTU"):
            sock.transact(links.mtu(name, int(drift.expected)))
        elif (drift.subject, drift.property) == (name, "ARP"):
            sock.transact(arp_on(name))


def _needing_vlans(resource: Bridge) -> AbstractContextManager[None]:
    if not resource.vlan_filtering:
        return nullcontext()
    return vlans_required(f"{resource.vlans or 'VLANs'} on bridge {resource.name}")


def ready_for_ipv6(at: Places, name: str) -> None:
    """`sysctl -w net.ipv6.conf.NAME.accept_ra=0 net.ipv6.conf.NAME.accept_dad=0`

    For what the host has in a network: no container advertises routes to the host. And until its
    link-local address is known to be nobody else's, which takes seconds, it would send no IPv6 on
    to anybody; its MAC is no accident, so it is.
    """
    for key in ("accept_ra", "accept_dad"):
        setting = f"ipv6/conf/{name}/{key}"
        at.set_sysctl("host", setting, "0", optional=True)
