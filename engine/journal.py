"""What is written down before it is done: steps, who shares what, and what was there before.

Rules that hold here:
- A resource that several attachments share is looked at, counted and removed inside the
  store's write transaction: whoever removes it has seen that nobody needs it, and whoever
  needs it has said so before it is made. Of one that somebody else's program makes the same
  holds under the lock of its key, and no transaction is open while the program runs (`keyed`).
- What stood there before our first user is found, not ours: it is never removed.
- What only one container may have is on each of its records that wants it. The oldest's is made;
  whoever undoes that one puts the next one's in its place, in the transaction that drops its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from ..model.errors import AddressInUse
from ..model.resource import Lease, Resource, Undo
from ..model.value import dump
from ..store.records import Record, Shared, State, Step
from ..store.store import Reader, Writer
from .world import World


class Taken(AddressInUse):
    """What only one may have is another's already; `holders` are all whose they are."""

    def __init__(self, resource: Resource, holders: list[Record]) -> None:
        from ..model.shown import command, short_id

        first = holders[0]
        holder = short_id(first.container)
        told = {"record": first.id, "plugin": first.plugin, "netns": first.netns or None}
        # Where its network was lost with the store, nothing tells which plugins that had.
        words = ["detach", holder, first.network, *(["--force"] if first.is_made_up else [])]
        super().__init__(
            f"{resource.claim}: container {holder} ({first.interface} on network"
            f' "{first.network}") has it already; take another, or detach that:'
            f" {command('pynet', *words)}",
            details=json.dumps(told),
        )
        self.holders = holders


