"""What a DEL removes where there is no record: by name and owner, or by whoever attached it."""

from __future__ import annotations

from collections.abc import Mapping

from ..ipam.takeover import remove as remove_files
from ..ipam.takeover import takeover
from ..model.errors import CniError, Code, StoreError
from ..model.exhaustion import is_exhaustion
from ..model.plugin import Plugin
from ..model.query import ReplacedBinary, RoutesBy
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import AddressLease, Bridge, GatewayAddress, HostLeg
from ..store.records import Record
from ..store.store import Reader
from . import faults, giving_back, journal, keyed
from .request_record import Call
from .site import Site
from .strangers import made_up
from .world import World


def delete_by_replaced(
    site: Site, environ: Mapping[str, str], plugin: Plugin, request: Request
) -> list[Exception]:
    """What the plugin whose place ours took has attached is taken down by that one.

    Without the attachment's lock: it may run an IPAM plugin, and that may be ours.
    """
    try:
        binary = site.world.look(ReplacedBinary(plugin.name, request.path))
        if binary:
            site.delegate(binary, "DEL", Call(environ, request.config))
    except CniError as error:
        # It can't have attached what it can't read.
        return [] if error.code is Code.INCOMPATIBLE_VERSION else [error]
    except OSError as error:
        return [error]
    return []


def _is_needed(tx: Reader, world: World, resource: Resource, mine: Record | None) -> bool:
    """Whether a record other than `mine` has it; of a gateway's address, also whether it may be
    somebody else's, and of the host's leg, whether it leads to a container that is on no record.
    """
    host = world.host
    scope = world.sandbox if resource.place == "sandbox" else host
    if tx.users(scope, resource.key, but=mine.id if mine else None, at_most=1):
        return True
    if isinstance(resource, HostLeg):
        return bool(world.look(RoutesBy(resource.name)))
    if not isinstance(resource, GatewayAddress):
        return False
    bridge = f"{Bridge.kind}\t{resource.name}"
    known = tx.all_shared(host, [resource.key, bridge])
    return bridge not in known or any(each.found for each in known.values())


def delete(site: Site, request: Request, resource: Resource) -> None:
    """One thing that no record tells of, unless somebody's does. Raises `CniError`, OSError."""
    if resource.foreign:
        keyed.remove_stray(site, resource)
        return
    files: tuple[str, ...] = ()
    if isinstance(resource, AddressLease):
        _take_over(site, resource)
    with site.store.write() as tx:
        if isinstance(resource, AddressLease):
            files = tx.release_owner(resource.pool, request.container, request.interface)
        else:
            mine = made_up(tx, site.world.host, request.attachment)
            if not _is_needed(tx, site.world, resource, mine):
                giving_back.delete(site, [(resource, None)])
                faults.point()
            if mine:
                steps = [step for step in tx.steps(mine) if step.resource.key == resource.key]
                journal.leave(tx, mine, steps)
    remove_files(files, site.world.root)


def _take_over(site: Site, lease: AddressLease) -> None:
    """A lease of the reference's is removed with its file.

    One that can't be read holds no container for ever: GC frees it once it can be.
    """
    try:
        takeover(site.store, lease, site.world.root)
    except StoreError as error:
        if is_exhaustion(error):
            raise
        site.say(f"if the reference's host-local has leased an address, it stays: {error.msg}")
