"""The one loop: look, journal, apply, and on any error undo.

Two commits an ADD: *pending* with the request, the plan and its leases before the kernel
is touched, *ready* with the result. Before somebody else's IPAM is run there is another,
of what it needs made first. Whatever is between two of them at a crash is undone by the
next identical ADD, DEL or GC that gets the lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

from ..ipam import lessor
from ..ipam.takeover import remove as remove_files
from ..ipam.takeover import takeover
from ..model.errors import AlreadyAttached, CniError, Code, ConfigError, RangeFull, TryLater
from ..model.plan import Drift, Plan
from ..model.plugin import Plugin
from ..model.query import Answers, Query, ReplacedBinary, Seen, Unanswered
from ..model.request import Request
from ..model.resource import Lease, Resource
from ..model.resources import AddressLease, DelegatedLease
from ..model.result import Result
from ..store.records import Record, State
from ..store.store import Store
from . import checking, collecting, faults
from .adding import Addition, Unsettled
from .journal import Taken
from .request_record import Call
from .site import Delegate, Site, no_delegate
from .undoing import undo
from .world import World

LOCK_SECONDS = 25.0
"""How long a call waits for another on the same attachment; launchers give up after 30."""


class Engine:
    """Carries out one request in `world`; `digest` tells its configuration from others.

    `environ` is what somebody else's plugin is run with, by `delegate`. `accepted` is called
    once the attachment's lock is held; `cancelled` tells that nobody waits for the answer
    any more; `timings` is told what each step of an ADD took, in seconds; `say` is told what
    a plan notes for whoever called; `expressible` raises for a result that the caller can't
    be told, before anything of it is made.
    """

    def __init__(
        self,
        store: Store,
        world: World,
        digest: str = "",
        *,
        environ: Mapping[str, str] | None = None,
        delegate: Delegate = no_delegate,
        accepted: Callable[[], None] = lambda: None,
        cancelled: Callable[[], bool] = lambda: False,
        timings: Callable[[str, float], None] | None = None,
        say: Callable[[str], None] = lambda note: None,
        expressible: Callable[[Result], object] = lambda result: None,
    ) -> None:
        self.store = store
        self.world = world
        self._site = Site(store, world, delegate)
        self._digest = digest
        self._environ = environ or {}
        self._accepted = accepted
        self._cancelled = cancelled
        self._timings = timings
        self._say = say
        self._expressible = expressible

    # --- ADD ---------------------------------------------------------------------

    def add(self, plugin: Plugin, request: Request) -> Plan:
        """CNI spec 1.1.0, "ADD": everything of the plan, or an error and nothing of it."""
        with self._locked(request):
            try:
                return self._attempt(plugin, request)
            except Unsettled:
                self._settle_earlier(plugin, request)
            return self._attempt(plugin, request)

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
                raise ExceptionGroup(
                    "undoing the failed ADD failed too", [error, *failures]
                ) from None
            raise

    def _carry_out(self, addition: Addition) -> Plan:
        addition.look()
        record, plan = self._pend(addition)
        self._expressible(plan.result)
        addition.apply(plan.resources)
        if self._cancelled():
            raise TryLater("the caller hung up before the attachment was ready")
        with self.store.write() as tx:
            tx.ready(record, json.dumps(plan.result, default=vars))
        faults.point()
        for note in plan.notes:
            self._say(note)
        return plan

    def _pend(self, addition: Addition) -> tuple[Record, Plan]:
        """Where something is taken, once more without what the dead hold."""
        try:
            return addition.pend()
        except RangeFull:
            if not collecting.reclaim(self._site, addition.request):
                raise
        except Taken as taken:
            collecting.undo_dead(self._site, taken.holders)
        return addition.pend()

    def _settle_earlier(self, plugin: Plugin, request: Request) -> None:
        """Undo what a crash left of this attachment; refuse where it is there in full."""
        with self.store.read() as tx:
            earlier = self._site.earlier(tx, plugin, request, self._digest)
        for record in earlier:
            if record.state is State.READY and self._lives(plugin, record):
                raise AlreadyAttached(
                    f'container {record.container} is on network "{record.network}" as'
                    f" {record.interface} already, by an ADD of plugin {record.plugin} with"
                    " this configuration; DEL it first",
                    details=f"record {record.id}, netns {record.netns}",
                )
            failures = [
                failure
                for doomed in (*self._chained_to(plugin, record), record)
                for failure in undo(self._site, doomed)
            ]
            if failures:
                raise ExceptionGroup("what an earlier ADD left can't be undone", failures)

    def _lives(self, plugin: Plugin, record: Record) -> bool:
        """Whether a record that is ready stands in the way of an identical ADD.

        A chained plugin's does not once the container has come back with another namespace:
        whether it may is for the plugin that owns the interface to say, and it was asked first.
        """
        if not plugin.creates_interface and record.sandbox != self.world.sandbox:
            return False
        return not self._site.is_forsaken(record)

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
        with self._locked(request):
            mine = self._mine(self._records(plugin, request))
            failures = [failure for record in mine for failure in undo(self._site, record)]
            if plugin.creates_interface:
                for record in reversed(self._attachment(request)):
                    failures += undo(self._site, record)
            if not mine:
                failures += self._delete_leftovers(plugin, request)
        if not mine:
            failures += self._delete_by_replaced(plugin, request)
        if failures:
            raise ExceptionGroup("DEL could not remove everything; it can be tried again", failures)

    def _delete_leftovers(self, plugin: Plugin, request: Request) -> list[Exception]:
        """What can be found without a record: by name, owner, prevResult, and foreign IPAM."""
        failures: list[Exception] = []
        for resource in plugin.leftovers(request):
            try:
                self._delete_leftover(request, resource)
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

    def _delete_by_replaced(self, plugin: Plugin, request: Request) -> list[Exception]:
        """What the plugin whose place ours took has attached is taken down by that one.

        Without the attachment's lock: it may run an IPAM plugin, and that may be ours.
        """
        try:
            binary = self._site.look(ReplacedBinary(plugin.name, request.path))
            if binary:
                self._site.delegate(binary, "DEL", Call(self._environ, request.config))
        except CniError as error:
            # It can't have attached what it can't read.
            return [] if error.code is Code.INCOMPATIBLE_VERSION else [error]
        except OSError as error:
            return [error]
        return []

    def _delete_leftover(self, request: Request, resource: Resource) -> None:
        files: tuple[str, ...] = ()
        if isinstance(resource, AddressLease):
            takeover(self.store, resource)  # a lease of the reference's is removed with its file
        with self.store.write() as tx:
            if isinstance(resource, AddressLease):
                files = tx.release_owner(resource.pool, request.container, request.interface)
            elif not tx.users(self.world.host, resource.key, at_most=1):
                self.world.delete([(resource, None)])
        remove_files(files)

    # --- CHECK, STATUS, GC, dry run ----------------------------------------------------

    def check(self, plugin: Plugin, request: Request) -> list[Drift]:
        """CNI spec 1.1.0, "CHECK": the recorded plan, then prevResult. [] where all is well."""
        ready = [r for r in self._records(plugin, request) if r.state is State.READY]
        drifts: list[Drift] = []
        with self.store.read() as tx:
            for record in self._mine(ready):
                drifts += checking.recorded(tx, self.world, record)
            known = checking.decided(tx, self.world.host, request.attachment)
        if plugin.checks_result:
            drifts += checking.against_result(self.world, request, known)
        self._tell_delegate("CHECK", plugin, request)
        return list(dict.fromkeys(drifts))

    def status(self, plugin: Plugin, request: Request) -> None:
        """CNI spec 1.1.0, "STATUS": silent where an ADD would work, else the error it would meet.

        Leases are peeked at; a range that looks full is first cleared of the dead.
        """
        try:
            self._peeking(request, plugin.status)
        except RangeFull:
            if not collecting.reclaim(self._site, request):
                raise
            self._peeking(request, plugin.status)
        self._tell_delegate("STATUS", plugin, request)

    def collect(self, plugin: Plugin, request: Request) -> list[Record]:
        """CNI spec 1.1.0, "GC": undo what is not valid; what was removed.

        Touches no other network, plugin or host namespace, but for bridges of ours that
        nobody uses any more.
        """
        self._accepted()
        gone: list[Record] = []
        failures: list[Exception] = []
        for record in collecting.garbage(self._site, plugin, request):
            doomed = partial(collecting.is_garbage, self._site, request)
            outcome = collecting.undo_if_idle(self._site, record, doomed)
            gone += [record] if outcome == [] else []
            failures += outcome or []
        try:
            collecting.remove_unused_bridges(self._site)
            self._tell_delegate("GC", plugin, request)
        except (CniError, OSError) as error:
            failures.append(error)
        if failures:
            raise ExceptionGroup("GC could not remove everything; it can be tried again", failures)
        return gone

    def dry_run(self, plugin: Plugin, request: Request) -> Plan:
        """The plan an ADD would carry out now; nothing is leased, written or made.

        Somebody else's IPAM can't be peeked at: `CniError` says so.
        """
        plan = self._peeking(request, plugin.plan)
        assert isinstance(plan, Plan)
        self._expressible(plan.result)
        return plan

    def _peeking(self, request: Request, ask: Callable[[Request, Seen], Any]) -> Any:
        answers = Answers()
        while True:
            try:
                return ask(request, answers)
            except Unanswered as gap:
                questions = gap.questions
            for question in questions:
                answers[question] = self._peek(request, question)

    def _peek(self, request: Request, question: Query[Any] | Lease[Any]) -> Any:
        if isinstance(question, DelegatedLease):
            raise CniError(f"{question.binary} leases the address: only an ADD can tell which")
        if not isinstance(question, AddressLease):
            return self._site.look(question)
        takeover(self.store, question)
        with self.store.read() as tx:
            return lessor.peek(tx, question, request.container, request.interface)

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

    @contextmanager
    def _locked(self, request: Request) -> Iterator[None]:
        lock = self._site.lock(request.attachment)
        lock.acquire(monotonic() + LOCK_SECONDS, self._cancelled)
        with lock:
            self._accepted()
            yield
