"""Removing what nobody will ask to have removed: GC, and ranges full of the dead.

Recovery acts only on records whose lock it got: whoever holds one is at work on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial

from ..ipam import takeover
from ..model.plugin import Plugin
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import AddressLease, Bridge
from ..store.records import NOT_ON_RECORD, Record, State
from ..store.store import Reader
from . import faults
from .site import Site
from .undoing import undo
from .witness import Fate, fate


def candidates(site: Site, plugin: Plugin, request: Request) -> list[Record]:
    """What is recorded for this network and plugin on this host, and for nobody knows which."""
    with site.store.read() as tx:
        return [
            record
            for network in (request.network, NOT_ON_RECORD)
            for record in tx.records(host=site.world.host, network=network, plugin=plugin.name)
        ]


def is_garbage(site: Site, request: Request, record: Record) -> bool:
    """Whether it is not valid.

    CNI spec 1.1.0, "GC". Without `cni.dev/valid-attachments` only what is provably dead
    or half done counts.
    """
    if request.valid_attachments is None or record.state is not State.READY or record.is_made_up:
        return is_abandoned(site, record)
    return (record.container, record.interface) not in request.valid_attachments


def is_abandoned(site: Site, record: Record) -> bool:
    """Whether its namespace is gone, or its ADD was not finished (who works on it has its lock)."""
    return record.state is not State.READY or is_dead(site, record)


def is_left_halfway(site: Site, record: Record) -> bool:
    """Whether the ADD or DEL of its attachment was not finished, whichever plugin's record tells.

    Who asks has the attachment's lock: nobody is at work on it.
    """
    with site.store.read() as tx:
        records = tx.records_of(record.host, record.attachment)
    return any(each.state is not State.READY for each in records)


def is_dead(site: Site, record: Record) -> bool:
    return fate(site.store, site.world, record) is Fate.DEAD


def the_dead(site: Site, request: Request) -> list[Record]:
    """This network's attachments whose namespace is provably gone, but for the request's own."""
    with site.store.read() as tx:
        records = [
            record
            for network in (request.network, NOT_ON_RECORD)
            for record in tx.records(host=site.world.host, network=network)
        ]
    own = (request.container, request.interface)
    return [
        record
        for record in records
        if (record.container, record.interface) != own and is_dead(site, record)
    ]


def reclaim(site: Site, request: Request, wanted: Iterable[AddressLease]) -> int:
    """Undo `the_dead`, and free what is nobody's of what is `wanted`; how many there were."""
    dead = the_dead(site, request)
    undone = sum(undo_if_idle(site, record, partial(is_dead, site)) == [] for record in dead)
    return undone + free_stale(site, wanted)


def free_stale(
    site: Site,
    pools: Iterable[AddressLease],
    valid: Collection[tuple[str, str]] | None = None,
) -> int:
    """Free those addresses that were taken over and are nobody's; how many there were.

    They are those whose file is gone, and whose owner is none of the `valid` attachments.
    """
    freed = 0
    for lease in pools:
        takeover.takeover(site.store, lease, site.world.root)
        freed += takeover.release_stale(site.store, lease, site.world.root, valid)
    return freed


def undo_abandoned(site: Site, records: Iterable[Record]) -> None:
    """Undo those of `records` that nobody lives with any more; failures show by what is left."""
    for record in records:
        if is_abandoned(site, record):
            undo_if_idle(site, record, partial(is_abandoned, site))


def undo_if_idle(
    site: Site,
    record: Record,
    doomed: Callable[[Record], bool],
    left: list[Exception] | None = None,
) -> list[Exception] | None:
    """Undo `record` and answer what failed; None where somebody is, or has been, at work on it.

    With the record that owns the interface goes what is chained to it: without the one,
    nothing could tell any more that the other is dead. `left` is `undo`'s.
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
        doomed_too = (*chained, current)
        return [failure for each in doomed_too for failure in undo(site, each, left)]


def _chained_to(tx: Reader, record: Record) -> list[Record]:
    """The later records of the interface that `record` owns, last first."""
    if not any(step.resource.container_end for step in tx.steps(record)):
        return []
    records = tx.records_of(record.host, record.attachment)
    return [each for each in records if each.id > record.id and each.sandbox == record.sandbox][
        ::-1
    ]


def remove_unused_bridges(site: Site, only: Collection[str] | None = None) -> list[Resource]:
    """Remove the bridges we made that no record needs and that have no port; which they were.

    With `only` none but those of these names.
    """
    removed: list[Resource] = []
    with site.store.write() as tx:
        for bridge, found in tx.shared_of_kind(site.world.host, Bridge.kind):
            if only is not None and getattr(bridge, "name", "") not in only:
                continue
            if found or tx.users(site.world.host, bridge.key, at_most=1):
                continue
            site.world.delete([(bridge, None)])
            faults.point()
            if site.world.exists(bridge):
                continue  # somebody else has a port in it
            tx.unshare(site.world.host, bridge.key)
            removed.append(bridge)
    return removed
