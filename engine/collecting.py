"""Removing what nobody will ask to have removed: GC, and ranges full of the dead.

Recovery acts only on records whose lock it got: whoever holds one is at work on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ..model.plugin import Plugin
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Bridge, Veth
from ..store.records import Record, State
from ..store.store import Reader
from .site import Site
from .undoing import undo


def garbage(site: Site, plugin: Plugin, request: Request) -> list[Record]:
    """What is recorded for this network and plugin on this host and is not valid.

    CNI spec 1.1.0, "GC". Without `cni.dev/valid-attachments` only what is provably dead
    or half done counts.
    """
    with site.store.read() as tx:
        records = tx.records(host=site.world.host, network=request.network, plugin=plugin.name)
    return [record for record in records if is_garbage(site, request, record)]


def is_garbage(site: Site, request: Request, record: Record) -> bool:
    if request.valid_attachments is None or record.state is not State.READY:
        return is_dead(site, record)
    return (record.container, record.interface) not in request.valid_attachments


def is_dead(site: Site, record: Record) -> bool:
    """Whether its namespace is gone, or its ADD was not finished (who works on it has its lock)."""
    return record.state is not State.READY or site.is_forsaken(record)


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
    return sum(undo_if_idle(site, record, site.is_forsaken) == [] for record in dead)


def undo_dead(site: Site, records: Iterable[Record]) -> None:
    """Undo those of `records` that nobody lives with any more; failures show by what is left."""
    for record in records:
        if is_dead(site, record):
            undo_if_idle(site, record, partial(is_dead, site))


def undo_if_idle(
    site: Site, record: Record, doomed: Callable[[Record], bool]
) -> list[Exception] | None:
    """Undo `record` and answer what failed; None where somebody is, or has been, at work on it.

    With the record that owns the interface goes what is chained to it: without the one,
    nothing could tell any more that the other is dead.
    """
    lock = site.lock(record.attachment)
    if not lock.try_acquire():
        return None
    with lock:
        with site.store.read() as tx:
            current = tx.record(record.id)
            if current is None:
                return []
            chained = _chained_to(tx, current)
        if not doomed(current):
            return None
        return [failure for each in (*chained, current) for failure in undo(site, each)]


def _chained_to(tx: Reader, record: Record) -> list[Record]:
    """The later records of the interface that `record` owns, last first."""
    if not any(isinstance(step.resource, Veth) for step in tx.steps(record)):
        return []
    records = tx.records_of(record.host, record.attachment)
    return [each for each in records if each.id > record.id and each.sandbox == record.sandbox][
        ::-1
    ]


def remove_unused_bridges(site: Site) -> list[Resource]:
    """Remove the bridges we made that no record needs and that have no port; which they were."""
    removed: list[Resource] = []
    with site.store.write() as tx:
        for bridge, found in tx.shared_of_kind(site.world.host, Bridge.kind):
            if found or tx.users(site.world.host, bridge.key, at_most=1):
                continue
            site.world.delete([(bridge, None)])
            if site.world.exists(bridge):
                continue  # somebody else has a port in it
            tx.unshare(site.world.host, bridge.key)
            removed.append(bridge)
    return removed
