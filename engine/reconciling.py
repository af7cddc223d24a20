"""The kernel made what the records say, both ways: what is missing, and what nobody has.

Rules that hold here:
- Others go on meanwhile, and each reading is old by the time it is acted on. What is to be removed
  was seen in the kernel first; that no record has it is read after, inside the transaction it is
  removed in: whoever needs a thing says so before it is made.
- What was put in is looked for in the records again: whoever undoes one marks it first and takes
  its elements out after.
- An element is compared by key and value: a port may be another container's by now.
- Killed at any point, it leaves no more than there was to be done; the next call does that.
- Before anything is removed as nobody's, those who live without a record are given one: the store
  was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic

from ..model.errors import AddressInUse, CniError, TableMissing, TryLater
from ..model.forwarding import ForwardAccept, ForwardBlockers, ForwardJump, ZoneInterface
from ..model.resource import Resource, Undo, Unknown
from ..model.resources import (
    Bridge,
    Forwarding,
    GatewayAddress,
    HostLeg,
    LinkForwarding,
    PublishCondition,
    PublishedPort,
    RouterAdvertisements,
    Sysctl,
    VlanGateway,
)
from ..model.value import Value
from ..store.locks import TablesLock
from ..store.store import Reader
from . import claiming, faults, keyed, strangers
from .needed import needed
from .site import Site
from .survey import adopt

IN_TABLE = (
    "masquerade-prefix",
    "nft-element",
    "nft-shared-element",
    "publish-condition",
    "published-port",
)
"""The kinds of resource that stand in our nftables tables."""
SHARED = (
    Bridge.kind,
    VlanGateway.kind,
    HostLeg.kind,
    GatewayAddress.kind,
    Sysctl.kind,
    RouterAdvertisements.kind,
    Forwarding.kind,
    LinkForwarding.kind,
)
"""The kinds that stand on the host for all of a network's containers, or for all there are."""
WAYS = (ForwardJump.kind, ForwardAccept.kind, ZoneInterface.kind)
"""The kinds that stand among other people's rules."""
_ATTEMPTS = 100
"""There are those who flush the ruleset ten times a second."""
_MOST_TAKEN = 5


class Reconciled(Value):
    """`removed` is what stood there and no record has; `failures` are what could not be done."""

    removed: tuple[Resource, ...]
    failures: tuple[Exception, ...]


def reconcile(site: Site) -> Reconciled:
    """All of it: our tables, what containers share on the host, what is ours in others' chains."""
    removed: list[Resource] = []
    failures: list[Exception] = []
    for part in (_settle_strangers, reconcile_tables, _mend_shared, _mend_ways):
        try:
            removed += part(site)
        except* (CniError, OSError) as errors:
            failures += errors.exceptions
    return Reconciled(tuple(removed), tuple(failures))


def settle(site: Site, unsettled: claiming.Unsettled) -> None:
    """See to the host before it is worked on. Raises `CniError`."""
    if unsettled.strangers:
        adopt(site)
    if unsettled.tables:
        reconcile_tables(site, is_done=lambda: not claiming.refuse_others(site).tables)


def _settle_strangers(site: Site) -> list[Resource]:
    """Those who live without a record are put on one; it goes once they are dead."""
    adopt(site)
    return _nothing_but(strangers.bury(site))


# --- our tables ----------------------------------------------------------------------------------


def _always(recorded: Sequence[Resource]) -> bool:
    return True


def _never() -> bool:
    return False


def reconcile_tables(
    site: Site,
    is_needed: Callable[[Sequence[Resource]], bool] = _always,
    is_done: Callable[[], bool] = _never,
) -> list[Resource]:
    """Make what is missing of our tables, fill them, and answer what was in there for nobody.

    Nothing is done unless it `is_needed`, by what is recorded, nor where it `is_done` by those
    before. One at a time: a table that is replaced holds what was on record when its turn began.
    Raises `CniError`.
    """
    if claiming.refuse_others(site).strangers:
        adopt(site)
    with TablesLock(site.store.directory, site.world.host) as lock:
        lock.acquire(monotonic() + keyed.LOCK_SECONDS)
        return [] if is_done() else _reconcile_tables(site, is_needed)


def _reconcile_tables(
    site: Site, is_needed: Callable[[Sequence[Resource]], bool]
) -> list[Resource]:
    removed: list[Resource] = []
    taken = 0
    for attempt in range(_ATTEMPTS):
        recorded = _recorded(site, IN_TABLE)
        if not attempt and not is_needed(recorded):
            return removed
        removed += _remove_surplus(site, recorded)
        try:
            replaced = site.world.rebuild(_makeable(recorded), site.store.owner())
        except AddressInUse:
            # A port that has changed hands since the records were read.
            taken += 1
            if taken == _MOST_TAKEN:
                raise
            continue
        except TableMissing:
            continue
        faults.point()
        removed += _take_out_again(site, recorded)
        if not replaced:
            return removed
    raise TryLater("somebody changes this host's nftables tables again and again; try again later")


def _makeable(recorded: Sequence[Resource]) -> list[Resource]:
    """Without the ports on a condition that no record tells: it was lost with the store."""
    told = {(each.family, each.id) for each in recorded if isinstance(each, PublishCondition)}
    return [
        each
        for each in recorded
        if not isinstance(each, PublishedPort)
        or not each.condition
        or (each.family, each.condition) in told
    ]


