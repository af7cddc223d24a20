"""One ADD: plan, journal, apply.

An address is held from the moment it is chosen: the plan is finished and journalled, and
its leases are taken, in one transaction, so nobody can be given the same one. Who else gives
leases can't take part in that, and is asked before; and so is whatever has to be seen of something
that must be made first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from operator import attrgetter
from time import monotonic
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ..ipam import lessor
from ..ipam.takeover import takeover
from ..model.errors import (
    AddressInUse,
    AgentMissing,
    CniError,
    DelegateRefused,
    KernelError,
    TableMissing,
    TryLater,
)
from ..model.place import NO_NUMBER
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Answers, Link, Query, Unanswered
from ..model.request import Request
from ..model.resource import Lease, Resource
from ..model.resources import AddressLease
from ..store.records import Record, State, Step
from ..store.store import Writer
from . import faults, journal, keyed
from .reconciling import reconcile_tables
from .request_record import Call
from .site import Site, earlier_of

_is_foreign = attrgetter("foreign")
_QUESTIONS = 64
"""After how many it is looked whether somebody still waits."""
Planned = tuple[Iterable[Resource], Answers]
"""What is planned, and the answers that it was planned by."""


class Unsettled(Exception):
    """An earlier ADD of this attachment is on record: to be seen to before this one goes on."""


class Outdated(Exception):
    """Something that was seen when this was planned is gone: to be planned again.

    `refusal` is what came of going on.
    """

    def __init__(self, refusal: KernelError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Addition(Struct):
    """`cancelled` tells that nobody waits for the answer any more; `timings` is told what
    each step took, in seconds. `record` is None until something is written down.
    """

    site: Site
    plugin: Plugin
    request: Request
    digest: str
    environ: Mapping[str, str]
    cancelled: Callable[[], bool]
    timings: Callable[[str, float], None] | None = None
    record: Record | None = None
    answers: Answers = field(default_factory=Answers)
    _whole: Plan | None = None
    """The plan, where it leases nothing of ours."""
    _plan: Plan | None = None
    _wanted: list[AddressLease] = field(default_factory=list)
    _needed: tuple[Resource, ...] = ()
    """What questions had to have before they were asked, and leases of others."""
    _made: set[Resource] = field(default_factory=set)
    _asked: int = 0

    def look(self) -> None:
        """Answer questions until the plan is whole or wants leases of ours. Raises `Unsettled`."""
        while not self._wanted:
            try:
                self._whole = self.plugin.plan(self.request, self.answers)
                return
            except Unanswered as gap:
                questions = gap.questions
            for question in questions:
                self._count_question()
                if isinstance(question, AddressLease):
                    takeover(self.site.store, question, self.site.world.root)
                    self._wanted.append(question)
                else:
                    self._answer(question)

    def _answer(self, question: Query[Any] | Lease[Any]) -> None:
        """What the world or whoever leases it says, once all that has to be there before is made.

        CNI spec 1.1.0, section 4: DHCP needs the interface. The intent is on record before
        anything is made or asked for, with all that is needed to take it back.
        """
        first = question.after()
        if not isinstance(question, Lease):
            if first:
                self._intend(first)
            self.answers[question] = self.site.world.look(question)
            return
        giver = self.site.lessor(question)
        record = self._intend((*first, question))
        try:
            self.answers[question] = giver.lease(question, record, self._call)
        except AgentMissing:
            self._withdraw(question)
            raise
        except DelegateRefused:
            # By its own word it has given nothing. It is asked to take that back all the same;
            # one that can't do that, either, must not hold the container for ever.
            with suppress(CniError):
                giver.release(question, record, self._call)
            self._withdraw(question)
            raise
        faults.point()

    def _withdraw(self, lease: Lease[Any]) -> None:
        """It was not given: the record must not wait till it can be given back."""
        assert self.record is not None
        with self.site.store.write() as tx:
            steps = tx.steps(self.record)
            tx.drop(
                self.record, [step.position for step in steps if step.resource.key == lease.key]
            )

    def _intend(self, needed: Iterable[Resource]) -> Record:
        """Put `needed` on record, then make it."""
        self._needed = tuple(dict.fromkeys((*self._needed, *needed)))
        record, resources = self._journal(
            lambda tx, record: (self._needed, self.answers), State.INTENT
        )
        self.apply(resources)
        return record

    def pend(self) -> tuple[Record, Plan]:
        """The plan, journalled with its leases, of what is to be made.

        Raises `RangeFull`, `Unsettled`.
        """
        record, resources = self._journal(self._finish, State.PENDING)
        assert self._plan is not None
        return record, replace(self._plan, resources=resources)

    def _finish(self, tx: Writer, record: Record) -> Planned:
        given = Answers(self.answers)
        plan = self._plan = self._whole or self._plan_with_leases(tx, record, given)
        if not self._needed:
            return plan.resources, given
        # What was needed on the way there, and is not in the plan, goes with the record, too.
        planned = set(plan.resources)
        more = [resource for resource in self._needed if resource not in planned]
        return (*more, *plan.resources), given

    def _journal(
        self,
        planned: Callable[[Writer, Record], Planned],
        state: State,
    ) -> tuple[Record, tuple[Resource, ...]]:
        """What is `planned` is on record: what of it is to be made.

        What somebody else's program makes is looked for before, under the lock of its key. Which
        that is may show in the transaction only; it is begun anew then.
        """
        foreign = tuple(filter(_is_foreign, self._whole.resources)) if self._whole else ()
        while True:
            with keyed.joining(self.site, foreign, self.cancelled) as held:
                try:
                    with self.site.store.write() as tx:
                        record = self.record or self._begin(tx)
                        noted = journal.note(
                            tx, self.site.world, record, *planned(tx, record), held
                        )
                        pending = tx.pend(record, noted.steps, state)
                    self.record = pending  # once it is committed
                    break
                except journal.NotHeld as lacking:
                    foreign += lacking.resources
        faults.point()
        return self.record, noted.to_make

    def _plan_with_leases(self, tx: Writer, record: Record, given: Answers) -> Plan:
        """No question but for leases of ours is answered here, where everybody else waits."""
        wanted: Iterable[Query[Any] | Lease[Any]] = self._wanted
        holdings = lessor.Holdings(tx)
        while True:
            for question in wanted:
                self._count_question()
                if not isinstance(question, AddressLease):
                    raise CniError(
                        f"plugin {self.plugin.name} asks for {question} once it knows its address;"
                        " it has to ask all else before its leases"
                    )
                given[question] = lessor.take(tx, question, record, holdings)
            try:
                return self.plugin.plan(self.request, given)
            except Unanswered as gap:
                wanted = gap.questions

    def _begin(self, tx: Writer) -> Record:
        # Looked for here, where it costs no transaction of its own: there hardly ever is one.
        records = tx.records_of(self.site.world.host, self.request.attachment)
        if earlier_of(records, self.plugin, self.digest):
            raise Unsettled
        return tx.begin(
            host=self.site.world.host,
            network=self.request.network,
            container=self.request.container,
            interface=self.request.interface,
            plugin=self.plugin.name,
            digest=self.digest,
            sandbox=self.site.world.sandbox,
            netns=self.request.netns,
            request=self._call.dump(),
            nsid=self._number(records),
        )

    def _number(self, records: Iterable[Record]) -> int:
        """The sandbox's; where an earlier plugin of the chain has asked, it is on record."""
        world = self.site.world
        known = (record.nsid for record in records if record.sandbox == world.sandbox)
        found = next((nsid for nsid in known if nsid >= 0), NO_NUMBER)
        return world.number() if found < 0 and world.sandbox else found

    def _create(self, resources: list[Resource]) -> None:
        if self._stand(resources):
            return
        # That nobody else has ours is on record. Many find a table gone, and one makes it again:
        # ours may stand by the time it is our turn.
        reconcile_tables(self.site, is_done=partial(self._stand, resources))
        # Where it has gone again since, it had held ours with all that is on record.
        with suppress(TableMissing):
            self.site.world.create(resources)

    def _stand(self, resources: list[Resource]) -> bool:
        """Made now; not where a table is gone, or full of what no record has."""
        try:
            self.site.world.create(resources)
        except (TableMissing, AddressInUse):
            return False
        return True

    def _is_outdated(self) -> bool:
        """Whether anything is gone that the plan was made by: an interface, an address, a chain."""
        try:
            return any(
                _is_gone(answer, self.site.world.look(question))
                for question, answer in self.answers.items()
                if isinstance(question, Query) and question.lasts and not question.after()
            )
        except CniError:
            return False

    @property
    def wanted(self) -> tuple[AddressLease, ...]:
        """The leases of ours that the plan has asked for."""
        return tuple(self._wanted)

    @property
    def _call(self) -> Call:
        return Call(self.environ, self.request.config)

    def apply(self, resources: Iterable[Resource]) -> None:
        """Make what is not made yet, batch by batch."""
        steps = [
            Step(0, resource)
            for resource in resources
            if not isinstance(resource, Lease) and resource not in self._made
        ]
        for group in journal.batches(steps):
            self._go_on()
            self._make([step.resource for step in group])
            faults.point()

    def _count_question(self) -> None:
        """Thousands are not answered for nobody; a usual ADD has too few for the first look."""
        self._asked += 1
        if self._asked % _QUESTIONS == 0:
            self._go_on()

    def _go_on(self) -> None:
        """Raises `TryLater` where nobody waits for it any more."""
        if self.cancelled():
            raise TryLater("the caller hung up before the attachment was ready")

    def _make(self, resources: list[Resource]) -> None:
        began = monotonic()
        try:
            if resources[0].foreign:
                keyed.make(self.site, resources)
            else:
                self._create(resources)
        except KernelError as refusal:
            if self._is_outdated():
                raise Outdated(refusal) from refusal
            raise
        self._made.update(resources)
        if self.timings:
            described = "; ".join(resource.describe() for resource in resources)
            self.timings(described, monotonic() - began)


def _is_gone(before: Any, now: Any) -> bool:
    """More than there was is no reason to plan again: it may be what we have made."""
    if isinstance(before, tuple):
        return not set(before) <= set(now or ())
    if isinstance(before, Link):
        return now is None or now.index != before.index
    return bool(before) and not now