class NotHeld(Exception):
    """Not an error: `resources` are to be noted, and the locks of their keys not held yet."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        super().__init__()
        self.resources = tuple(resources)


class Noted(NamedTuple):
    """A record's steps, and the keys of those of them that are not to be made: `waiting`.

    What is exclusive, and made for an earlier record of the same container, waits for that to go.
    """

    steps: list[Step]
    waiting: frozenset[str]

    @property
    def to_make(self) -> tuple[Resource, ...]:
        resources = [step.resource for step in self.steps]
        return tuple([each for each in resources if each.key not in self.waiting])


def note(
    tx: Writer,
    world: World,
    record: Record,
    resources: Iterable[Resource],
    answers: Mapping[Any, Any],
    held: Mapping[str, bool] = MappingProxyType({}),
) -> Noted:
    """`resources` as the record's steps, with what each will change, in this transaction.

    `held` tells of each key whose lock is held whether it was found there (`keyed.joining`).
    Raises `Taken`, and `NotHeld` before anything is noted.
    """
    listed = tuple(resources)
    waiting = _waiting(tx, record, listed)
    if lacking := [each for each in listed if each.foreign and each.key not in held]:
        raise NotHeld(lacking)
    present = {resource.key for resource in listed}
    previous = _join(
        tx,
        world,
        record,
        [each for each in listed if each.is_counted and each.inside not in present],
        held,
    )
    steps = [
        Step(
            position,
            resource,
            previous.get(resource.key),
            _answer(answers, resource) if isinstance(resource, Lease) else None,
        )
        for position, resource in enumerate(listed)
    ]
    return Noted(steps, waiting)


def _waiting(tx: Reader, record: Record, resources: Sequence[Resource]) -> frozenset[str]:
    """The keys of what the same container has already, by another of its interfaces.

    A runtime publishes ports once for each network of a container (Podman does): one way is
    enough, and the next is needed once that is gone. Raises `Taken` for what is another's.
    """
    waiting: set[str] = set()
    held: dict[Record, Resource] = {}
    for scope, group in _exclusive(record, resources):
        for key, holders in tx.holders(scope, group, but=record.id).items():
            waiting.add(key)
            for holder in holders:
                if holder.container != record.container or holder.sandbox != record.sandbox:
                    held.setdefault(holder, group[key])
    if held:
        raise Taken(next(iter(held.values())), list(held))
    return frozenset(waiting)


def _exclusive(
    record: Record, resources: Iterable[Resource]
) -> Iterable[tuple[str, dict[str, Resource]]]:
    """By scope and key, those only one container may have."""
    found: dict[str, dict[str, Resource]] = {}
    for resource in resources:
        if resource.exclusive:
            found.setdefault(record.scope(resource), {})[resource.key] = resource
    return found.items()


def succession(
    tx: Reader, record: Record, steps: Sequence[Step]
) -> tuple[list[Step], list[Resource]]:
    """Those of `steps` that are made, and what is to be made in their place once they are gone."""
    waiting: set[str] = set()
    left: list[Resource] = []
    for scope, group in _exclusive(record, (step.resource for step in steps)):
        others = tx.holders(scope, group, but=record.id)
        waiting.update(key for key, holders in others.items() if _comes_first(holders, record))
        if later := others.keys() - waiting:
            left += tx.heirs(record, scope, later)
    return [step for step in steps if step.resource.key not in waiting], left


def _comes_first(holders: Iterable[Record], record: Record) -> bool:
    """Whether one of `holders` has it before `record`, and keeps it."""
    return any(holder.id < record.id and holder.state is not State.RELEASING for holder in holders)


def _join(
    tx: Writer,
    world: World,
    record: Record,
    resources: Iterable[Resource],
    held: Mapping[str, bool],
) -> dict[str, str | None]:
    """Count `record` among the users of all; by key, what the first of them found there before."""
    before: dict[str, str | None] = {}
    for scope, group in groupby(resources, record.scope):
        listed = list(group)
        known = tx.all_shared(scope, [resource.key for resource in listed])
        fresh = []
        for resource in listed:
            shared = known.get(resource.key)
            if shared is None or not shared.used:
                if resource.foreign:
                    shared = Shared(held[resource.key], None)
                else:
                    shared = _found(world, resource, shared)
                fresh.append((resource, shared))
            before[resource.key] = shared.previous
        tx.share(scope, fresh)
    return before


def _found(world: World, resource: Resource, known: Shared | None) -> Shared:
    """What its first user finds there; `known` is what an earlier first user did."""
    # What stays and was ours has been standing here since its last user.
    ours = known is not None and resource.undo is Undo.KEEP and not known.found
    found = resource.may_be_found and not ours and world.exists(resource)
    previous = world.previous(resource) if resource.undo is Undo.RESTORE else None
    return Shared(found, previous)


def leave(tx: Writer, record: Record, steps: Sequence[Step]) -> None:
    """`record` no longer has `steps`; of what nobody has any more, what was found is forgotten.

    Raises `ClaimLost`.
    """
    tx.drop(record, [step.position for step in steps])
    for step in steps:
        scope, key = record.scope(step.resource), step.resource.key
        counted = step.resource.undo in (Undo.LAST_USER, Undo.RESTORE)
        if counted and not tx.users(scope, key, at_most=1):
            tx.unshare(scope, key)


def forget_unmade(tx: Writer, world: World, record: Record, steps: Iterable[Step]) -> None:
    """What stays, and was never made, is nobody's: whoever makes it now will be found to have."""
    for resource in (step.resource for step in steps if step.resource.undo is Undo.KEEP):
        scope = record.scope(resource)
        if not resource.may_be_found or tx.users(scope, resource.key, at_most=1):
            continue
        if not world.exists(resource):
            tx.unshare(scope, resource.key)


def doomed(tx: Reader, record: Record, steps: Iterable[Step]) -> Iterator[Step]:
    """Those of `steps` that nobody but `record` needs, and that were not there before us."""
    for step in steps:
        resource = step.resource
        if resource.undo is Undo.DELETE:
            yield step
        elif resource.undo is not Undo.KEEP:
            scope = record.scope(resource)
            if tx.users(scope, resource.key, but=record.id, at_most=1):
                continue
            known = tx.shared(scope, resource.key)
            if resource.undo is Undo.RESTORE or not (known and known.found):
                yield step


def alone(steps: Iterable[Step]) -> list[Step]:
    """The steps that do not vanish with another of them."""
    listed = list(steps)
    present = {step.resource.key for step in listed}
    return [step for step in listed if step.resource.inside not in present]


def batches(steps: Iterable[Step]) -> list[list[Step]]:
    """Neighbours that are made together, everything else by itself."""
    grouped = []
    for batch, members in groupby(steps, key=attrgetter("resource.batch")):
        listed = list(members)
        grouped += [listed] if batch else [[step] for step in listed]
    return grouped


def _answer(answers: Mapping[Any, Any], lease: Lease[Any]) -> str | None:
    return dump(answers[lease]) if lease in answers else None
