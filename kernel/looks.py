"""Answers to a plan's questions.

`os.path` and no `pathlib`: an ADD looks for its IPAM plugin each time.
"""
# ruff: noqa: PTH118

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container
from socket import AF_INET, AF_INET6
from typing import Any

from ..model.device import Device, DeviceBy
from ..model.errors import CniError, Code
from ..model.forwarding import Blocker, ForwardBlockers
from ..model.kernel_kinds import KernelMakes
from ..model.link_pair import PAIRS
from ..model.query import (
    REPLACED,
    AddressesOn,
    AddressHolders,
    ClosedToForwarding,
    DefaultLink,
    DirectRoute,
    FileText,
    HasIpv6,
    HostEnd,
    HostEnds,
    IpvlanMode,
    LeadsToSandbox,
    Link,
    LinkNamed,
    Listener,
    ListenersOn,
    NetworkZone,
    PluginBinary,
    Query,
    ReplacedBinary,
    RouterLinks,
    RouterUplink,
    RoutesBy,
    SysctlValue,
    WayOutMtu,
)
from ..model.routing import RouteFound, RoutesOn, TablesInUse, TableUse
from ..model.value import Value
from ..model.witness import (
    AddressesNumbered,
    Bridges,
    LinksNumbered,
    NumberKnown,
    Pair,
    PairNamed,
    PairStands,
)
from . import advertised, devices, forwards, namespaces, routing, zones
from .netlink import addresses, links, listeners, numbers, routes, stacked, traffic_control
from .netlink.rtnl import family_of
from .places import Places
from .roots import OWN, Found, Root
from .witness import pair_named, pair_stands

_LAUNCHER = "pynet-launcher"


