"""Veth pairs: one end on the host and one in the sandbox, and a bridge's leg in a VLAN."""

from __future__ import annotations

import errno

from ..model.errors import AlreadyAttached, KernelError
from ..model.plan import Drift
from ..model.query import Link
from ..model.resources import Veth, VlanGateway
from . import links, ports
from .handler import Handler, compare, missing
from .link_kinds import ready_for_ipv6
from .places import Places
from .port_kinds import keep_mac, set_vlans, vlan_drift
from .refusals import vlans_required


class VethHandler(Handler[Veth]):
    """Name and MAC tell ours from somebody else's: an alias would be set too late."""

    def exists(self, at: Places, resource: Veth) -> bool:
        return links.by_name(at.socket("host"), resource.name) is not None

    def create(self, at: Places, resource: Veth) -> None:
        operation = links.veth(
            resource.name,
            resource.mac,
            resource.peer,
            resource.peer_mac,
            mtu=resource.mtu,
            peer_namespace=at.namespace("sandbox"),
        )
        try:
            at.socket("host").transact(operation)
        except KernelError as error:
            if error.errno != errno.EEXIST:
                raise
            raise self._taken(at, resource) from error

    def _taken(self, at: Places, resource: Veth) -> AlreadyAttached:
        """Which of the two ends the kernel found there."""
        if links.by_name(at.socket("sandbox"), resource.peer) is not None:
            return AlreadyAttached(
                f"container interface {resource.peer} already exists in {at.name('sandbox')}; "
                "DEL it first, or choose another CNI_IFNAME"
            )
        return AlreadyAttached(
            f"host interface {resource.name} already exists; "
            f"`ip link del {resource.name}` removes it if nothing uses it"
        )

    def verify(self, at: Places, resource: Veth) -> list[Drift]:
        host = links.by_name(at.socket("host"), resource.name)
        inside = links.by_name(at.socket("sandbox"), resource.peer)
        drifts = _end(resource.name, host, resource.mac, resource.mtu)
        drifts += _end(resource.peer, inside, resource.peer_mac, resource.mtu)
        if host and inside and not drifts:
            paired = (host.peer, inside.peer) == (inside.index, host.index)
            drifts += compare(resource.name, peer=(resource.peer, resource.peer if paired else ""))
        return drifts

    def delete(self, at: Places, resource: Veth, previous: str | None) -> None:
        _delete_pair(at, resource.name, resource.mac)


class VlanGatewayHandler(Handler[VlanGateway]):
    def exists(self, at: Places, resource: VlanGateway) -> bool:
        return links.by_name(at.socket("host"), resource.name) is not None

    def create(self, at: Places, resource: VlanGateway) -> None:
        """A pair that is there, from an earlier user or an interrupted one, is set up again."""
        sock = at.socket("host")
        if not self.exists(at, resource):
            pair = links.veth(resource.name, resource.mac, resource.port, mtu=resource.mtu)
            sock.transact(pair)
        for name in (resource.port, resource.name):
            ready_for_ipv6(at, name)
        bridge = links.required(sock, resource.bridge)
        sock.transact(links.master(resource.port, bridge.index, resource.bridge))
        keep_mac(sock, resource.bridge, resource.bridge_mac)
        with vlans_required(f"vlan {resource.vlan}"):
            set_vlans(sock, resource.port, pvid=resource.vlan, tagged=(), keep_default=False)
        sock.transact(links.up(resource.port), links.up(resource.name))

    def verify(self, at: Places, resource: VlanGateway) -> list[Drift]:
        sock = at.socket("host")
        found = links.by_name(sock, resource.name)
        drifts = _end(resource.name, found, resource.mac, resource.mtu)
        if found:
            drifts += compare(resource.name, state=("up", "up" if found.up else "down"))
        port = ports.by_name(sock, resource.port)
        if port is None:
            return [*drifts, missing(resource.port)]
        bridge = links.by_name(sock, resource.bridge)
        joined = bridge is not None and port.bridge == bridge.index
        drifts += compare(
            resource.port, master=(resource.bridge, resource.bridge if joined else "")
        )
        return drifts + vlan_drift(sock, port, resource.port, resource.vlan, ())

    def delete(self, at: Places, resource: VlanGateway, previous: str | None) -> None:
        _delete_pair(at, resource.name, resource.mac)


def _end(name: str, found: Link | None, mac: str, mtu: int) -> list[Drift]:
    if found is None:
        return [missing(name)]
    return compare(
        name,
        kind=("veth", found.kind),
        MAC=(mac or found.mac, found.mac),
        MTU=(mtu or found.mtu, found.mtu),
    )


def _delete_pair(at: Places, name: str, mac: str) -> None:
    """`ip link del NAME`, if it is the one we made."""
    found = links.by_name(at.socket("host"), name)
    if found is not None and found.kind == "veth" and found.mac == mac:
        at.delete_link(found.index, name)
