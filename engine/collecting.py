"""Removing what nobody will ask to have removed: GC, and ranges full of the dead.

Recovery acts only on records whose lock it got: whoever holds one is at work on it.
"""

from __future__ import annotations

from ..model.plugin import Plugin
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Bridge
from ..store.records import Record, State
from .site import Site
from .undoing import undo


def garbage(site: Site, plugin: Plugin, request: Request) -> list[Record]:
    """What is recorded for this network and plugin on this host and is not valid.

    CNI spec 1.1.0, "GC". Without `cni.dev/valid-attachments` only what is provably dead
    or half done counts.
    """
    with site.store.read() as tx:
        records = tx.records(host=site.world.host, network=request.network, plugin=plugin.name)
    return [record for record in records if _is_garbage(site, record, request)]


def _is_garbage(site: Site, record: Record, request: Request) -> bool:
    if record.state is not State.READY:
        return True
    if request.valid_attachments is None:
        return site.is_forsaken(record)
    return (record.container, record.interface) not in request.valid_attachments


def reclaim(site: Site, request: Request) -> int:
    """Undo this network's attachments whose namespace is provably gone; how many there were."""
    with site.store.read() as tx:
        records = tx.records(host=site.world.host, network=request.network)
    own = (request.container, request.interface)
    dead = [
        record
        for record in records
        if (record.container, record.interface) != own and site.is_forsaken(record)
    ]
    return sum(undo_if_idle(site, record) == [] for record in dead)


def undo_if_idle(site: Site, record: Record) -> list[Exception] | None:
    """Undo `record` and answer what failed; None where somebody is at work on it."""
    lock = site.lock(record.attachment)
    if not lock.try_acquire():
        return None
    with lock:
        with site.store.read() as tx:
            current = tx.record(record.id)
        return undo(site, current) if current else []


def remove_unused_bridges(site: Site) -> list[Resource]:
    """Remove the bridges we made that no record needs and that have no port; which they were."""
    removed: list[Resource] = []
    with site.store.write() as tx:
        for bridge, found in tx.shared_of_kind(site.world.host, Bridge.kind):
            if found or tx.users(site.world.host, bridge.key, at_most=1):
                continue
            site.world.delete([(bridge, None)])
            tx.unshare(site.world.host, bridge.key)
            removed.append(bridge)
    return removed
