"""Taking a record back: backwards, past every error, and again after a crash in the middle."""

from __future__ import annotations

import json
from contextlib import suppress
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from ..ipam import takeover
from ..model.errors import (
    AddressInUse,
    AgentMissing,
    CniError,
    Exhausted,
    KernelError,
    TableMissing,
    TryLater,
)
from ..model.resource import Lease, Resource, Undo, Unknown
from ..model.resources import AddressLease, KeptLease, SharedElement
from ..store.records import Record, Step
from ..store.store import Reader
from . import faults, journal, keyed, legs
from .giving_back import give_back
from .request_record import Call
from .site import Site


def undo(site: Site, record: Record, left: list[Exception] | None = None) -> list[Exception]:
    """Undo every step of `record`, then forget it and give its leases back.

    The record is marked first: whoever still works on it (it should not, the lock is ours)
    finds its next commit refused, and whoever rebuilds our tables leaves it out. Answers what
    failed; with [] nothing of it is left, else the record stays, to be tried again. Somebody who
    gives up `left` to whoever can undo it (who leases, another version) is told there what that is.
    """
    with site.store.last_resort():
        with site.store.write() as tx:
            record = tx.releasing(record)
            steps = _not_anothers(tx, record, tx.steps(record))
        faults.point()
        if record.sandbox == site.world.sandbox:
            return _undo(site, record, steps, left)
        # Another namespace may have come to the same path since: it is not touched.
        with site.world.visiting(record.netns, record.sandbox, record.nsid) as world:
            return _undo(replace(site, world=world), record, steps, left)


def _undo(
    site: Site, record: Record, steps: list[Step], left: list[Exception] | None
) -> list[Exception]:
    failures: list[Exception] = []
    for group in reversed(journal.batches(journal.alone(steps))):
        try:
            _undo_group(site, record, list(reversed(group)))
        except* (CniError, OSError) as errors:
            given_up = left if _is_others(group) else None
            (failures if given_up is None else given_up).extend(errors.exceptions)
        faults.point()
    if not failures:
        _end_flows(site, record, steps)
        with site.store.write() as tx:
            files = tx.forget(record)
            if not record.result:  # of an ADD that failed
                journal.forget_unmade(tx, site.world, record, steps)
        takeover.remove(files, site.world.root)
        if any(map(attrgetter("resource.keeper"), steps)):
            site.kept()
    faults.point()
    return failures


def _not_anothers(tx: Reader, record: Record, steps: list[Step]) -> list[Step]:
    """Those of `steps` that are not another record's of the same attachment and plugin, too.

    It made them, and this one was refused; or the container has come back, and this one's went
    with its namespace. What several may have is counted elsewhere.
    """
    made = {
        (other.scope(step.resource), step.resource.key)
        for other in tx.namesakes(record)
        for step in tx.steps(other)
        if step.resource.undo is Undo.DELETE and not isinstance(step.resource, Lease)
    }
    if not made:
        return steps
    return [step for step in steps if (record.scope(step.resource), step.resource.key) not in made]


def _end_flows(site: Site, record: Record, steps: list[Step]) -> None:
    """What has been begun by the record's addresses, or with them, is not for who has them next.

    Best effort: where the kernel can't, it is no reason to keep the container.
    """
    if not any(isinstance(step.resource, Lease) or step.resource.container_end for step in steps):
        return  # it has no addresses of its own
    if addresses := _addresses(record, steps):
        with suppress(CniError):
            site.world.end_flows(addresses, _zone(steps))


def _zone(steps: list[Step]) -> int:
    for step in steps:
        if isinstance(step.resource, SharedElement) and step.resource.set == "zones":
            return int(step.resource.value)
    return 0


def _addresses(record: Record, steps: list[Step]) -> list[str]:
    """Those it was given: what it leased, and what its result tells."""
    result = json.loads(record.result or "{}")
    told = [ip["address"] for ip in result.get("ips", ())]
    for step in steps:
        if isinstance(step.resource, AddressLease) and step.answer:
            told.append(json.loads(step.answer)["address"])
    return list(dict.fromkeys(text.split("/")[0] for text in told))


def _undo_group(site: Site, record: Record, group: list[Step]) -> None:
    first = group[0].resource
    if isinstance(first, Unknown):
        if not _is_gone(site, first):
            raise KernelError(f"{first.describe()}: only a version that knows it can undo it")
        return
    if isinstance(first, AddressLease):
        return  # given back when the record is forgotten, after the link is gone
    if isinstance(first, Lease):
        _release(site, first, record)
        return
    resources = [step.resource for step in group]
    undos = {resource.undo for resource in resources}
    if undos == {Undo.KEEP}:
        return
    if undos == {Undo.DELETE} and not any(map(attrgetter("exclusive"), resources)):
        give_back(site, group)
        return
    if first.foreign:
        keyed.take_back(site, record, group)
        return
    if undos == {Undo.RESTORE} and first.exclusive:
        # It may take its time, and need not keep all others waiting: nobody else is given it as
        # long as it is on this record, and what comes of it is there before the record is not.
        with site.store.read() as reader:
            made, _ = journal.succession(reader, record, group)
            doomed = list(journal.doomed(reader, record, made))
        give_back(site, doomed)
        faults.point()
        with site.store.write() as tx:
            journal.leave(tx, record, group)
        return
    with site.store.write() as tx:
        made, heirs = journal.succession(tx, record, group)
        doomed = list(journal.doomed(tx, record, made))
        give_back(site, [one for one in doomed if not legs.is_needed(tx, site.world, one.resource)])
        _inherit(site, heirs)
        faults.point()
        journal.leave(tx, record, group)


def _release(site: Site, lease: Lease[Any], record: Record) -> None:
    try:
        site.lessor(lease).release(lease, record, Call.load(record.request))
    except (AgentMissing, TryLater) as error:
        # One that is there and answers nobody would fail each DEL and GC for as long as it hangs.
        lapses = isinstance(lease, KeptLease) and lease.lapses
        if not lapses or isinstance(error, Exhausted):
            raise
        site.say(f"not given back, and left to run out: {error.msg}")


def _is_others(group: list[Step]) -> bool:
    """Whether only somebody else can undo it."""
    first = group[0].resource
    return isinstance(first, Unknown | Lease) and not isinstance(first, AddressLease)


def _inherit(site: Site, heirs: list[Resource]) -> None:
    """Make what has waited for this. Where the table is gone, who makes it anew does that."""
    if heirs:
        faults.point()
        with suppress(TableMissing, AddressInUse):
            site.world.create(heirs)


def _is_gone(site: Site, unknown: Unknown) -> bool:
    """Whether nothing of what another version has made is left to be undone.

    It stays on purpose, or went with the namespace, or with what it was inside of, of which the
    record holds nothing any more.
    """
    if unknown.undo is Undo.KEEP or unknown.inside:
        return True
    return unknown.place == "sandbox" and not site.world.sandbox