def _remove_surplus(site: Site, recorded: Sequence[Resource]) -> list[Resource]:
    """Remove what stands in our tables and is none of `recorded`, nor a living container's."""
    surplus = site.world.surplus(recorded)
    if surplus and adopt(site):
        surplus = site.world.surplus(_recorded(site, IN_TABLE), surplus)
    if not surplus:
        return []
    faults.point()
    with site.store.write() as tx:
        needed = list(tx.resources(site.world.host, IN_TABLE))
        if any(isinstance(each, Unknown) for each in needed):
            return []  # which elements those are a newer version can tell
        doomed = site.world.surplus(needed, surplus)
        site.world.delete(list(_let_go(tx, site, doomed)))
        site.world.delete([(one, None) for one in doomed])
        faults.point()
    return doomed


def _let_go(
    tx: Reader, site: Site, doomed: Iterable[Resource]
) -> Iterator[tuple[Resource, str | None]]:
    """The settings that elements guard, before these go: else nothing would guard them."""
    for one in doomed:
        guarded = strangers.guarded_by(one)
        if guarded and not tx.users(site.world.host, guarded.key, at_most=1):
            yield guarded, "0"


def _take_out_again(site: Site, put: Sequence[Resource]) -> list[Resource]:
    """Remove what was put in though its record has gone meanwhile."""
    with site.store.read() as tx:
        if not _forgotten(tx, site, put):
            return []
    with site.store.write() as tx:
        doomed = _forgotten(tx, site, put)
        site.world.delete([(one, None) for one in doomed])
        faults.point()
    return doomed


def _forgotten(tx: Reader, site: Site, put: Iterable[Resource]) -> list[Resource]:
    """Those of `put` that no record needs any more, as they are."""
    needed = set(tx.resources(site.world.host, IN_TABLE))
    return [one for one in put if one not in needed and one.undo is not Undo.KEEP]


# --- beside them ---------------------------------------------------------------------------------


def _mend_shared(site: Site) -> list[Resource]:
    """What all containers of a network, or of the host, have in common is made again.

    What a record no longer needs went with it, in its own transaction: there is no more to find.
    """
    failures: list[Exception] = []
    recorded = _recorded(site, SHARED)
    settings = needed(recorded)
    for resource in (*settings, *recorded):
        try:
            if site.world.verify(resource):
                _mend(site, resource, is_recorded=resource not in settings)
        except (CniError, OSError) as error:
            failures.append(error)
    return _nothing_but(failures)


def _mend(site: Site, resource: Resource, *, is_recorded: bool) -> None:
    with site.store.write() as tx:
        if not is_recorded or tx.users(site.world.host, resource.key, at_most=1):
            site.world.create([resource])
    faults.point()


def _mend_ways(site: Site) -> list[Resource]:
    """What is ours among other people's rules: made again where it still counts, else removed."""
    failures: list[Exception] = []
    removed: list[Resource] = []
    for way in _open_ways(site, _recorded(site, WAYS), passed=True):
        try:
            keyed.mend(site, way)
        except (CniError, OSError) as error:
            failures.append(error)
    try:
        removed += remove_stray_ways(site)
    except* (CniError, OSError) as errors:
        failures += errors.exceptions
    return _nothing_but(failures) or removed


def remove_stray_ways(site: Site) -> list[Resource]:
    """Remove what stands among other people's rules in our name, and no record has.

    Raises `CniError`, OSError, alone or in a group.
    """
    failures: list[Exception] = []
    removed: list[Resource] = []
    known = {way.key for way in _recorded(site, WAYS)}
    for way in site.world.ways():
        try:
            if way.key not in known and keyed.remove_stray(site, way):
                removed.append(way)
        except (CniError, OSError) as error:
            failures.append(error)
    return _nothing_but(failures) or removed


def _nothing_but(failures: list[Exception]) -> list[Resource]:
    if failures:
        raise ExceptionGroup("not all of it could be made as recorded", failures)
    return []


def _recorded(site: Site, kinds: Iterable[str]) -> list[Resource]:
    """What records need, as far as this version knows it; without what goes with a link."""
    with site.store.read() as tx:
        found = list(tx.resources(site.world.host, kinds))
    return [each for each in found if not isinstance(each, Unknown) and not each.inside]


def _open_ways(site: Site, ways: Sequence[Resource], passed: bool = False) -> list[Resource]:
    """Without those through a chain whose owner is gone or drops nothing.

    With `passed` also without jumps in a chain that packets no longer come by: they move elsewhere.
    """
    if not ways:
        return []
    blockers = site.world.look(ForwardBlockers())
    programs = {blocker.program for blocker in blockers}
    chains = {(blocker.program, blocker.chain) for blocker in blockers}
    return [
        way
        for way in ways
        if _is_asked_for(way)
        or (
            _program(way) in programs
            and not (
                passed and isinstance(way, ForwardJump) and (way.program, way.into) not in chains
            )
        )
    ]


def _is_asked_for(way: Resource) -> bool:
    """Whether it stands there whatever is dropped."""
    return isinstance(way, ForwardJump) and way.admin


def wanted(site: Site) -> list[Resource]:
    """All that this sees to: what is recorded, and counts."""
    standing = _recorded(site, (*IN_TABLE, *SHARED))
    return [*standing, *_open_ways(site, _recorded(site, WAYS))]


def _program(resource: Resource) -> str:
    """Who provides for it."""
    if isinstance(resource, ForwardJump | ForwardAccept):
        return resource.program
    return "firewalld"