class Looker(Value):
    at: Places
    our_plugins: Container[str]
    root: Root = OWN

    def look(self, query: Query[Any]) -> Any:
        """Raises `CniError`. Paths are the caller's."""
        return _LOOKS[type(query)](self, query)

    def link(self, query: LinkNamed) -> Link | None:
        if not self.at.has(query.place):
            return None
        return links.by_name(self.at.socket(query.place), query.name)

    def device(self, query: DeviceBy) -> Device:
        return devices.device(self.at.socket("host"), self.root, query)

    def addresses(self, query: AddressesOn) -> tuple[str, ...]:
        if not self.at.has(query.place):
            return ()
        sock = self.at.socket(query.place)
        index = links.index(sock, query.name)
        if not index:
            return ()
        found = addresses.on(sock, index)
        return tuple(each.address for each in found if not each.link_local)

    def has_ipv6(self, query: HasIpv6) -> bool:
        return self.at.has(query.place) and addresses.ipv6_on(
            self.at.socket(query.place), query.name
        )

    def address_holders(self, query: AddressHolders) -> tuple[str, ...]:
        sock = self.at.socket("host")
        whole = addresses.canonical(f"{query.address}/{128 if ':' in query.address else 32}")
        wanted = whole.partition("/")[0]
        indexes = {
            each.link
            for each in addresses.on(sock, 0, family_of(query.address))
            if each.address.partition("/")[0] == wanted
        }
        return tuple(sorted(links.name_of(sock, index) for index in indexes))

    def host_ends(self, query: HostEnds) -> tuple[str, ...]:
        found = links.pair_ends(self.at.socket("host"))
        return tuple(link.name for link in found if query.NAME.fullmatch(link.name))

    def host_end(self, query: HostEnd) -> Link | None:
        if not self.at.has("sandbox"):
            return None
        inside = links.by_name(self.at.socket("sandbox"), query.name)
        if inside is None or inside.kind not in PAIRS or not inside.peer:
            return None
        sock = self.at.socket("host")
        end = links.by_index(sock, inside.peer)
        # Another pair's end may have that index, where this one's is in a third namespace.
        if end is None or end.kind != inside.kind or end.peer != inside.index:
            return None
        return end if end.peer_number == numbers.of(sock, self.at.namespace("sandbox")) else None

    def ipvlan_mode(self, query: IpvlanMode) -> str:
        if not self.at.has("sandbox"):
            return ""
        sock = self.at.socket("sandbox")
        link = links.by_name(sock, query.name)
        if link is None or link.kind != "ipvlan":
            return ""
        return stacked.mode_of(link.kind, stacked.data_of(sock, query.name))

    def sysctl(self, query: SysctlValue) -> str | None:
        if not self.at.has(query.place):
            return None
        return self.at.sysctl(query.place, query.key)

    def leads_to_sandbox(self, query: LeadsToSandbox) -> bool | None:
        if not self.at.has("sandbox"):
            return None
        try:
            found = self.root.network_namespace(query.path)
        except (OSError, ValueError, CniError):
            return None
        try:
            return namespaces.same(found, self.at.namespace("sandbox"))
        finally:
            os.close(found)

    def direct_route(self, query: DirectRoute) -> str:
        sock = self.at.socket("host")
        index = routes.direct(sock, query.address, alone=query.alone)
        return links.name_of(sock, index) if index else ""

    def routes_by(self, query: RoutesBy) -> tuple[tuple[str, str], ...]:
        sock = self.at.socket("host")
        index = links.index(sock, query.name)
        return tuple(routes.set_by(sock, index)) if index else ()

    def way_out_mtu(self, query: WayOutMtu) -> int:
        sock = self.at.socket("host")
        found = (routes.way_out(sock, family) for family in (AF_INET, AF_INET6))
        return min((way.mtu or links.mtu_of(sock, way.link) for way in found if way), default=0)

    def default_link(self, query: DefaultLink) -> str:
        if not self.at.has(query.place):
            return ""
        sock = self.at.socket(query.place)
        ways = (routes.way_out(sock, family) for family in (AF_INET, AF_INET6))
        return next((links.name_of(sock, way.link) for way in ways if way), "")

    def routes_on(self, query: RoutesOn) -> tuple[RouteFound, ...]:
        if not self.at.has(query.place):
            return ()
        return tuple(routing.routes_on(self.at.socket(query.place), query.name))

    def tables_in_use(self, query: TablesInUse) -> tuple[TableUse, ...]:
        if not self.at.has(query.place):
            return ()
        return tuple(routing.tables_in_use(self.at.socket(query.place)))

    def closed_to_forwarding(self, query: ClosedToForwarding) -> bool:
        known = links.index(self.at.socket("host"), query.name)
        return forwards.is_closed(self.at, query.name if known else "default")

    def router_links(self, query: RouterLinks) -> tuple[str, ...]:
        return tuple(advertised.closed_by_forwarding(self.at))

    def router_uplink(self, query: RouterUplink) -> bool:
        return advertised.is_uplink(self.at, query.name, query.bridge)

    def zone(self, query: NetworkZone) -> int:
        return zones.zone(self.at, query.interface, query.networks)

    def listeners(self, query: ListenersOn) -> tuple[Listener, ...]:
        return listeners.on(self.at.namespace("host"), query.ports)

    def kernel_makes(self, query: KernelMakes) -> bool:
        ask = stacked.makes if query.what == "link" else traffic_control.makes
        return ask(self.at.socket("host"), query.kind)

    def number_known(self, query: NumberKnown) -> bool | None:
        return numbers.is_known(self.at.socket("host"), query.number)

    def links_numbered(self, query: LinksNumbered) -> tuple[Link, ...] | None:
        found = numbers.links_in(self.at.socket("host"), query.number)
        return None if found is None else tuple(found)

    def addresses_numbered(self, query: AddressesNumbered) -> tuple[str, ...] | None:
        found = numbers.addresses_in(self.at.socket("host"), query.number)
        return None if found is None else tuple(each.address for each in found)

    def pair_stands(self, query: PairStands) -> bool | None:
        return pair_stands(self.at.socket("host"), query.mac, query.peer_mac)

    def pair_named(self, query: PairNamed) -> Pair | None:
        return pair_named(self.at.socket("host"), query.name)

    def bridges(self, query: Bridges) -> tuple[Link, ...]:
        return tuple(links.of_kind(self.at.socket("host"), "bridge"))

    def forward_blockers(self, query: ForwardBlockers) -> tuple[Blocker, ...]:
        return self.at.table().foreign.blockers()

    def file(self, query: FileText) -> str | None:
        try:
            return self.root.text(query.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CniError(
                f"{query.path} can't be read: {error.strerror}", code=Code.IO_FAILURE
            ) from error

    def binary(self, query: PluginBinary) -> str | None:
        """The first regular file counts, executable or not, as in the reference."""
        for directory in query.path:
            path = os.path.join(directory, query.type)
            if found := self._file_at(path):
                return "" if found.name == _LAUNCHER else path
        return "" if query.type in self.our_plugins else None

    def replaced(self, query: ReplacedBinary) -> str:
        for directory in query.path:
            path = os.path.join(directory, query.type)
            if found := self._file_at(path):
                kept = os.path.join(directory, REPLACED, query.type)
                theirs = self._file_at(kept)
                # What was a link to another name of ours leads back to us.
                is_theirs = theirs is not None and theirs.name != _LAUNCHER
                return kept if found.name == _LAUNCHER and is_theirs else ""
        return ""

    def _file_at(self, path: str) -> Found | None:
        found = self.root.find(path)
        return found if found is not None and stat.S_ISREG(found.mode) else None


_LOOKS: dict[type[Query[Any]], Callable[[Looker, Any], Any]] = {
    LinkNamed: Looker.link,
    HostEnd: Looker.host_end,
    DeviceBy: Looker.device,
    HostEnds: Looker.host_ends,
    IpvlanMode: Looker.ipvlan_mode,
    AddressesOn: Looker.addresses,
    HasIpv6: Looker.has_ipv6,
    AddressHolders: Looker.address_holders,
    SysctlValue: Looker.sysctl,
    LeadsToSandbox: Looker.leads_to_sandbox,
    DirectRoute: Looker.direct_route,
    DefaultLink: Looker.default_link,
    WayOutMtu: Looker.way_out_mtu,
    ClosedToForwarding: Looker.closed_to_forwarding,
    RouterLinks: Looker.router_links,
    RouterUplink: Looker.router_uplink,
    RoutesBy: Looker.routes_by,
    NetworkZone: Looker.zone,
    RoutesOn: Looker.routes_on,
    TablesInUse: Looker.tables_in_use,
    ListenersOn: Looker.listeners,
    FileText: Looker.file,
    PluginBinary: Looker.binary,
    ReplacedBinary: Looker.replaced,
    ForwardBlockers: Looker.forward_blockers,
    KernelMakes: Looker.kernel_makes,
    NumberKnown: Looker.number_known,
    LinksNumbered: Looker.links_numbered,
    AddressesNumbered: Looker.addresses_numbered,
    PairStands: Looker.pair_stands,
    PairNamed: Looker.pair_named,
    Bridges: Looker.bridges,
}
