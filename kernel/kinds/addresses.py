"""Addresses and routes, of the host and of the sandbox."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_interface, ip_network
from itertools import groupby
from time import monotonic, sleep
from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from ...model.errors import CniError, KernelError
from ...model.place import Place
from ...model.plan import Drift
from ...model.query import Link
from ...model.resources import AddressRemoved, GatewayAddress, InterfaceAddress, InterfaceRoute
from ..netlink import addresses, links, routes
from ..netlink.refusals import GONE, THERE, tolerating
from ..netlink.rtnl import Operation, family_of
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .batch import LinkHandler, create_together
from .handler import Handler, missing, raise_all

_FEW = 16
_MASTER = "master"
_DAD_LIMIT = 5.0
_DAD_PATIENCE = 15.0  # it takes two seconds, and more where the kernel has much else to do
_DAD_STEP = 0.02


def _present(sock: Socket, name: str, cidr: str) -> bool:
    index = links.index(sock, name)
    return bool(index) and _of(sock, index, cidr) is not None


def _of(sock: Socket, index: int, cidr: str) -> addresses.Assigned | None:
    wanted = addresses.canonical(cidr)
    found = addresses.on(sock, index, family_of(cidr))
    return next((each for each in found if each.address == wanted), None)


Addressed: TypeAlias = InterfaceAddress | GatewayAddress
AnyAddress = TypeVar("AnyAddress", InterfaceAddress, GatewayAddress)


def _by_link(at: Places, resources: Iterable[Addressed]) -> Iterator[tuple[Socket, str, list[str]]]:
    """(socket, interface, addresses of one family) of neighbours that have these in common."""

    def where(one: Addressed) -> tuple[Place, str, int]:
        return one.place, one.name, family_of(one.address)

    for (place, name, _), group in groupby(resources, where):
        yield at.socket(place), name, [one.address for one in group]


def _drifts(sock: Socket, name: str, cidrs: Sequence[str]) -> Iterator[Drift]:
    link = links.by_name(sock, name)
    if link is None:
        yield missing(name)
        return
    if enslaved_to := _taker(sock, link):
        yield Drift(name, _MASTER, "none", enslaved_to)
    listed = addresses.on(sock, link.index, family_of(cidrs[0]))
    there = {each.address: each for each in listed}
    routed: dict[str, None] = {}
    for cidr in cidrs:
        found = there.get(addresses.canonical(cidr))
        if found is None:
            yield missing(name, f"address {cidr}")
        elif found.duplicate:
            yield Drift(name, f"address {cidr}", "usable", "a duplicate of another host's")
        elif found.routed:
            routed.setdefault(_network(cidr))
    for network in routed:
        if not _leads_there(sock, link, network):
            yield missing(_its_route(network, name))


def _taker(sock: Socket, link: Link) -> str:
    """The bridge (or bond, or switch) that takes all that comes by `link`, addresses or not; "" for
    none.

    A VRF leaves them what they are. Of a tap a bridge is configured, and its own kind sees to that.
    """
    if not link.master or link.kind == "tun":
        return ""
    master = links.by_index(sock, link.master)
    return "" if master is None or master.kind == "vrf" else master.name


def _network(cidr: str) -> str:
    return str(ip_interface(cidr).network)


def _its_route(network: str, name: str) -> str:
    return f"route {network} dev {name}"


def _leads_there(sock: Socket, link: Link, network: str) -> bool:
    """Whether the route that the kernel makes with an address is there, where it makes one.

    Or the one that the reference's `ptp` puts in its place: to the same network, by a gateway.
    """
    addresses = ip_network(network)
    if not link.up or link.master or link.name == "lo" or addresses.num_addresses == 1:
        return True  # of a VRF's links, and of loopback, it stands in other tables
    taken = routes.taken(sock, str(addresses[-2]))
    if (
        taken is not None
        and taken.link == link.index
        and (not taken.gateway or taken.length == addresses.prefixlen)
    ):
        return True
    wanted = routes.route(link.index, network)
    return routes.present(sock, wanted, f"{network} dev {link.name}")


def _remove(sock: Socket, name: str, cidrs: Sequence[str]) -> None:
    """`ip addr del CIDR dev NAME` of each, and nothing else.

    With the first IPv4 address of a subnet the kernel takes the others of it, too (unless
    `promote_secondaries` is set): they are put back. Any other that is gone meanwhile somebody
    else has removed, who means it.
    """
    index = links.index(sock, name)
    before = addresses.on(sock, index, family_of(cidrs[0])) if index else []
    wanted = {addresses.canonical(cidr) for cidr in cidrs}
    doomed = [each for each in before if each.address in wanted]
    if not doomed:
        return
    operations = (addresses.removed(index, name, each.address) for each in doomed)
    sock.transact(*operations, tolerated=GONE)
    subnets = {_network(each.address) for each in doomed if not each.secondary}
    others = [each.address for each in before if each.secondary and each.address not in wanted]
    if taken := [one for one in others if _network(one) in subnets]:
        # What is there still is refused, and what is refused so is no error.
        sock.transact(*(addresses.added(index, name, one) for one in taken), tolerated=THERE)


class AddressHandler(LinkHandler[AnyAddress]):
    """Those of one interface are listed once for all."""

    def exists(self, at: Places, resource: AnyAddress) -> bool:
        return _present(at.socket(resource.place), resource.name, resource.address)

    def verify(self, at: Places, resource: AnyAddress) -> list[Drift]:
        return self.verify_all(at, [resource])

    def verify_all(self, at: Places, resources: Sequence[AnyAddress]) -> list[Drift]:
        return [drift for found in _by_link(at, resources) for drift in _drifts(*found)]

    def mend(self, at: Places, resources: Sequence[AnyAddress], drifts: Sequence[Drift]) -> None:
        """One whose route is gone is taken away first: with a new one the kernel makes it.

        `ip link set NAME nomaster`, where somebody has put the interface into a bridge.
        """
        gone = {drift.subject for drift in drifts}
        enslaved = {drift.subject for drift in drifts if drift.property == _MASTER}
        for sock, name, cidrs in _by_link(at, resources):
            if name in enslaved:
                sock.transact(links.master(name, 0, ""))
            if lost := [one for one in cidrs if _its_route(_network(one), name) in gone]:
                _remove(sock, name, lost)
        create_together(at, [(self, resource) for resource in resources])

    def delete(self, at: Places, resource: AnyAddress, previous: str | None) -> None:
        self.delete_all(at, [(resource, previous)])

    def delete_all(self, at: Places, doomed: Sequence[tuple[AnyAddress, str | None]]) -> None:
        failures: list[Exception] = []
        for found in _by_link(at, (resource for resource, _ in doomed)):
            try:
                _remove(*found)
            except CniError as error:
                failures.append(error)
        raise_all(failures)


class InterfaceAddressHandler(AddressHandler[InterfaceAddress]):
    def operations(
        self, resource: InterfaceAddress, index: Callable[[str], int]
    ) -> Iterator[Operation]:
        name = resource.name
        yield addresses.added(
            index(name),
            name,
            resource.address,
            dad=resource.dad,
            prefix_route=resource.prefix_route,
        )

    def settle(self, at: Places, resource: InterfaceAddress) -> None:
        # Detection begins when the link is up; before that there is nothing to wait for.
        if resource.dad and ":" in resource.address:
            sock = at.socket(resource.place)
            link = links.required(sock, resource.name)
            if link.up:
                wait_for_dad(sock, link, resource.address)


def limit(sock: Socket, name: str, cidr: str, valid: int, preferred: int) -> None:
    """How many seconds an address that is there stays, and is of use for what is new.

    One that is gone is no error. Raises `KernelError`.
    """
    index = links.index(sock, name)
    if index and _of(sock, index, cidr) is not None:
        sock.transact(addresses.lasting(index, name, cidr, valid, preferred), tolerated=GONE)


def wait_for_dad(sock: Socket, link: Link, cidr: str) -> None:
    """Until the address is usable. Raises `KernelError` for a duplicate, or if it takes too long.

    That is 5 s, as the reference has it; on a link with a carrier it is the kernel that is late.
    """
    began = monotonic()
    while found := _of(sock, link.index, cidr):
        if found.duplicate:
            raise KernelError(
                f"address {cidr} on {link.name} in {sock.where}: another host on the link "
                "uses it (duplicate address detection)",
                errno=errno.EADDRINUSE,
            )
        if not found.tentative:
            return
        waited = monotonic() - began
        if waited > _DAD_LIMIT:
            running = links.required(sock, link.name).running
            if not running or waited > _DAD_PATIENCE:
                raise _undetected(sock, link, cidr, waited, running=running)
        sleep(_DAD_STEP)


def _undetected(
    sock: Socket, link: Link, cidr: str, waited: float, *, running: bool
) -> KernelError:
    why = "the kernel is late, on a link with a carrier" if running else "the link has no carrier"
    return KernelError(
        f"address {cidr} on {link.name} in {sock.where} is not usable after {waited:.0f} s of "
        f"duplicate address detection: {why}",
        errno=errno.ETIMEDOUT,
    )


class GatewayAddressHandler(AddressHandler[GatewayAddress]):
    def operations(
        self, resource: GatewayAddress, index: Callable[[str], int]
    ) -> Iterator[Operation]:
        yield addresses.added(index(resource.name), resource.name, resource.address)

    def settle(self, at: Places, resource: GatewayAddress) -> None:
        # A bridge found without a MAC of its own takes its ports' lowest, which would change
        # under the containers: given the one it has, it keeps it.
        if resource.bridge_mac:
            at.socket("host").transact(links.address(resource.name, resource.bridge_mac))


class AddressRemovedHandler(Handler[AddressRemoved]):
    def exists(self, at: Places, resource: AddressRemoved) -> bool:
        return not _present(at.socket("host"), resource.name, resource.address)

    def create(self, at: Places, resource: AddressRemoved) -> None:
        _remove(at.socket("host"), resource.name, [resource.address])

    def verify(self, at: Places, resource: AddressRemoved) -> list[Drift]:
        return []  # who puts it back afterwards means it

    def delete(self, at: Places, resource: AddressRemoved, previous: str | None) -> None:
        return


class InterfaceRouteHandler(LinkHandler[InterfaceRoute]):
    def exists(self, at: Places, resource: InterfaceRoute) -> bool:
        sock = at.socket(resource.place)
        index = links.index(sock, resource.name)
        if not index:
            return False
        return routes.present(sock, _route(resource, index), _text(resource))

    def operations(
        self, resource: InterfaceRoute, index: Callable[[str], int]
    ) -> Iterator[Operation]:
        yield routes.prepended(_route(resource, index(resource.name)), _text(resource))

    def verify(self, at: Places, resource: InterfaceRoute) -> list[Drift]:
        return [] if self.exists(at, resource) else [missing(f"route {_text(resource)}")]

    def verify_all(self, at: Places, resources: Sequence[InterfaceRoute]) -> list[Drift]:
        """Many of one interface are listed once for all: with few, a look at each costs less."""
        drifts: list[Drift] = []
        for (place, name), group in groupby(resources, lambda one: (one.place, one.name)):
            listed = list(group)
            index = links.index(at.socket(place), name) if len(listed) > _FEW else 0
            if not index:
                drifts += super().verify_all(at, listed)
                continue
            there = routes.among(at.socket(place), [_route(one, index) for one in listed])
            drifts += [
                missing(f"route {_text(one)}")
                for one, found in zip(listed, there, strict=True)
                if not found
            ]
        return drifts

    def mend(
        self, at: Places, resources: Sequence[InterfaceRoute], drifts: Sequence[Drift]
    ) -> None:
        """With an address the kernel takes it out of the IPv6 routes that have it for source: such
        a route is there still, in the way of the one that is made again.
        """
        for resource in resources:
            if resource.source and not self.exists(at, resource):
                self.delete(at, replace(resource, source=""), None)
        super().mend(at, resources, drifts)

    def delete(self, at: Places, resource: InterfaceRoute, previous: str | None) -> None:
        sock = at.socket(resource.place)
        index = links.index(sock, resource.name)
        if index:
            with tolerating(GONE):
                sock.transact(routes.removed(_route(resource, index), _text(resource)))


def _route(resource: InterfaceRoute, index: int) -> routes.Route:
    return routes.route(
        index,
        resource.dst,
        resource.gw,
        priority=resource.priority,
        table=resource.table,
        scope=resource.scope,
        mtu=resource.mtu,
        advmss=resource.advmss,
        source=resource.source,
    )


def _text(resource: InterfaceRoute) -> str:
    via = f" via {resource.gw}" if resource.gw else ""
    table = f" table {resource.table}" if resource.table else ""
    src = f" src {resource.source}" if resource.source else ""
    return f"{resource.dst}{via} dev {resource.name}{table}{src}"
