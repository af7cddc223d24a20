"""CHECK: the recorded plan against the kernel, then prevResult against the kernel."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from ..ipam import lessor
from ..ipam.takeover import takeover
from ..model.errors import ConfigError
from ..model.link_attributes import LinkAttribute
from ..model.plan import Drift
from ..model.query import LeadsToSandbox, LinkNamed
from ..model.request import Request
from ..model.resource import Lease, Resource
from ..model.resources import (
    AddressLease,
    InterfaceAddress,
    InterfaceRoute,
    Leased,
)
from ..model.shown import short_id
from ..model.value import Value
from ..store.records import Record, State
from ..store.store import Reader, Store
from . import journal
from .lapsing import Lapsing, current, lapsing, version_of
from .last_word import LastWord, later_records, recorded_macs
from .leasing import Served, everything, unattended
from .needed import needed
from .world import World

NOBODYS_WORD = LastWord("", None)

Look = Callable[[Sequence[Resource]], list[Drift]]
"""A world's `verify_all`, or that of somebody who remembers what it said."""


class Expected(Value):
    """What a record says, as read in one transaction: `drifts` are those of its leases.

    `later` are the properties that later records decide, `lapsing` its leases that end by
    themselves, `kept` what a keeper looks after.
    """

    resources: tuple[Resource, ...]
    record: Record
    later: frozenset[tuple[str, str]]
    drifts: tuple[Drift, ...]
    lapsing: tuple[Lapsing, ...] = ()
    kept: tuple[Resource, ...] = ()


class Fault(Value):
    """A drift; `mendable` in place, or for a new ADD alone to bring back."""

    drift: Drift
    mendable: bool = True


def differences(
    store: Store,
    world: World,
    request: Request,
    records: Sequence[Record],
    served: Served = everything,
    *,
    of_result: bool,
) -> list[Drift]:
    """Where the kernel is as neither these records nor the final result have it.

    A record that is not ready is a drift: something of it may be missing, or on its way out.
    With `of_result`, also where it is not as that says, unless the records tell of no interface (a
    device without one was attached). Raises `ConfigError` then, where there is
    none, or another namespace's.
    """
    ready = [record for record in records if record.state is State.READY]
    drifts = [_unfinished(record) for record in records if record not in ready]
    with store.read() as tx:
        wanted = [expected(tx, record) for record in ready]
        macs = recorded_macs(tx, world.host, request.attachment)
    drifts += unattended((kept for one in wanted for kept in one.kept), served)
    word = LastWord(request.interface, request.prev_result, may_be_tuned=True)
    for one in wanted:
        drifts += [fault.drift for fault in faults(world.verify_all, one, word)]
    told_of_one = not ready or any(json.loads(each.result)["interfaces"] for each in ready)
    if not (of_result and told_of_one):
        return drifts
    changed = {lease.version for one in wanted for lease in one.lapsing if lease.has_changed}
    return drifts + _against_result(world, request, macs, changed)


def _unfinished(record: Record) -> Drift:
    what = f"what {record.plugin} made for {record.interface}"
    return Drift(what, "state", State.READY, record.state)


def expected(tx: Reader, record: Record) -> Expected:
    """What `record` made, and what that needs.

    A property is judged by the last record of the container that sets it: a chained
    plugin may change the MAC that the main plugin gave.
    """
    resources: list[Resource] = []
    drifts: list[Drift] = []
    made, _ = journal.succession(tx, record, tx.steps(record))
    for step in made:
        if isinstance(step.resource, AddressLease):
            answer = Leased(**json.loads(step.answer or "{}"))
            drifts += lessor.held(tx, step.resource, record, answer)
        elif step.resource.keeper and not tx.is_kept(record, step.position):
            drifts.append(Drift(step.resource.describe(), "presence", "kept", "kept by nobody"))
        elif step.whole and not isinstance(step.resource, Lease):
            resources.append(step.resource)
    leases = tuple(lapsing(made))
    drifts += [drift for lease in leases for drift in lease.drifts()]
    resources = current(resources, leases)
    wanted = (*needed(resources), *resources)
    later = _decided_later(tx, record, wanted)
    kept = tuple(step.resource for step in made if step.resource.keeper)
    return Expected(wanted, record, frozenset(later), tuple(drifts), leases, kept)


