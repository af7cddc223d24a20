"""One ADD: plan, journal, apply.

An address is held from the moment it is chosen: the plan is finished and journalled, and
its leases are taken, in one transaction, so nobody can be given the same one. Somebody
else's IPAM can't take part in that; it is run before, with what it needs made first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from ..ipam import lessor
from ..ipam.takeover import takeover
from ..model.errors import TableMissing, TryLater
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Answers, Query, Unanswered
from ..model.request import Request
from ..model.resource import Lease, Resource
from ..model.resources import AddressLease, DelegatedLease
from ..store.records import Record, Step
from ..store.store import Writer
from . import faults, journal
from .rebuilding import rebuild_tables
from .request_record import Call
from .site import Site


class Unsettled(Exception):
    """An earlier ADD of this attachment is on record: to be seen to before this one goes on."""


@dataclass
class Addition:
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
    _wanted: tuple[AddressLease, ...] = ()
    _made: set[Resource] = field(default_factory=set)

    def look(self) -> None:
        """Answer questions until the plan is whole or wants leases of ours. Raises `Unsettled`."""
        while not self._wanted:
            try:
                self._whole = self.plugin.plan(self.request, self.answers)
                return
            except Unanswered as gap:
                questions = gap.questions
            for question in questions:
                if isinstance(question, AddressLease):
                    takeover(self.site.store, question)
                    self._wanted += (question,)
                elif isinstance(question, DelegatedLease):
                    self._ask_foreign_ipam(question)
                else:
                    self.answers[question] = self.site.look(question)

    def pend(self) -> tuple[Record, Plan]:
        """The plan, journalled with its leases, of what is to be made.

        Raises `RangeFull`, `Unsettled`.
        """
        given = Answers(self.answers)
        with self.site.store.write() as tx:
            record = self.record or self._begin(tx)
            plan = self._whole or self._plan_with_leases(tx, record, given)
            steps = journal.note(tx, self.site.world, record, plan.resources, given)
            record = tx.pend(record, steps)
        self.record = record
        faults.point()
        return record, replace(plan, resources=tuple(step.resource for step in steps))

    def _plan_with_leases(self, tx: Writer, record: Record, given: Answers) -> Plan:
        wanted: Iterable[Query[Any] | Lease[Any]] = self._wanted
        while True:
            for question in wanted:
                if isinstance(question, AddressLease):
                    given[question] = lessor.take(tx, question, record)
                else:
                    given[question] = self.site.look(question)
            try:
                return self.plugin.plan(self.request, given)
            except Unanswered as gap:
                wanted = gap.questions

    def _begin(self, tx: Writer) -> Record:
        # Looked for here, where it costs no transaction of its own: there hardly ever is one.
        if self.site.earlier(tx, self.plugin, self.request, self.digest):
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
            request=Call(self.environ, self.request.config).dump(),
        )

    def apply(self, resources: Iterable[Resource]) -> None:
        """Make what is not made yet, batch by batch."""
        steps = [
            Step(0, resource)
            for resource in resources
            if not isinstance(resource, Lease) and resource not in self._made
        ]
        for group in journal.batches(steps):
            if self.cancelled():
                raise TryLater("the caller hung up before the attachment was ready")
            self._make([step.resource for step in group])
            faults.point()

    def _make(self, resources: list[Resource]) -> None:
        began = monotonic()
        try:
            self.site.world.create(resources)
        except TableMissing:
            rebuild_tables(self.site)
            self.site.world.create(resources)
        self._made.update(resources)
        if self.timings:
            described = "; ".join(resource.describe() for resource in resources)
            self.timings(described, monotonic() - began)

    def _ask_foreign_ipam(self, lease: DelegatedLease) -> None:
        """CNI spec 1.1.0, section 4: DHCP needs the interface, so that is made before.

        The intent, with all that a DEL of that plugin needs, is on record before it is run.
        """
        first = lease.after()
        with self.site.store.write() as tx:
            record = self.record or self._begin(tx)
            steps = journal.note(tx, self.site.world, record, (*first, lease), self.answers)
            self.record = tx.pend(record, steps)
        faults.point()
        self.apply(first)
        call = Call(self.environ, self.request.config)
        self.answers[lease] = self.site.delegate(lease.binary, "ADD", call)
        faults.point()
