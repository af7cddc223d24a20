"""Ways through other people's firewalls, made and taken back while containers are attached.

Rules that hold here:
- A way belongs to the records of those who need it, as if their ADD had made it; so it goes
  with the last of them, whatever becomes of whoever noted it.
- It is made and removed inside the store's write transaction, as all that is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..model.forwarding import ForwardAccept, ForwardJump, ZoneInterface
from ..model.resource import Resource
from ..store.records import Record, State, Step
from ..store.store import Reader
from . import journal
from .site import Site


def ways_among(resources: Iterable[Resource]) -> list[Resource]:
    """Those of `resources` that are there because somebody else drops what is forwarded."""
    return [one for one in resources if _is_way(one)]


def adapt(site: Site, wanted: Mapping[Record, Iterable[Resource]]) -> None:
    """See to it that each record has the ways it needs now, and no others.

    Raises `CniError`, OSError; what was done until then is on record.
    """
    for record, ways in wanted.items():
        _note(site, record, ways)
    all_ways = dict.fromkeys(way for ways in wanted.values() for way in ways)
    if all_ways:
        with site.store.write() as tx:
            for way in all_ways:
                if tx.users(site.world.host, way.key, at_most=1) and site.world.verify(way):
                    site.world.create([way])
    for record, ways in wanted.items():
        _leave(site, record, ways)


def _note(site: Site, record: Record, ways: Iterable[Resource]) -> None:
    """Journal those of `ways` that the record does not have yet."""
    with site.store.read() as tx:
        if not _lacking(tx.steps(record), ways):
            return
    with site.store.write() as tx:
        current = _current(tx, record)
        if current is None:
            return
        steps = tx.steps(current)
        noted = journal.note(tx, site.world, current, _lacking(steps, ways), {})
        last = max((step.position for step in steps), default=-1)
        more = [replace(step, position=last + 1 + step.position) for step in noted]
        tx.ready(tx.pend(current, [*steps, *more]), current.result)


def _leave(site: Site, record: Record, ways: Iterable[Resource]) -> None:
    """Take back those the record has that are none of `ways`: nobody drops anything there now."""
    with site.store.read() as tx:
        if not list(_surplus(tx.steps(record), ways)):
            return
    with site.store.write() as tx:
        current = _current(tx, record)
        if current is None:
            return
        surplus = list(_surplus(tx.steps(current), ways))
        doomed = list(journal.doomed(tx, current, surplus))
        site.world.delete([(step.resource, step.previous) for step in reversed(doomed)])
        tx.drop(current, [step.position for step in surplus])
        for step in surplus:
            journal.leave(tx, current, step.resource)


def _current(tx: Reader, record: Record) -> Record | None:
    """The record as it is now; None where it is being undone."""
    current = tx.record(record.id)
    return current if current is not None and current.state is State.READY else None


def _lacking(steps: Iterable[Step], ways: Iterable[Resource]) -> list[Resource]:
    held = {step.resource for step in steps}
    return [way for way in ways if way not in held]


def _surplus(steps: Iterable[Step], ways: Iterable[Resource]) -> Iterator[Step]:
    needed = set(ways)
    return (step for step in steps if _is_way(step.resource) and step.resource not in needed)


def _is_way(resource: Resource) -> bool:
    if isinstance(resource, ForwardJump):
        return not resource.admin  # that one was asked for
    return isinstance(resource, ForwardAccept | ZoneInterface)
