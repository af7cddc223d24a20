"""The one loop: look, journal, apply, and on any error undo.

Three commits an ADD: *intent* before anything is leased or run, *pending* with the plan
and its leases before the kernel is touched, *ready* with the result. Whatever is between
two of them at a crash is undone by the next identical ADD, DEL or GC that gets the lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ..ipam import lessor
from ..ipam.takeover import remove as remove_files
from ..ipam.takeover import takeover
from ..model.errors import AlreadyAttached, CniError, RangeFull, TryLater
from ..model.plan import Drift, Plan
from ..model.plugin import Plugin
from ..model.query import Answers, Seen, Unanswered
from ..model.request import Attachment, Request
from ..model.resource import Resource
from ..model.resources import AddressLease, DelegatedLease
from ..store.locks import AttachmentLock
from ..store.records import Record, State
from ..store.store import Store, Writer
from . import checking, faults, journal, undoing
from .request_record import Call
from .world import TableMissing, World

LOCK_SECONDS = 25.0
"""How long a call waits for another on the same attachment; runtimes give up after minutes."""


def _no_delegate(binary: str, command: str, call: Call) -> dict[str, Any]:
    raise CniError(f"{binary}: nothing here can run somebody else's plugin")


@dataclass
class Engine:
    """One request's: `world` is its two namespaces, `digest` its configuration's.

    `delegate` runs somebody else's plugin; `accepted` is called once the attachment's
    lock is held; `cancelled` tells that nobody waits for the answer any more.
    """

    store: Store
    world: World
    digest: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    delegate: Callable[[str, str, Call], dict[str, Any]] = _no_delegate
    accepted: Callable[[], None] = lambda: None
    cancelled: Callable[[], bool] = lambda: False
    timings: Callable[[str, float], None] | None = None

    # --- ADD ---------------------------------------------------------------------

    def add(self, plugin: Plugin, request: Request) -> Plan:
        """CNI spec 1.1.0, "ADD": everything of the plan, or an error and nothing of it."""
        with self._locked(request):
            self._settle_earlier(plugin, request)
            record = self._intend(plugin, request)
            try:
                record, plan = self._pend(plugin, request, record)
                self._apply(record)
                if self.cancelled():
                    raise TryLater("the caller hung up before the attachment was ready")
                with self.store.write() as tx:
                    tx.ready(record, json.dumps(_summary(plan)))
                faults.point()
            except BaseException as error:
                self._take_back(record, error)
                raise
            return plan

    def _settle_earlier(self, plugin: Plugin, request: Request) -> None:
        """Undo what a crash left of this attachment; refuse where it is there in full."""
        for record in self._records(plugin, request):
            if record.state is State.READY:
                if record.digest != self.digest or self._forsaken(record):
                    if record.digest == self.digest:
                        self.undo(record)
                    continue
                raise AlreadyAttached(
                    f'container {record.container} is attached to network "{record.network}" as'
                    f" {record.interface} already (plugin {record.plugin}, since an ADD with this"
                    f" same configuration); DEL it first",
                    details=f"record {record.id}, sandbox {record.netns}",
                )
            self.undo(record)

    def _intend(self, plugin: Plugin, request: Request) -> Record:
        call = Call(self.environ, request.config)
        with self.store.write() as tx:
            record = tx.begin(
                host=self.world.host,
                network=request.network,
                container=request.container,
                interface=request.interface,
                plugin=plugin.name,
                digest=self.digest,
                sandbox=self.world.sandbox,
                netns=request.netns,
                request=call.dump(),
            )
        faults.point()
        return record

    def _pend(self, plugin: Plugin, request: Request, record: Record) -> tuple[Record, Plan]:
        """The whole plan, journalled together with its leases."""
        answers = Answers()
        record = self._look(plugin, request, record, answers)
        try:
            pending = self._commit_plan(plugin, request, record, answers)
        except RangeFull:
            if not self.reclaim(request):
                raise
            pending = self._commit_plan(plugin, request, record, answers)
        faults.point()
        return pending

    def _commit_plan(
        self, plugin: Plugin, request: Request, record: Record, answers: Answers
    ) -> tuple[Record, Plan]:
        # An address is held from the moment it is chosen: the plan is finished, journalled
        # and its leases are taken in one transaction, so nobody can be given the same one.
        given = Answers(answers)
        with self.store.write() as tx:
            while True:
                try:
                    plan = plugin.plan(request, given)
                    break
                except Unanswered as gap:
                    question = gap.question
                    if isinstance(question, AddressLease):
                        given[question] = lessor.take(tx, question, record)
                    else:
                        given[question] = self.world.look(question)
            steps = journal.note(tx, self.world, record, plan.resources, given)
            return tx.pend(record, steps), plan

    def _look(
        self, plugin: Plugin, request: Request, record: Record, answers: Answers
    ) -> Record:
        """Answer questions until the plan is whole or wants a lease of ours.

        Somebody else's IPAM is run on the way, with what it needs made and journalled first.
        """
        while True:
            try:
                plugin.plan(request, answers)
                return record
            except Unanswered as gap:
                question = gap.question
            if isinstance(question, AddressLease):
                takeover(self.store, question)
                return record
            if isinstance(question, DelegatedLease):
                record = self._prepare(record, question, answers)
                call = Call(self.environ, request.config)
                answers[question] = self.delegate(question.binary, "ADD", call)
                faults.point()
            else:
                answers[question] = self.world.look(question)

    def _prepare(self, record: Record, lease: DelegatedLease, answers: Answers) -> Record:
        with self.store.write() as tx:
            steps = (*lease.after(), lease)
            record = tx.pend(record, journal.note(tx, self.world, record, steps, answers))
        faults.point()
        self._apply(record)
        return record

    def _apply(self, record: Record) -> None:
        with self.store.read() as tx:
            steps = tx.steps(record)
        wanted = [step for step in steps if not isinstance(step.resource, _LEASES)]
        for group in journal.batches(wanted):
            resources = [step.resource for step in group]
            began = monotonic()
            try:
                self.world.create(resources)
            except TableMissing:
                self.rebuild()
                self.world.create(resources)
            if self.timings:
                self.timings("; ".join(r.describe() for r in resources), monotonic() - began)
            faults.point()
            if self.cancelled():
                raise TryLater("the caller hung up before the attachment was ready")

    def rebuild(self) -> None:
        """Make our tables anew and fill in what the records say belongs there."""
        with self.store.read() as tx:
            resources = list(tx.resources(self.world.host, _IN_TABLE))
        self.world.rebuild(resources)

    def _take_back(self, record: Record, error: BaseException) -> None:
        """Undo after `error`, past every further error; they are raised as one group."""
        failures = self.undo(record)
        if failures:
            raise ExceptionGroup("undo after a failed ADD failed too", [*_as_errors(error), *failures])

    # --- DEL ---------------------------------------------------------------------

    def delete(self, plugin: Plugin, request: Request) -> None:
        """CNI spec 1.1.0, "DEL": trusts the record, not the configuration."""
        with self._locked(request):
            records = self._records(plugin, request)
            mine = [r for r in records if r.digest == self.digest] or records[-1:]
            failures: list[Exception] = []
            for record in mine:
                failures += self.undo(record)
            if plugin.creates_interface:
                for record in self._attachment(request):
                    failures += self.undo(record)
            if not mine:
                failures += self._delete_leftovers(plugin, request)
        if failures:
            raise ExceptionGroup("DEL could not remove everything; it can be tried again", failures)

    def _delete_leftovers(self, plugin: Plugin, request: Request) -> list[Exception]:
        """What can be found without a record: by name, owner, prevResult, and foreign IPAM."""
        failures: list[Exception] = []
        for resource in plugin.leftovers(request):
            try:
                self._delete_leftover(request, resource)
            except (CniError, OSError) as error:
                failures.append(error)
            faults.point()
        try:
            binary = self._foreign(plugin, request)
            if binary:
                self.delegate(binary, "DEL", Call(self.environ, request.config))
        except (CniError, OSError) as error:
            failures.append(error)
        return failures

    def _delete_leftover(self, request: Request, resource: Resource) -> None:
        with self.store.write() as tx:
            if isinstance(resource, AddressLease):
                files = tx.release_owner(resource.pool, request.container, request.interface)
                remove_files(files)
            elif not tx.users(self.world.host, resource.key):
                self.world.delete([(resource, None)])

    # --- CHECK, STATUS, dry run ------------------------------------------------------

    def check(self, plugin: Plugin, request: Request) -> list[Drift]:
        """CNI spec 1.1.0, "CHECK": the recorded plan, then prevResult. [] where all is well."""
        records = [r for r in self._records(plugin, request) if r.state is State.READY]
        mine = [r for r in records if r.digest == self.digest] or records[-1:]
        drifts: list[Drift] = []
        with self.store.read() as tx:
            for record in mine:
                drifts += checking.recorded(tx, self.world, record)
        if plugin.checks_result:
            drifts += checking.against_result(self.world, request)
        binary = self._foreign(plugin, request)
        if binary:
            self.delegate(binary, "CHECK", Call(self.environ, request.config))
        return drifts

    def status(self, plugin: Plugin, request: Request) -> None:
        """CNI spec 1.1.0, "STATUS": silent where an ADD would work, else the error it would meet.

        Leases are peeked at; a range that looks full is first cleared of the dead.
        """
        try:
            self._peeking(request, plugin.status)
        except RangeFull:
            if not self.reclaim(request):
                raise
            self._peeking(request, plugin.status)
        binary = self._foreign(plugin, request)
        if binary:
            self.delegate(binary, "STATUS", Call(self.environ, request.config))

    def dry_run(self, plugin: Plugin, request: Request) -> Plan:
        """The plan an ADD would carry out now; nothing is leased, written or made.

        Somebody else's IPAM can't be peeked at: `CniError` says so.
        """
        return self._peeking(request, plugin.plan)

    def _peeking(self, request: Request, ask: Callable[[Request, Seen], Any]) -> Any:
        answers = Answers()
        while True:
            try:
                return ask(request, answers)
            except Unanswered as gap:
                question = gap.question
            if isinstance(question, AddressLease):
                takeover(self.store, question)
                with self.store.read() as tx:
                    answers[question] = lessor.peek(
                        tx, question, request.container, request.interface
                    )
            elif isinstance(question, DelegatedLease):
                raise CniError(f"{question.binary} leases the address: only an ADD can tell which")
            else:
                answers[question] = self.world.look(question)

    def _foreign(self, plugin: Plugin, request: Request) -> str:
        binary = self._peeking(request, plugin.delegate)
        assert isinstance(binary, str)
        return binary

    # --- GC and what it shares with the others ------------------------------------------

    def collect(self, plugin: Plugin, request: Request) -> list[Record]:
        """CNI spec 1.1.0, "GC": undo what is recorded for this network and plugin but not valid.

        Without `cni.dev/valid-attachments` only what is provably dead or half done goes.
        Touches no other network, plugin or host namespace. Returns what was removed.
        """
        gone: list[Record] = []
        failures: list[Exception] = []
        with self.store.read() as tx:
            records = tx.records(
                host=self.world.host, network=request.network, plugin=plugin.name
            )
        for record in records:
            if self._is_garbage(record, request):
                undone, errors = self._undo_if_idle(record)
                failures += errors
                gone += [record] if undone else []
        undoing.remove_unused_bridges(self.store, self.world)
        try:
            binary = self._foreign(plugin, request)
            if binary:
                self.delegate(binary, "GC", Call(self.environ, request.config))
        except (CniError, OSError) as error:
            failures.append(error)
        if failures:
            raise ExceptionGroup("GC could not remove everything; it can be tried again", failures)
        return gone

    def _is_garbage(self, record: Record, request: Request) -> bool:
        if record.state is not State.READY:
            return True
        if request.valid_attachments is None:
            return self._forsaken(record)
        return (record.container, record.interface) not in request.valid_attachments

    def reclaim(self, request: Request) -> int:
        """Undo this network's attachments whose namespace is provably gone; how many there were."""
        count = 0
        with self.store.read() as tx:
            records = tx.records(host=self.world.host, network=request.network)
        for record in records:
            own = (record.container, record.interface) == (request.container, request.interface)
            if not own and self._forsaken(record):
                count += self._undo_if_idle(record)[0]
        return count

    def undo(self, record: Record) -> list[Exception]:
        """Take `record` back, backwards and past every error; [] once nothing of it is left."""
        return undoing.undo(self.store, self.world, record, self.delegate)

    def _undo_if_idle(self, record: Record) -> tuple[bool, list[Exception]]:
        """Recovery acts only on records whose lock it got: whoever holds it is at work."""
        lock = self._lock(record.attachment)
        if not lock.try_acquire():
            return False, []
        with lock:
            with self.store.read() as tx:
                current = tx.record(record.id)
            errors = self.undo(current) if current else []
            return not errors, errors

    def _forsaken(self, record: Record) -> bool:
        with self.store.read() as tx:
            steps = tx.steps(record)
        return undoing.provably_gone(self.world, steps)

    def _records(self, plugin: Plugin, request: Request) -> list[Record]:
        return [r for r in self._attachment(request) if r.plugin == plugin.name]

    def _attachment(self, request: Request) -> list[Record]:
        with self.store.read() as tx:
            return tx.records(
                host=self.world.host,
                network=request.network,
                container=request.container,
                interface=request.interface,
            )

    def _lock(self, attachment: Attachment) -> AttachmentLock:
        return AttachmentLock(self.store.path.parent, self.world.host, attachment)

    @contextmanager
    def _locked(self, request: Request) -> Iterator[None]:
        lock = self._lock(request.attachment)
        lock.acquire(monotonic() + LOCK_SECONDS)
        with lock:
            self.accepted()
            yield


_LEASES = (AddressLease, DelegatedLease)
_IN_TABLE = ("masquerade-prefix", "nft-element", "nft-shared-element")


def _summary(plan: Plan) -> dict[str, Any]:
    """What `inspect` shows of the result without knowing versions."""
    from dataclasses import asdict

    return asdict(plan.result)


def _as_errors(error: BaseException) -> list[Exception]:
    return [error] if isinstance(error, Exception) else []


__all__ = ["Engine", "Writer"]
