"""The one loop: look, journal, apply, and on any error undo.

Two commits an ADD: *pending* with the request, the plan and its leases before the kernel
is touched, *ready* with the result. Where something has to be made, or leased by others, before
the plan is whole, there is another before that: the *intent*, with all of it. Whatever is between
two of them at a crash is undone by the next identical ADD, DEL or GC that gets the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter
from time import monotonic
from types import MappingProxyType

from ..model import patience
from ..model.errors import AddressInUse, Away, CniError, ConfigError, RangeFull, TryLater
from ..model.plan import Drift, Plan
from ..model.plugin import Plugin
from ..model.request import Request
from ..model.result import Result
from ..model.value import dump
from ..store.locks import AttachmentLock
from ..store.records import Record, State
from ..store.store import Store
from . import away, checking, claiming, collecting, faults, in_the_way, leftovers, legs, strangers
from .adding import Addition, Outdated, Unsettled
from .journal import Taken
from .leasing import Delegate, Lessor, Served, everything, no_delegate
from .peeking import Peeking
from .reconciling import reconcile, settle
from .request_record import Call
from .site import Site, already_attached, earlier_of, nobody, nowhere
from .undoing import undo
from .world import World

MOST_PLANS = 3
LOCK_SECONDS = patience.SECONDS
"""How long a call waits for another on the same attachment."""


class Engine(Peeking):
    """Carries out one request in `world`; `digest` tells its configuration from others.

    `environ` is what somebody else's plugin is run with, by `delegate`; `lessors` give what
    neither that nor the store leases, by the kind of lease; `kept` is called when what keepers
    look after has changed, `served` refuses what no keeper is there for. `accepted` is called
    once the attachment's lock is held (by what takes none at its begin): nothing is done or run
    before, so that nothing is done twice; `cancelled`
    tells that nobody waits for the answer any more; `timings` is told what each step of an ADD
    took, in seconds; `say` is told what whoever called may want to know; `expressible` raises for
    a result that the caller can't be told, before anything of it is made. With `leaves_newer`,
    what a newer pynet has on record is left to that one (`NewerRecord`), before `accepted`
    where it can be known by then.
    """

    def __init__(
        self,
        store: Store,
        world: World,
        digest: str = "",
        *,
        environ: Mapping[str, str] | None = None,
        delegate: Delegate = no_delegate,
        lessors: Mapping[str, Lessor] = MappingProxyType({}),
        kept: Callable[[], None] = nobody,
        served: Served = everything,
        accepted: Callable[[], None] = lambda: None,
        cancelled: Callable[[], bool] = lambda: False,
        timings: Callable[[str, float], None] | None = None,
        say: Callable[[str], None] = nowhere,
        expressible: Callable[[Result], object] = lambda result: None,
        leaves_newer: bool = False,
    ) -> None:
        super().__init__(store, world, served)
        self._site = Site(store, world, delegate, lessors, kept, leaves_newer, say)
        self._digest = digest
        self._environ = environ or {}
        self._accepted = accepted
        self._cancelled = cancelled
        self._timings = timings
        self._expressible = expressible

    # --- ADD ---------------------------------------------------------------------

    def add(self, plugin: Plugin, request: Request) -> Plan:
        """CNI spec 1.1.0, "ADD": everything of the plan, or an error and nothing of it."""
        unsettled = claiming.refuse_others(self._site)
        with self._locked(request):
            self._accepted()
            settle(self._site, unsettled)
            if plugin.creates_interface:
                strangers.refuse_unrecorded(self._site, request)
            with in_the_way.whose(self.store, self.world, request.network):
                try:
                    return self._attempts(plugin, request)
                except Unsettled:
                    self._settle_earlier(plugin, request)
                return self._attempts(plugin, request)

    def _attempts(self, plugin: Plugin, request: Request) -> Plan:
        """Planned again where what was seen is gone by the time it is needed, or is back."""
        refusal: CniError
        for _ in range(MOST_PLANS):
            try:
                return self._attempt(plugin, request)
            except Outdated as unsettled:
                refusal = unsettled.refusal
            except Away as lent:
                refusal = lent
                with self.store.read() as tx:
                    records = tx.records_of(self.world.host, request.attachment)
                if earlier_of(records, plugin, self._digest):
                    raise Unsettled from None  # it may be this very attachment that has it
                away.bring_back(self._site, lent)
        raise refusal

    def _attempt(self, plugin: Plugin, request: Request) -> Plan:
        addition = Addition(
            self._site,
            plugin,
            request,
            self._digest,
            self._environ,
            self._cancelled,
            self._timings,
        )
        try:
            return self._carry_out(addition)
        except Exception as error:
            failures = undo(self._site, addition.record) if addition.record else []
            if failures:
                told = error.refusal if isinstance(error, Outdated) else error
                raise ExceptionGroup(
                    "undoing the failed ADD failed too", [told, *failures]
                ) from None
            raise

    def _carry_out(self, addition: Addition) -> Plan:
        addition.look()
        record, plan = self._pend(addition)
        self._expressible(plan.result)
        addition.apply(plan.resources)
        if self._cancelled():
            raise TryLater("the caller hung up before the attachment was ready")
        kept = any(map(attrgetter("keeper"), plan.resources))
        with self.store.write() as tx:
            tx.ready(record, dump(plan.result), kept=kept)
        faults.point()
        if kept:
            self._site.kept()
        for note in plan.notes:
            self._site.say(note)
        return plan

    def _pend(self, addition: Addition) -> tuple[Record, Plan]:
        """Where something is taken, once more without what the dead hold."""
        try:
            return addition.pend()
        except Taken as taken:
            collecting.undo_abandoned(self._site, taken.holders)
        except (RangeFull, AddressInUse):
            if not collecting.reclaim(self._site, addition.request, addition.wanted):
                raise
        return addition.pend()

    def _settle_earlier(self, plugin: Plugin, request: Request) -> None:
        """Undo what a crash left of this attachment; refuse where it is there in full."""
        with self.store.read() as tx:
            records = tx.records_of(self.world.host, request.attachment)
        earlier = earlier_of(records, plugin, self._digest)
        claiming.leave_newer(self._site, earlier)
        for record in earlier:
            self._refuse_attached(plugin, record)
            failures = [
                failure
                for doomed in (*self._chained_to(plugin, record), record)
                for failure in undo(self._site, doomed)
            ]
            if failures:
                raise ExceptionGroup("what an earlier ADD left can't be undone", failures)

    def _refuse_attached(self, plugin: Plugin, record: Record) -> None:
        """Raises `AlreadyAttached` where it is there in full."""
        if record.state is State.READY and self._lives(plugin, record):
            raise already_attached(record)

    def _lives(self, plugin: Plugin, record: Record) -> bool:
        """Whether a record that is ready stands in the way of an identical ADD.

        A chained plugin's does not once the container has come back with another namespace:
        whether it may is for the plugin that owns the interface to say, and it was asked first.
        """
        if not plugin.creates_interface and record.sandbox != self.world.sandbox:
            return False
        return not collecting.is_dead(self._site, record)

    def _chained_to(self, plugin: Plugin, record: Record) -> list[Record]:
        """What was recorded for the interface that goes with `record`, last first."""
        if not plugin.creates_interface:
            return []
        chained = [
            other
            for other in self._attachment(record)
            if other.id > record.id and other.plugin != record.plugin
        ]
        return chained[::-1]

    # --- DEL ---------------------------------------------------------------------

    def delete(self, plugin: Plugin, request: Request) -> None:
        """CNI spec 1.1.0, "DEL": trusts the record, not the configuration."""
        with self.store.last_resort():
            self._delete(plugin, request)

    def _delete(self, plugin: Plugin, request: Request) -> None:
        unsettled = claiming.refuse_newer(self._site)
        with self._locked(request):
            recorded = self._attachment(request)
            claiming.leave_newer(self._site, recorded)
            self._accepted()
            with suppress(CniError):  # what can't be removed for it is told of below
                settle(self._site, unsettled)
            mine = self._mine([r for r in recorded if r.plugin == plugin.name])
            doomed = recorded if plugin.creates_interface else mine
            failures = [
                failure for record in reversed(doomed) for failure in undo(self._site, record)
            ]
            unrecorded = not mine and not self._leaves_to_another_store(request)
            if unrecorded:
                if plugin.creates_interface:
                    failures += strangers.delete_unrecorded(self._site, request)
                failures += self._delete_leftovers(plugin, request)
        if unrecorded and not plugin.knows_leftovers:
            failures += leftovers.delete_by_replaced(self._site, self._environ, plugin, request)
        if failures:
            raise ExceptionGroup("DEL could not remove everything; it can be tried again", failures)

    def _leaves_to_another_store(self, request: Request) -> bool:
        """Whether what is on no record here is another store's to undo, which keeps this host.

        A runtime sends DEL after an ADD that was refused, too: that other's may live.
        """
        owner = claiming.kept_by(self._site)
        if owner is None:
            return False
        from ..model.shown import short_id

        self._site.say(
            f"container {short_id(request.container)} is not on record here, and this host's"
            f" containers are kept by {owner}: what that has made is left to it"
        )
        return True

    def _delete_leftovers(self, plugin: Plugin, request: Request) -> list[Exception]:
        """What can be found without a record: by name, owner, prevResult, and foreign IPAM."""
        failures: list[Exception] = []
        for resource in plugin.leftovers(request):
            try:
                leftovers.delete(self._site, request, resource)
            except* (CniError, OSError) as errors:
                failures += errors.exceptions
            faults.point()
        try:
            self._tell_delegate("DEL", plugin, request)
        except ConfigError:
            pass  # there is no such plugin, and no record that there was one
        except (CniError, OSError) as error:
            failures.append(error)
        return failures

    # --- CHECK, STATUS, GC, dry run ----------------------------------------------------

    def check(self, plugin: Plugin, request: Request) -> list[Drift]:
        """CNI spec 1.1.0, "CHECK": the recorded plan, then prevResult. [] where all is well."""
        unsettled = claiming.refuse_newer(self._site)
        recorded = self._records(plugin, request)
        claiming.leave_newer(self._site, recorded)
        self._accepted()
        settle(self._site, unsettled)
        mine = self._mine(recorded)
        # What another plugin has made is for that one to judge: it may be nobody's of ours.
        of_result = plugin.checks_result and plugin.creates_interface
        drifts = checking.differences(
            self.store, self.world, request, mine, self._served, of_result=of_result
        )
        if not (mine or plugin.creates_interface):
            drifts += checking.unreserved(self.store, self.world, request, plugin.pools(request))
        if plugin.lets_through:
            from .ways import unmet, ways_among

            with self.store.read() as tx:
                steps = [step for record in mine for step in tx.steps(record)]
            with suppress(ConfigError):  # what it goes by has gone: that is told above
                needed = ways_among(self._peeking(request, plugin.plan).resources)
                drifts += unmet(self.world, steps, needed)
        self._tell_delegate("CHECK", plugin, request)
        return list(dict.fromkeys(drifts))

    def status(self, plugin: Plugin, request: Request) -> None:
        """CNI spec 1.1.0, "STATUS": silent where an ADD would work, else the error it would meet.

        Leases are peeked at, and nothing is removed. What the dead hold counts as free: an ADD
        would be given it. What is lent is as it should be, though nobody else is given it.
        """
        claiming.refuse_others(self._site)
        self._accepted()
        self.store.refuse_full()
        with in_the_way.whose(self.store, self.world, request.network):
            try:
                self._peek_status(request, plugin)
            except RangeFull:
                self._peek_status(request, plugin, collecting.the_dead(self._site, request))
            except Away as lent:
                if not away.is_lent(self._site, lent, request.network):
                    raise
        self._tell_delegate("STATUS", plugin, request)

    def collect(self, plugin: Plugin, request: Request) -> list[Record]:
        """CNI spec 1.1.0, "GC": undo what is not valid; what was removed.

        Touches no other network, plugin or host namespace, but for what nobody uses any more:
        bridges of ours, and what stands in tables and chains though no record has it.
        """
        with self.store.last_resort():
            return self._collect(plugin, request)

    def _collect(self, plugin: Plugin, request: Request) -> list[Record]:
        unsettled = claiming.refuse_newer(self._site)
        recorded = collecting.candidates(self._site, plugin, request)
        claiming.leave_newer(self._site, recorded)
        self._accepted()
        settle(self._site, unsettled)
        gone: list[Record] = []
        failures: list[Exception] = []
        doomed = partial(collecting.is_garbage, self._site, request)
        for record in filter(doomed, recorded):
            outcome = collecting.undo_if_idle(self._site, record, doomed)
            gone += [record] if outcome == [] else []
            failures += outcome or []
        try:
            collecting.free_stale(self._site, plugin.pools(request), request.valid_attachments)
            collecting.remove_unused_bridges(self._site)
            legs.collect(self._site, plugin, request)
            self._tell_delegate("GC", plugin, request)
        except (CniError, OSError) as error:
            failures.append(error)
        failures += reconcile(self._site).failures
        if failures:
            raise ExceptionGroup("GC could not remove everything; it can be tried again", failures)
        return gone

    def dry_run(
        self, plugin: Plugin, request: Request, without: Sequence[Record] | None = None
    ) -> Plan:
        """The plan an ADD would carry out now; nothing is leased, written or made.

        `without` is as in `Peeking`. Raises `Unplannable` where somebody else's answer is needed.
        """
        with in_the_way.whose(self.store, self.world, request.network):
            plan = self._peeking(request, plugin.plan, without)
        assert isinstance(plan, Plan)
        self._expressible(plan.result)
        return plan

    def _tell_delegate(self, command: str, plugin: Plugin, request: Request) -> None:
        """CNI spec 1.1.0, section 4: what concerns leases is passed on to who holds them."""
        if request.conf is not None:
            binary = self._peeking(request, plugin.delegate)
            if binary:
                self._site.delegate(binary, command, Call(self._environ, request.config))

    # --- records ---------------------------------------------------------------------------

    def _mine(self, records: list[Record]) -> list[Record]:
        """Those of this very configuration, else the latest of this plugin."""
        return [r for r in records if r.digest == self._digest] or records[-1:]

    def _records(self, plugin: Plugin, request: Request) -> list[Record]:
        return [r for r in self._attachment(request) if r.plugin == plugin.name]

    def _attachment(self, one: Request | Record) -> list[Record]:
        with self.store.read() as tx:
            return tx.records_of(self.world.host, one.attachment)

    def _locked(self, request: Request) -> AttachmentLock:
        """Held already; a `with` lets it go."""
        lock = self._site.lock(request.attachment)
        lock.acquire(monotonic() + LOCK_SECONDS, self._cancelled)
        return lock
