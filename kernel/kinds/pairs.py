"""Pairs of links: an end on the host and one in the sandbox; and a bridge's leg in a VLAN."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from ...model.errors import AlreadyAttached, KernelError
from ...model.link_pair import LinkPair, Netkit, Veth
from ...model.plan import Drift
from ...model.query import Link
from ...model.resources import VlanGateway
from ...model.shown import command
from ..netlink import links, moving, pairs, ports
from ..netlink.refusals import vlans_required
from ..netlink.rtnl import number
from ..netlink.rtnl_socket import Socket
from ..netlink.stacked import data_of
from ..places import Places
from ..witness import delete_from_inside, ends_inside
from .handler import Handler, compare, missing
from .links import ready_for_ipv6, set_attributes
from .ports import keep_mac, set_vlans, vlan_drift

Kind = TypeVar("Kind", bound=LinkPair)


class PairHandler(Handler[Kind], Generic[Kind]):
    """Name and MAC tell ours from somebody else's: an alias would be set too late."""

    def data(self) -> bytes:
        """The attributes of its kind that it is made with."""
        return b""

    def options(self, at: Places, resource: Kind) -> list[Drift]:
        """What of its kind is not as it was made; both ends are there."""
        return []

    def exists(self, at: Places, resource: Kind) -> bool:
        return links.by_name(at.socket("host"), resource.name) is not None

    def create(self, at: Places, resource: Kind) -> None:
        operation = pairs.pair(
            resource.kind,
            resource.name,
            resource.mac,
            resource.peer,
            resource.peer_mac,
            mtu=resource.mtu,
            peer_namespace=at.namespace("sandbox"),
            data=self.data(),
        )
        try:
            at.socket("host").transact(operation)
        except KernelError as error:
            if error.errno != errno.EEXIST:
                raise
            inside = links.by_name(at.socket("sandbox"), resource.peer)
            raise taken(resource, inside, at.name("sandbox")) from error

    def verify(self, at: Places, resource: Kind) -> list[Drift]:
        host = links.by_name(at.socket("host"), resource.name)
        inside = links.by_name(at.socket("sandbox"), resource.peer)
        drifts = _end(resource.kind, resource.name, host, resource.mac, resource.mtu)
        drifts += _end(resource.kind, resource.peer, inside, resource.peer_mac, resource.mtu)
        if host and inside and not drifts:
            paired = (host.peer, inside.peer) == (inside.index, host.index)
            drifts += compare(resource.name, peer=(resource.peer, resource.peer if paired else ""))
            drifts += self.options(at, resource)
        return drifts

    def mend(self, at: Places, resources: Sequence[Kind], drifts: Sequence[Drift]) -> None:
        for resource in resources:
            self.mend_one(at, resource, drifts)

    def mend_one(self, at: Places, resource: Kind, drifts: Sequence[Drift]) -> None:
        """A pair that is gone is made again; ends that were renamed have their names back."""
        host, inside = at.socket("host"), at.socket("sandbox")
        ends = (host, resource.name), (inside, resource.peer)
        here, there = (links.by_name(sock, name) for sock, name in ends)
        if here is None and there is None:
            there = next(iter(ends_inside(at, resource)), None)
            if there is None:
                self.create(at, resource)
                return
            _rename(inside, there, resource.peer)
        if here is None and there is not None:
            _rename_back(host, there, resource.name)
        if there is None and here is not None:
            _rename_back(inside, here, resource.peer)
        for sock, name in ends:
            set_attributes(sock, name, drifts)

    def delete(self, at: Places, resource: Kind, previous: str | None) -> None:
        if not _delete_pair(at, resource.kind, resource.name, resource.mac):
            # Renamed, moved, or given another MAC: the container's end goes with it all the same.
            delete_from_inside(at, resource)


class VethHandler(PairHandler[Veth]):
    """Its kind has no attributes of use here."""


