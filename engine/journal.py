"""What is written down before it is done: steps, who shares what, and what was there before.

Rules that hold here:
- A resource that several attachments share is looked at, counted and removed inside the
  store's write transaction: whoever removes it has seen that nobody needs it, and whoever
  needs it has said so before it is made.
- What stood there before our first user is found, not ours: it is never removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from ..model.errors import AddressInUse
from ..model.resource import Lease, Resource, Undo
from ..store.records import Record, Shared, Step
from ..store.store import Reader, Writer
from .world import World


class Taken(AddressInUse):
    """What only one may have is another's already; `holders` are all whose they are."""

    def __init__(self, resource: Resource, holders: list[Record]) -> None:
        first = holders[0]
        super().__init__(
            f"{resource.describe()}: container {first.container} ({first.interface} on network"
            f' "{first.network}") has it already; detach that, or take another',
            details=f"record {first.id}, plugin {first.plugin}, netns {first.netns}",
        )
        self.holders = holders


def note(
    tx: Writer,
    world: World,
    record: Record,
    resources: Iterable[Resource],
    answers: Mapping[Any, Any],
) -> list[Step]:
    """`resources` as the record's steps, with what each will change, in this transaction.

    What the same container has already, by another of its interfaces, is left out: a runtime
    publishes ports once for each network of a container (Podman does), and one way is enough.
    Raises `Taken`.
    """
    listed = _free(tx, record, resources)
    present = {resource.key for resource in listed}
    previous = _join(
        tx,
        world,
        record,
        [each for each in listed if each.is_counted and each.inside not in present],
    )
    return [
        Step(position, resource, previous.get(resource.key), _answer(answers, resource))
        for position, resource in enumerate(listed)
    ]


def _free(tx: Reader, record: Record, resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Those that `record` may have: all that are not exclusive, or nobody's. Raises `Taken`."""
    free: list[Resource] = []
    held: dict[Record, Resource] = {}
    for resource in resources:
        holder = None
        if resource.exclusive:
            holder = tx.holder(record.scope(resource), resource.key, but=record.id)
        if holder is None:
            free.append(resource)
        elif holder.container != record.container or holder.sandbox != record.sandbox:
            held.setdefault(holder, resource)
    if held:
        raise Taken(next(iter(held.values())), list(held))
    return tuple(free)


def _join(
    tx: Writer, world: World, record: Record, resources: Iterable[Resource]
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
                shared = _found(world, resource, shared)
                fresh.append((resource, shared))
            before[resource.key] = shared.previous
        tx.share(scope, fresh)
    return before


def _found(world: World, resource: Resource, known: Shared | None) -> Shared:
    """What its first user finds there; `known` is what an earlier first user did."""
    found = resource.may_be_found and world.exists(resource)
    if known is not None and resource.undo is Undo.KEEP:
        found = found and known.found  # ours has been standing here since its last user
    previous = world.previous(resource) if resource.undo is Undo.RESTORE else None
    return Shared(found, previous)


def leave(tx: Writer, record: Record, resource: Resource) -> None:
    """`record` no longer uses `resource`; once nobody does, what was found is forgotten."""
    scope = record.scope(resource)
    if resource.undo is not Undo.KEEP and not tx.users(
        scope, resource.key, but=record.id, at_most=1
    ):
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
    """Neighbours that are made in one transaction together, everything else by itself."""
    grouped = []
    for batch, members in groupby(steps, key=lambda step: step.resource.batch):
        listed = list(members)
        grouped += [listed] if batch else [[step] for step in listed]
    return grouped


def _answer(answers: Mapping[Any, Any], resource: Resource) -> str | None:
    if not isinstance(resource, Lease) or resource not in answers:
        return None
    return json.dumps(answers[resource], default=vars)