def _decided_later(
    tx: Reader, record: Record, wanted: Iterable[Resource]
) -> Iterator[tuple[str, str]]:
    """The properties that later records set: of another interface, what both set in the container.

    That is a setting of the whole namespace. What is on the host may only be called the same.
    """
    inside = {one for each in wanted if each.place == "sandbox" for one in each.properties()}
    for other in later_records(tx, record):
        for step in tx.steps(other):
            found = step.resource.properties()
            yield from found if other.interface == record.interface else found & inside


def unreserved(
    store: Store, world: World, request: Request, pools: Iterable[AddressLease]
) -> list[Drift]:
    """For a plugin that leases and has nothing on record: where no lease is its attachment's.

    CNI spec 1.1.0, "CHECK": an error where "IP reservations" are missing. What was taken over has
    an owner, and no record.
    """
    owner = f"{short_id(request.container)} ({request.interface})"
    drifts = []
    for pool in pools:
        takeover(store, pool, world.root)
        with store.read() as tx:
            if not tx.leases_of(pool.pool, request.container, request.interface):
                drifts.append(Drift(f"an address of pool {pool.pool}", "holder", owner, "nobody"))
    return drifts


def faults(look: Look, wanted: Expected, word: LastWord = NOBODYS_WORD) -> list[Fault]:
    """Where the world is neither as recorded nor as the last word has it.

    Asked with no transaction open: a program may have to be run.
    """
    dropped = word.dropped(wanted.record)
    found = look([one for one in wanted.resources if one not in dropped])
    drifts = [Fault(drift, mendable=False) for drift in wanted.drifts]
    return drifts + [Fault(drift) for drift in judged(found, wanted, word)]


def judged(found: Iterable[Drift], wanted: Expected, word: LastWord) -> list[Drift]:
    """Without what is decided later: in its own plan, by a later plugin's record, by the last word.

    A link is made before a server is asked what MTU its network takes, for one.
    """
    own = {
        decided: each.value
        for each in wanted.resources
        if isinstance(each, LinkAttribute)
        for decided in each.properties()
    }
    return [
        word.corrected(drift)
        for drift in found
        if (drift.subject, drift.property) not in wanted.later
        and own.get((drift.subject, drift.property), drift.expected) == drift.expected
        and not word.allows(drift, wanted.resources, wanted.record.request)
    ]


def _against_result(
    world: World, request: Request, recorded_macs: set[str], changed: Collection[int]
) -> list[Drift]:
    """Where the container's interface differs from prevResult. Raises `ConfigError`.

    Of the families that are `changed` its lease tells.
    """
    result = request.prev_result
    if result is None:
        raise ConfigError("CHECK needs prevResult, and the configuration has none")
    index, mine = next(
        (
            (index, interface)
            for index, interface in enumerate(result.interfaces)
            if interface.name == request.interface
            and interface.is_in(request.netns, lambda path: bool(world.look(LeadsToSandbox(path))))
        ),
        (None, None),
    )
    if mine is None:
        raise ConfigError(
            f"prevResult has no interface {request.interface} in sandbox {request.netns}"
        )
    link = world.look(LinkNamed(mine.name, "sandbox"))
    if link is None:
        return [Drift(mine.name, "presence", "there", "missing")]
    drifts = []
    if mine.mac and mine.mac.lower() not in {*recorded_macs, link.mac}:
        drifts.append(Drift(mine.name, "MAC", mine.mac, link.mac))
    return drifts + world.verify_all(_of_result(request, index, changed))


def _of_result(request: Request, index: int | None, changed: Collection[int]) -> list[Resource]:
    result = request.prev_result
    assert result is not None
    found: list[Resource] = [
        InterfaceAddress(name=request.interface, place="sandbox", address=ip.address)
        for ip in result.ips
        if ip.interface in (index, None, -1) and version_of(ip.address) not in changed
    ]
    if not found:
        return found
    for route in result.routes:
        if version_of(route.dst) in changed:
            continue
        # The reference checks destination and gateway; a later plugin may move the rest.
        found.append(
            InterfaceRoute(
                name=request.interface,
                place="sandbox",
                dst=route.dst,
                gw=result.next_hop(route),
                table=route.table,
            )
        )
    return found
