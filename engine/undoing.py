"""Taking a record back: backwards, past every error, and again after a crash in the middle."""

from __future__ import annotations

from dataclasses import replace

from ..ipam import takeover
from ..model.errors import CniError, KernelError
from ..model.resource import Undo, Unknown
from ..model.resources import AddressLease, DelegatedLease
from ..store.records import Record, Step
from . import faults, journal
from .request_record import Call
from .site import Site


def undo(site: Site, record: Record) -> list[Exception]:
    """Undo every step of `record`, then forget it and give its leases back.

    The record is marked first: whoever still works on it (it should not, the lock is ours)
    finds its next commit refused, and whoever rebuilds our tables leaves it out. Answers what
    failed; with [] nothing of it is left, else the record stays, to be tried again.
    """
    with site.store.write() as tx:
        record = tx.releasing(record)
        steps = tx.steps(record)
    faults.point()
    if record.sandbox != site.world.sandbox:
        # Another namespace may have come to the same path since: it is not touched.
        site = replace(site, world=site.world.visiting(record.netns, record.sandbox))
    failures: list[Exception] = []
    for group in reversed(journal.batches(journal.alone(steps))):
        try:
            _undo_group(site, record, list(reversed(group)))
        except* (CniError, OSError) as errors:
            failures += errors.exceptions
        faults.point()
    if not failures:
        with site.store.write() as tx:
            files = tx.forget(record)
        takeover.remove(files)
    faults.point()
    return failures


def _undo_group(site: Site, record: Record, group: list[Step]) -> None:
    first = group[0].resource
    if isinstance(first, Unknown):
        raise KernelError(f"{first.describe()}: only a version that knows it can undo it")
    if isinstance(first, AddressLease):
        return  # given back when the record is forgotten, after the link is gone
    if isinstance(first, DelegatedLease):
        site.delegate(first.binary, "DEL", Call.load(record.request))
        return
    if all(step.resource.undo is Undo.KEEP for step in group):
        return
    if all(step.resource.undo is Undo.DELETE for step in group):
        site.world.delete([(step.resource, None) for step in group])
        return
    with site.store.write() as tx:
        doomed = list(journal.doomed(tx, record, group))
        site.world.delete([(step.resource, step.previous) for step in doomed])
        tx.drop(record, [step.position for step in group])
        for step in group:
            journal.leave(tx, record, step.resource)
