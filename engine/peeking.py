"""A plugin's questions, answered by what is there now: nothing is leased, written or made.

For a dry run, STATUS, and to learn whose leases they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..ipam import lessor, takeover
from ..model.errors import Unplannable
from ..model.plugin import Plugin
from ..model.query import Answers, Query, Seen, Unanswered
from ..model.request import Request
from ..model.resource import Lease, Resource
from ..model.resources import AddressLease, DelegatedLease
from ..store.records import Record
from ..store.store import Store, Writer
from .leasing import Served, everything
from .world import World


class Peeking:
    """`planned` is what plugins before this one would have made, in a dry run of a chain."""

    planned: Sequence[Resource] = ()

    def __init__(self, store: Store, world: World, served: Served = everything) -> None:
        self.store = store
        self.world = world
        self._served = served

    def _peeking(
        self,
        request: Request,
        ask: Callable[[Request, Seen], Any],
        without: Sequence[Record] | None = None,
    ) -> Any:
        """What is answered by what is there now.

        Or would be `without` these records' leases, and those taken over that are nobody's.
        """
        answers = Answers()
        while True:
            try:
                return ask(request, answers)
            except Unanswered as gap:
                questions = gap.questions
            for question in questions:
                answers[question] = self._peek(request, question, without)

    def _peek_status(
        self, request: Request, plugin: Plugin, without: Sequence[Record] | None = None
    ) -> None:
        """Raises what is in the way of an ADD, but for what only that can tell."""
        with suppress(Unplannable):
            self._peeking(request, plugin.status, without)

    def _peek(
        self, request: Request, question: Query[Any] | Lease[Any], without: Sequence[Record] | None
    ) -> Any:
        if isinstance(question, DelegatedLease):
            raise Unplannable(f"{question.binary} leases the address: only an ADD can tell which")
        if isinstance(question, Lease) and not isinstance(question, AddressLease):
            self._served(question)
            raise Unplannable(f"{question.describe()}: only an ADD can tell what it answers")
        if question.after():
            raise Unplannable(
                f"{question} is asked of what an ADD makes first: only an ADD can tell"
            )
        if not isinstance(question, AddressLease):
            return self._look(question)
        takeover.takeover(self.store, question, self.world.root)
        leases = [each for each in self.planned if isinstance(each, AddressLease)]
        if without is None and not leases:
            with self.store.read() as tx:
                return lessor.peek(tx, question, request.container, request.interface)
        stale = [] if without is None else takeover.stale(self.store, question, self.world.root)
        with self.store.rehearse() as rehearsal:
            rehearsal.release_unclaimed(stale)
            for record in without or ():
                rehearsal.release_record(record.id)
            if leases:
                self._take(rehearsal, request, leases)
            return lessor.peek(rehearsal, question, request.container, request.interface)

    def _take(self, tx: Writer, request: Request, leases: Sequence[AddressLease]) -> None:
        """A lease that was planned before is another plugin's."""
        before = tx.begin(
            host=self.world.host,
            network=request.network,
            container=request.container,
            interface=request.interface,
            plugin="",
            digest="",
            request="",
        )
        for lease in leases:
            lessor.take(tx, lease, before)

    def _look(self, question: Query[Any]) -> Any:
        return self.world.look(question)
