"""Taking a record back: backwards, past every error, and again after a crash in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ipam import takeover
from ..model.errors import CniError
from ..model.query import LinkNamed
from ..model.resource import Resource, Undo
from ..model.resources import AddressLease, Bridge, DelegatedLease, Veth
from ..store.records import Record, Step
from ..store.store import Store
from . import faults, journal
from .request_record import Call
from .world import World

Delegate = Callable[[str, str, Call], dict[str, Any]]


def undo(store: Store, world: World, record: Record, delegate: Delegate) -> list[Exception]:
    """Undo every step of `record`, then forget it and give its leases back.

    The claim is raised first: whoever still works on this record (it should not, the lock
    is ours) finds its next commit refused. On errors the record stays, to be tried again.
    """
    with store.write() as tx:
        record = tx.claim(record)
        steps = tx.steps(record)
    faults.point()
    if record.sandbox != world.sandbox:
        world = world.visiting(record.netns, record.sandbox)
    failures: list[Exception] = []
    for group in reversed(journal.batches(journal.alone(steps))):
        try:
            _undo_group(store, world, record, list(reversed(group)), delegate)
        except (CniError, OSError) as error:
            failures.append(error)
        faults.point()
    files: tuple[str, ...] = ()
    with store.write() as tx:
        if failures:
            tx.releasing(record)
        else:
            files = tx.forget(record)
    takeover.remove(files)
    faults.point()
    return failures


def _undo_group(
    store: Store, world: World, record: Record, group: list[Step], delegate: Delegate
) -> None:
    first = group[0].resource
    if isinstance(first, AddressLease):
        return  # given back when the record is forgotten, after the link is gone
    if isinstance(first, DelegatedLease):
        delegate(first.binary, "DEL", Call.load(record.request))
        return
    if all(step.resource.undo is Undo.DELETE for step in group):
        world.delete([(step.resource, None) for step in group])
        return
    with store.write() as tx:
        doomed = list(journal.doomed(tx, record, group))
        world.delete([(step.resource, step.previous) for step in doomed])
        tx.drop(record, [step.position for step in group])
        for step in group:
            where = record.scope(step.resource)
            if step.resource.undo is not Undo.KEEP and not tx.users(
                where, step.resource.key, but=record.id
            ):
                tx.unshare(where, step.resource.key)


def provably_gone(world: World, steps: list[Step]) -> bool:
    """Whether the host's end of the pair is absent: it vanishes with its namespace.

    Where nothing of an attachment stands on the host there is no such proof.
    """
    pairs = [step.resource for step in steps if isinstance(step.resource, Veth)]
    return bool(pairs) and not any(_stands(world, pair) for pair in pairs)


def _stands(world: World, pair: Veth) -> bool:
    link = world.look(LinkNamed(pair.name))
    return link is not None and link.mac == pair.mac


def remove_unused_bridges(store: Store, world: World) -> list[Resource]:
    """Remove the bridges we made that no record needs and that have no port; which they were."""
    removed: list[Resource] = []
    with store.write() as tx:
        for bridge, found in tx.shared_of_kind(world.host, Bridge.kind):
            if found or tx.users(world.host, bridge.key):
                continue
            world.delete([(bridge, None)])
            tx.unshare(world.host, bridge.key)
            removed.append(bridge)
    return removed
