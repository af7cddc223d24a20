"""nf_tables, watched: our tables whole again, and a way through others' whenever they change.

Rules that hold here:
- An event costs a look only where it says that something of account was changed, and none
  into the store unless something is missed. Before anything has been seen, all is looked for.
- Mending is an event too; it finds all well, and that is the end of it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from weakref import WeakKeyDictionary

from ..engine import faults
from ..engine.reconciling import reconcile, reconcile_tables, remove_stray_ways
from ..engine.site import Site
from ..kernel import namespaces, threads
from ..kernel.nft.events import Heard, Watch
from ..kernel.nft.resources import ElementResource, entry_of
from ..kernel.nft.table import Table
from ..kernel.warm import HostEntry, Warm
from ..kernel.world import KernelWorld
from ..model.exhaustion import is_exhaustion
from ..model.forwarding import Blocker
from ..model.resource import Resource
from ..store.store import FILE
from .passage import adapt_ways
from .serve import Services, as_cni_error

SETTLE_SECONDS = 0.1
"""From an event to a look: somebody who changes rules all the time costs ten looks a second."""
AGAIN_SECONDS = 1.0
_MOST_ATTEMPTS = 10
"""A firewall that comes up tells of its chains before it can be talked to."""
_ALL = Heard(lost=True)


class Recovery:
    """`services` are those of the daemon, with what it keeps warm, which `watch` hears of."""

    def __init__(self, services: Services, warm: Warm, watch: Watch[HostEntry]) -> None:
        self._services = services
        self._warm = warm
        self._watch = watch
        self._blockers: WeakKeyDictionary[HostEntry, tuple[Blocker, ...]] = WeakKeyDictionary()
        self._attempts: WeakKeyDictionary[HostEntry, int] = WeakKeyDictionary()
        self._said = ""

    def start(self) -> None:
        """A thread that ends with the process. It looks at this process's namespace first.

        Raises `Exhausted`.
        """
        threads.start(self._run)

    def _run(self) -> None:
        faults.pass_by()
        begun = False
        while True:
            try:
                begun = begun or self._begin()
                self._look_round()
            except Exception as error:  # a thread that ended would be missed by nobody
                self._say(error)
                time.sleep(AGAIN_SECONDS)

    def _look_round(self) -> None:
        unfinished = [entry for entry, made in self._attempts.items() if made < _MOST_ATTEMPTS]
        told = self._watch.wait(AGAIN_SECONDS if unfinished else None)
        time.sleep(SETTLE_SECONDS)
        for entry in told:
            self._attempts.pop(entry, None)
        for entry in dict.fromkeys((*told, *unfinished)):
            self._look_after(entry, again=entry in unfinished)

    def _begin(self) -> bool:
        """What was done while nobody watched; without a store there was nothing to undo.

        Raises where it is to be tried again, as something has run out.
        """
        if not (self._services.state / FILE).exists():
            return True
        own = namespaces.own()
        try:
            entry = self._warm.enter(own, "the host's namespace")
            try:
                self._try(entry, entry.table(own), _ALL)
            finally:
                self._warm.leave(entry)
        except Exception as error:
            if is_exhaustion(error):
                raise
            self._say(error)
        finally:
            os.close(own)
        return True

    def _look_after(self, entry: HostEntry, again: bool) -> None:
        if not self._warm.resume(entry):
            return  # let go since
        try:
            table = entry.known_table
            if entry.changes is not None and table is not None:
                told = entry.changes.heard()
                self._try(entry, table, _ALL if again else told)
        except OSError as error:
            self._say(error)
        finally:
            self._warm.leave(entry)

    def _try(self, entry: HostEntry, table: Table, told: Heard) -> None:
        """What fails is said once, and tried again: for a while, and with the next event."""
        try:
            self._mend(entry, table, told)
            finished = self._let_through(entry, table, told)
            self._said = ""
        except Exception as error:
            finished = False
            self._say(error)
        if finished:
            self._attempts.pop(entry, None)
        else:
            self._attempts[entry] = self._attempts.get(entry, 0) + 1

    def _mend(self, entry: HostEntry, table: Table, told: Heard) -> None:
        """Our own tables."""
        if told.lost:
            self._reconcile(table)
        elif told.ours or told.removed or told.added:
            with self._world(table) as world:
                reconcile_tables(self._site(world), partial(_concerns, told))

    def _reconcile(self, table: Table) -> None:
        with self._world(table) as world:
            failures = reconcile(self._site(world)).failures
        if failures:
            raise ExceptionGroup("not all of it could be made as recorded", failures)

    def _let_through(self, entry: HostEntry, table: Table, told: Heard) -> bool:
        """Others' tables; False where it is to be looked at again."""
        known = self._blockers.get(entry, ())
        gone = told.chains & {blocker.where.split()[-1] for blocker in known}
        if not (told.lost or told.forward or told.signed or gone):
            return True
        with self._world(table) as world:
            finished = adapt_ways(self._services.store, world)
            if told.signed:
                # It may be from a saved ruleset, and of somebody who has gone since.
                remove_stray_ways(self._site(world))
        self._blockers[entry] = table.foreign.blockers()
        return finished

    def _site(self, world: KernelWorld) -> Site:
        return Site(self._services.store, world, say=_note)

    def _world(self, table: Table) -> KernelWorld:
        return KernelWorld(
            table.namespace,
            None,
            netns="",
            our_plugins=frozenset(),
            warm=self._warm,
        )

    def _say(self, error: Exception) -> None:
        said = as_cni_error(error).msg
        if said != self._said:
            print(f"pynetd: nftables tables can't be mended: {said}", file=sys.stderr)
        self._said = said


def _note(text: str) -> None:
    print(f"pynetd: {text}", file=sys.stderr)


def _concerns(told: Heard, recorded: Sequence[Resource]) -> bool:
    """Whether what was taken out is on record, or something was put in that is not.

    Where more than elements was changed it may be: with a set go its own, and none is told of.
    """
    if told.ours:
        return True
    entries = [entry_of(each) for each in recorded if isinstance(each, ElementResource)]
    known = {(entry.set.family, entry.set.name, entry.key, entry.data) for entry in entries}
    return not told.added <= known or any(each[:3] in told.removed for each in known)