class NetkitHandler(PairHandler[Netkit]):
    """The container can't change what is looked at here: it has not the primary end."""

    def data(self) -> bytes:
        return pairs.netkit_data()

    def options(self, at: Places, resource: Netkit) -> list[Drift]:
        found = data_of(at.socket("host"), resource.name)
        return compare(
            resource.name,
            mode=("l2", _called(pairs.NETKIT_MODES, found, pairs.NETKIT_MODE)),
            policy=("forward", _called(pairs.NETKIT_POLICIES, found, pairs.NETKIT_POLICY)),
            peer_policy=(
                "forward",
                _called(pairs.NETKIT_POLICIES, found, pairs.NETKIT_PEER_POLICY),
            ),
        )

    def mend_one(self, at: Places, resource: Netkit, drifts: Sequence[Drift]) -> None:
        super().mend_one(at, resource, drifts)
        if self.options(at, resource):
            at.socket("host").transact(pairs.netkit_forwarding(resource.name))


def _called(names: Mapping[str, int], found: Mapping[int, bytes], attribute: int) -> str:
    """What the number in that attribute is called, or its digits."""
    value = number(found.get(attribute, b""))
    return next((name for name, known in names.items() if known == value), str(value))


def taken(resource: LinkPair, inside: Link | None, sandbox: str) -> AlreadyAttached:
    """Which of the two ends stands there; `inside` is what the namespace named `sandbox` has."""
    if inside is not None:
        return AlreadyAttached(
            f"container interface {resource.peer} already exists in {sandbox}; "
            "DEL it first, or choose another CNI_IFNAME"
        )
    return AlreadyAttached(
        f"host interface {resource.name} already exists; "
        f"{command('ip', 'link', 'del', resource.name)} removes it if nothing uses it"
    )


def _rename_back(sock: Socket, other: Link, name: str) -> None:
    """`ip link set OLD name NAME`, of the end whose other end is `other`.

    Raises `KernelError` where it is in no namespace that we were told of.
    """
    end = links.by_index(sock, other.peer) if other.peer else None
    if end is None or end.kind != other.kind or end.peer != other.index:
        raise KernelError(
            f"interface {name} in {sock.where} is gone, but not {other.name}, its other end: "
            "somebody has moved it",
            errno=errno.ENODEV,
        )
    _rename(sock, end, name)


def _rename(sock: Socket, end: Link, name: str) -> None:
    was_up = [links.up(name)] if end.up else []
    # An interface that is up keeps its name in kernels before 6.2. What goes with that (addresses,
    # routes) is looked at next.
    sock.transact(links.down(end.name), moving.renamed(end.index, end.name, name), *was_up)


class VlanGatewayHandler(Handler[VlanGateway]):
    def exists(self, at: Places, resource: VlanGateway) -> bool:
        return links.by_name(at.socket("host"), resource.name) is not None

    def create(self, at: Places, resource: VlanGateway) -> None:
        """A pair that is there, from an earlier user or an interrupted one, is set up again."""
        sock = at.socket("host")
        if not self.exists(at, resource):
            sock.transact(
                pairs.pair("veth", resource.name, resource.mac, resource.port, mtu=resource.mtu)
            )
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
        drifts = _end("veth", resource.name, found, resource.mac, resource.mtu)
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

    def mend(self, at: Places, resources: Sequence[VlanGateway], drifts: Sequence[Drift]) -> None:
        super().mend(at, resources, drifts)
        for resource in resources:
            set_attributes(at.socket("host"), resource.name, drifts)

    def delete(self, at: Places, resource: VlanGateway, previous: str | None) -> None:
        _delete_pair(at, "veth", resource.name, resource.mac)


def _end(kind: str, name: str, found: Link | None, mac: str, mtu: int) -> list[Drift]:
    if found is None:
        return [missing(name)]
    return compare(
        name,
        kind=(kind, found.kind),
        MAC=(mac or found.mac, found.mac),
        MTU=(mtu or found.mtu, found.mtu),
    )


def _delete_pair(at: Places, kind: str, name: str, mac: str) -> bool:
    """`ip link del NAME`, if it is the one we made; whether it was."""
    found = links.by_name(at.socket("host"), name)
    if found is None or found.kind != kind or found.mac != mac:
        return False
    at.delete_link(found.index, name)
    return True
