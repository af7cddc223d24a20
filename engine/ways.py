"""Ways through other people's firewalls, made and taken back while containers are attached.

Rules that hold here:
- A way belongs to the records of those who need it, as if their ADD had made it; so it goes
  with the last of them, whatever becomes of whoever noted it.
- Other people's programs make and remove it: under the lock of its key, with no transaction
  open (`keyed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from ..model.forwarding import ForwardAccept, ForwardJump, ZoneInterface
from ..model.plan import Drift
from ..model.resource import Resource
from ..store.records import ClaimLost, Record, State, Step
from ..store.store import Reader
from . import faults, journal, keyed
from .site import Site
from .world import World


def ways_among(resources: Iterable[Resource]) -> list[Resource]:
    """Those of `resources` that are there because somebody else drops what is forwarded."""
    return [one for one in resources if _is_way(one)]


def unmet(world: World, steps: Iterable[Step], needed: Iterable[Resource]) -> list[Drift]:
    """What is missing of the ways that are `needed` now and none of a record's `steps`."""
    return [drift for way in _lacking(steps, needed) for drift in world.verify(way)]


def adapt(site: Site, wanted: Mapping[Record, Iterable[Resource]]) -> None:
    """See to it that each record has the ways it needs now, and no others, and that they stand.

    Raises `CniError`, OSError; what was done until then is on record.
    """
    for record, ways in wanted.items():
        _note(site, record, ways)
    for way in dict.fromkeys(way for ways in wanted.values() for way in ways):
        keyed.mend(site, way)
    for jump in _asked_for(site):
        keyed.mend(site, jump)
    for record, ways in wanted.items():
        _leave(site, record, ways)


def _asked_for(site: Site) -> list[ForwardJump]:
    """Jumps to an admin's chain: whoever flushed others' rules has flushed those, too."""
    with site.store.read() as tx:
        jumps = list(tx.resources(site.world.host, (ForwardJump.kind,)))
    return [jump for jump in jumps if isinstance(jump, ForwardJump) and jump.admin]


def _note(site: Site, record: Record, ways: Iterable[Resource]) -> None:
    """Journal those of `ways` that the record does not have yet."""
    with site.store.read() as tx:
        lacking = _lacking(tx.steps(record), ways)
    if not lacking:
        return
    with keyed.joining(site, lacking) as held, site.store.write() as tx:
        current = _current(tx, record)
        if current is None:
            return
        lacking = _lacking(tx.steps(current), lacking)
        tx.append(current, journal.note(tx, site.world, current, lacking, {}, held).steps)
    faults.point()


def _leave(site: Site, record: Record, ways: Iterable[Resource]) -> None:
    """Take back those the record has that are none of `ways`: nobody drops anything there now."""
    with site.store.read() as tx:
        current = _current(tx, record)
        surplus = list(_surplus(tx.steps(record), ways))
    if current is not None and surplus:
        with suppress(ClaimLost):  # whoever undoes the record since goes on with it
            keyed.take_back(site, current, surplus[::-1])


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
