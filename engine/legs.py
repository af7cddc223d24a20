"""The host's leg, where it leads to containers that no record tells of: the routes by it show them.

After a store was lost they run on, and need it; and whoever has it on record since then does not
know of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.host_leg import HostLeg
from ..model.plugin import Plugin
from ..model.query import RoutesBy
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import GatewayAddress, InterfaceRoute
from ..store.store import Reader
from . import faults
from .site import Site
from .world import World


def is_needed(tx: Reader, world: World, resource: Resource) -> bool:
    """Whether it is a leg that leads to somebody who is on no record."""
    return isinstance(resource, HostLeg) and any(_unrecorded(tx, world, resource))


def _unrecorded(tx: Reader, world: World, leg: HostLeg) -> Iterator[tuple[str, str]]:
    """The routes by it, as `RoutesBy` has them, of no record, not even of one being undone."""
    standing = world.look(RoutesBy(leg.name))
    if not standing:
        return
    recorded = {
        each.dst
        for each in tx.resources(world.host, (InterfaceRoute.kind,), undone=True)
        if isinstance(each, InterfaceRoute) and each.name == leg.name
    }
    yield from (route for route in standing if route[0] not in recorded)


def collect(site: Site, plugin: Plugin, request: Request) -> None:
    """Remove what leads to nobody: a leg without routes; and first, where all who are valid are on
    record, the other routes of this network, known by the host's address in it.
    """
    if request.conf is None or not plugin.creates_interface:
        return
    left = list(plugin.leftovers(request))
    for leg in (each for each in left if isinstance(each, HostLeg)):
        addresses = {each.address for each in left if isinstance(each, GatewayAddress)}
        with site.store.write() as tx:
            if _all_on_record(tx, site, plugin, request):
                _delete_routes(tx, site, leg, {each.partition("/")[0] for each in addresses})
            # One that has its master's MAC may be somebody else's.
            if leg.mac and not _has_users(tx, site, leg):
                site.world.delete([(leg, None)])
        faults.point()


def _all_on_record(tx: Reader, site: Site, plugin: Plugin, request: Request) -> bool:
    if request.valid_attachments is None:
        return False
    records = tx.records(host=site.world.host, network=request.network, plugin=plugin.name)
    known = {(record.container, record.interface) for record in records}
    return known.issuperset(request.valid_attachments)


def _delete_routes(tx: Reader, site: Site, leg: HostLeg, sources: set[str]) -> None:
    for dst, source in _unrecorded(tx, site.world, leg):
        if source in sources:
            site.world.delete([(InterfaceRoute(name=leg.name, dst=dst), None)])
            faults.point()


def _has_users(tx: Reader, site: Site, leg: HostLeg) -> bool:
    recorded = tx.users(site.world.host, leg.key, at_most=1)
    return bool(recorded or site.world.look(RoutesBy(leg.name)))
