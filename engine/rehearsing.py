"""A dry run of a chain: what is asked is answered as if what was planned before had been made.

And what an ADD would be refused by the time it makes things is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_interface
from typing import Any

from msgspec.structs import replace

from ..kernel.kinds.pairs import taken
from ..model.errors import AddressInUse, RangeFull
from ..model.link_attributes import DEFAULT_MTU
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import (
    AddressesOn,
    DirectRoute,
    HostEnd,
    IpvlanMode,
    Link,
    LinkNamed,
    NetworkZone,
    Query,
    SysctlValue,
)
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import (
    AddressRemoved,
    AllMulticast,
    Bridge,
    BridgePort,
    ContainerLink,
    Forwarding,
    GatewayAddress,
    InterfaceAddress,
    Ipvlan,
    LinkAddress,
    LinkMtu,
    LinkPair,
    LinkUp,
    MovedLink,
    Promiscuous,
    SharedElement,
    Sysctl,
    TransmitQueue,
    VlanGateway,
)
from ..store.records import Record
from . import claiming, collecting, journal
from .engine import Engine
from .site import earlier_of

_UNNUMBERED = -1
"""The index of a link that the kernel has not made yet."""
_FORWARDING = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}


class Rehearsal(Engine):
    """Carries nothing out."""

    def rehearse(self, plugin: Plugin, request: Request) -> Plan:
        """The plan of an ADD. Raises what that would end with, and `Unplannable`."""
        claiming.refuse_others(self._site)
        with self.store.read() as tx:
            records = tx.records_of(self.world.host, request.attachment)
        earlier = earlier_of(records, plugin, self._digest)
        for record in earlier:
            self._refuse_attached(plugin, record)
        doomed = [one for each in earlier for one in (*self._chained_to(plugin, each), each)]
        try:
            plan = self.dry_run(plugin, request, doomed or None)
        except (RangeFull, AddressInUse):
            dead = collecting.the_dead(self._site, request)
            plan = self.dry_run(plugin, request, [*doomed, *dead])
        self._refuse_taken(request, plan, doomed)
        for note in plan.notes:
            self._site.say(note)
        return plan

    def _look(self, question: Query[Any]) -> Any:
        """What the kernel will say once all that is planned is made."""
        answer = self.world.look(question)
        after = _AFTER.get(type(question))
        if after is not None:
            for resource in self.planned:
                answer = after(question, answer, resource)
        return answer

    def _refuse_taken(self, request: Request, plan: Plan, doomed: Sequence[Record]) -> None:
        """Raises what making it would end with.

        `doomed` are records that the ADD undoes first: what is theirs is in nobody's way.
        """
        with self.store.read() as tx:
            theirs = {step.resource.key for each in doomed for step in tx.steps(each)}
            exclusive = {
                each.key: each
                for each in plan.resources
                if each.exclusive and each.key not in theirs
            }
            holders = tx.holders(self.world.host, exclusive, but=0)
        for key, records in holders.items():
            for holder in records:
                mine = (holder.container, holder.sandbox) == (request.container, self.world.sandbox)
                if not mine and not collecting.is_abandoned(self._site, holder):
                    raise journal.Taken(exclusive[key], [holder])
        for resource in plan.resources:
            if isinstance(resource, LinkPair) and resource.key not in theirs:
                inside = self._look(LinkNamed(resource.peer, "sandbox"))
                if inside or self._look(LinkNamed(resource.name)):
                    raise taken(resource, inside, request.netns)


# --- links --------------------------------------------------------------------------------------


def _link(query: LinkNamed, found: Link | None, resource: Resource) -> Link | None:
    made = found or _made(query, resource)
    if made is None or resource.place != query.place:
        return made
    if getattr(resource, "name", "") != query.name:
        return made
    match resource:
        case LinkUp():
            return replace(made, up=True)
        case BridgePort():
            return replace(made, master=made.master or _UNNUMBERED)
        case LinkAddress():
            return replace(made, mac=resource.mac)
        case LinkMtu():
            return replace(made, mtu=resource.mtu)
        case Promiscuous():
            return replace(made, promisc=resource.on)
        case AllMulticast():
            return replace(made, allmulti=resource.on)
        case TransmitQueue():
            return replace(made, queue=resource.length)
    return made


def _made(query: LinkNamed, resource: Resource) -> Link | None:
    """The link of that name and place that `resource` makes."""
    name, place = query.name, query.place
    match resource:
        case LinkPair() if (name, place) in ((resource.name, "host"), (resource.peer, "sandbox")):
            mac = resource.mac if place == "host" else resource.peer_mac
            mtu = resource.mtu or DEFAULT_MTU
            return Link(_UNNUMBERED, name, resource.kind, mac, mtu, up=False)
        case MovedLink() if (name, place) == (resource.inner, "sandbox"):
            return Link(_UNNUMBERED, name, "", resource.mac, resource.mtu or DEFAULT_MTU, up=False)
        case Bridge() if (name, place) == (resource.name, "host"):
            return Link(
                _UNNUMBERED,
                name,
                "bridge",
                resource.mac,
                resource.mtu or DEFAULT_MTU,
                up=True,
                vlan_filtering=resource.vlan_filtering,
            )
        case VlanGateway() if place == "host" and name in (resource.name, resource.port):
            master = _UNNUMBERED if name == resource.port else 0
            mac = resource.mac if name == resource.name else ""
            return Link(
                _UNNUMBERED, name, "veth", mac, resource.mtu or DEFAULT_MTU, up=True, master=master
            )
        case ContainerLink() if (name, place) == (resource.name, "sandbox"):
            return Link(
                _UNNUMBERED,
                name,
                resource.kind,
                resource.mac,
                resource.mtu or DEFAULT_MTU,
                up=False,
            )
    return None


def _host_end(query: HostEnd, found: Link | None, resource: Resource) -> Link | None:
    if isinstance(resource, LinkPair) and resource.peer == query.name:
        return found or _made(LinkNamed(resource.name), resource)
    return found


def _ipvlan_mode(query: IpvlanMode, found: str, resource: Resource) -> str:
    if isinstance(resource, Ipvlan) and resource.name == query.name:
        return resource.mode
    return found


# --- addresses, routes, settings ----------------------------------------------------------------


def _addresses(query: AddressesOn, found: tuple[str, ...], resource: Resource) -> tuple[str, ...]:
    if getattr(resource, "name", "") != query.name or resource.place != query.place:
        return found
    if isinstance(resource, InterfaceAddress | GatewayAddress):
        return tuple(dict.fromkeys((*found, resource.address)))
    if isinstance(resource, AddressRemoved):
        return tuple(each for each in found if each != resource.address)
    return found


def _route(query: DirectRoute, found: str, resource: Resource) -> str:
    if found or not isinstance(resource, GatewayAddress):
        return found
    within = ip_address(query.address) in ip_interface(resource.address).network
    return resource.name if within else found


def _setting(query: SysctlValue, found: str | None, resource: Resource) -> str | None:
    if isinstance(resource, Sysctl) and (resource.setting, resource.place) == (
        query.key,
        query.place,
    ):
        return resource.value
    if isinstance(resource, Forwarding) and query.place == "host":
        return "1" if query.key == _FORWARDING[resource.family] else found
    return found


def _zone(query: NetworkZone, found: int, resource: Resource) -> int:
    if isinstance(resource, SharedElement) and resource.set == "zones":
        return int(resource.value) if resource.item == (query.interface,) else found
    return found


_AFTER: dict[type[Query[Any]], Callable[[Any, Any, Resource], Any]] = {
    HostEnd: _host_end,
    IpvlanMode: _ipvlan_mode,
    LinkNamed: _link,
    AddressesOn: _addresses,
    DirectRoute: _route,
    SysctlValue: _setting,
    NetworkZone: _zone,
}
