"""Addresses and routes, of the host and of the sandbox."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from time import monotonic, sleep

from ..model.errors import KernelError
from ..model.plan import Drift
from ..model.query import Link
from ..model.resources import AddressRemoved, GatewayAddress, InterfaceAddress, InterfaceRoute
from . import addresses, links, routes
from .handler import Handler, missing
from .link_batch import LinkHandler
from .places import Places
from .refusals import GONE, THERE, tolerating
from .rtnl import Operation, family_of
from .rtnl_socket import Socket

_DAD_LIMIT = 5.0
_DAD_STEP = 0.02


def _present(sock: Socket, name: str, cidr: str) -> bool:
    index = links.index(sock, name)
    return bool(index) and _of(sock, index, cidr) is not None


def _of(sock: Socket, index: int, cidr: str) -> addresses.Assigned | None:
    wanted = addresses.canonical(cidr)
    found = addresses.on(sock, index, family_of(cidr))
    return next((each for each in found if each.address == wanted), None)


def _drift(sock: Socket, name: str, cidr: str) -> list[Drift]:
    index = links.index(sock, name)
    if not index:
        return [missing(name)]
    found = _of(sock, index, cidr)
    if found is None:
        return [missing(name, f"address {cidr}")]
    if found.duplicate:
        return [Drift(name, f"address {cidr}", "usable", "a duplicate of another host's")]
    return []


def _remove(sock: Socket, name: str, cidr: str) -> None:
    """`ip addr del CIDR dev NAME`, and nothing else.

    With the first IPv4 address of a subnet the kernel takes the others of it, too (unless
    `promote_secondaries` is set): they are put back.
    """
    index = links.index(sock, name)
    if not index or _of(sock, index, cidr) is None:
        return
    before = _texts(sock, index, cidr)
    with tolerating(GONE):
        sock.transact(addresses.removed(index, name, cidr))
    lost = before - _texts(sock, index, cidr) - {addresses.canonical(cidr)}
    for text in sorted(lost):
        with tolerating(THERE):
            sock.transact(addresses.added(index, name, text))


def _texts(sock: Socket, index: int, cidr: str) -> set[str]:
    return {each.address for each in addresses.on(sock, index, family_of(cidr))}


class InterfaceAddressHandler(LinkHandler[InterfaceAddress]):
    def exists(self, at: Places, resource: InterfaceAddress) -> bool:
        return _present(at.socket(resource.place), resource.name, resource.address)

    def operations(
        self, resource: InterfaceAddress, index: Callable[[str], int]
    ) -> Iterator[Operation]:
        name = resource.name
        yield addresses.added(index(name), name, resource.address, dad=resource.dad)

    def settle(self, at: Places, resource: InterfaceAddress) -> None:
        # Detection begins when the link is up; before that there is nothing to wait for.
        if resource.dad and ":" in resource.address:
            sock = at.socket(resource.place)
            link = links.required(sock, resource.name)
            if link.up:
                _wait_for_dad(sock, link, resource.address)

    def verify(self, at: Places, resource: InterfaceAddress) -> list[Drift]:
        return _drift(at.socket(resource.place), resource.name, resource.address)

    def delete(self, at: Places, resource: InterfaceAddress, previous: str | None) -> None:
        _remove(at.socket(resource.place), resource.name, resource.address)


def _wait_for_dad(sock: Socket, link: Link, cidr: str) -> None:
    """Until the address is usable. Raises `KernelError` for a duplicate, or after 5 s."""
    end = monotonic() + _DAD_LIMIT
    while found := _of(sock, link.index, cidr):
        if found.duplicate:
            raise KernelError(
                f"address {cidr} on {link.name} in {sock.where}: another host on the link "
                "uses it (duplicate address detection)",
                errno=errno.EADDRINUSE,
            )
        if not found.tentative:
            return
        if monotonic() > end:
            break
        sleep(_DAD_STEP)
    raise KernelError(
        f"address {cidr} on {link.name} in {sock.where} is not usable after "
        f"{_DAD_LIMIT:.0f} s of duplicate address detection; has the link a carrier?",
        errno=errno.ETIMEDOUT,
    )


class GatewayAddressHandler(LinkHandler[GatewayAddress]):
    def exists(self, at: Places, resource: GatewayAddress) -> bool:
        return _present(at.socket("host"), resource.name, resource.address)

    def operations(
        self, resource: GatewayAddress, index: Callable[[str], int]
    ) -> Iterator[Operation]:
        yield addresses.added(index(resource.name), resource.name, resource.address)

    def settle(self, at: Places, resource: GatewayAddress) -> None:
        # A bridge found without a MAC of its own takes its ports' lowest, which would change
        # under the containers: given the one it has, it keeps it.
        if resource.bridge_mac:
            at.socket("host").transact(links.address(resource.name, resource.bridge_mac))

    def verify(self, at: Places, resource: GatewayAddress) -> list[Drift]:
        return _drift(at.socket("host"), resource.name, resource.address)

    def delete(self, at: Places, resource: GatewayAddress, previous: str | None) -> None:
        _remove(at.socket("host"), resource.name, resource.address)


class AddressRemovedHandler(Handler[AddressRemoved]):
    def exists(self, at: Places, resource: AddressRemoved) -> bool:
        return not _present(at.socket("host"), resource.name, resource.address)

    def create(self, at: Places, resource: AddressRemoved) -> None:
        _remove(at.socket("host"), resource.name, resource.address)

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
        yield routes.appended(_route(resource, index(resource.name)), _text(resource))

    def verify(self, at: Places, resource: InterfaceRoute) -> list[Drift]:
        return [] if self.exists(at, resource) else [missing(f"route {_text(resource)}")]

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
    )


def _text(resource: InterfaceRoute) -> str:
    via = f" via {resource.gw}" if resource.gw else ""
    table = f" table {resource.table}" if resource.table else ""
    return f"{resource.dst}{via} dev {resource.name}{table}"
