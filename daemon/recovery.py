"""nf_tables, watched: our tables whole again, and a way through others' whenever they change.

Rules that hold here:
- An event costs a look only where it says that something of account was changed, and none
  into the store unless something is missed. Before anything has been seen, all is looked for.
- Mending is an event too; it finds all well, and that is the end of it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Container
from functools import partial
from weakref import WeakKeyDictionary

from ..engine.rebuilding import rebuild_tables
from ..engine.site import Site
from ..kernel import namespaces
from ..kernel.nft_events import Heard, Watch, heard
from ..kernel.nft_resources import ElementResource, entry_of
from ..kernel.nft_table import Table
from ..kernel.warm import HostEntry, Warm
from ..kernel.world import KernelWorld
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
_FAMILIES = frozenset({"inet", "bridge"})
_ALL = Heard(lost=True)


class Recovery:
    """`services` are those of the daemon, with what it keeps warm, which `watch` hears of."""

    def __init__(self, services: Services, warm: Warm, watch: Watch[HostEntry]) -> None:
        self._services = services
        self._warm = warm
        self._watch = watch
        self._seen: WeakKeyDictionary[HostEntry, frozenset[str]] = WeakKeyDictionary()
        self._blockers: WeakKeyDictionary[HostEntry, tuple[Blocker, ...]] = WeakKeyDictionary()
        self._attempts: WeakKeyDictionary[HostEntry, int] = WeakKeyDictionary()
        self._said = ""

    def start(self) -> None:
        """A thread that ends with the process. It looks at this process's namespace first."""
        threading.Thread(target=self._run, name="pynetd-recovery", daemon=True).start()

    def _run(self) -> None:
        self._begin()
        while True:
            unfinished = [entry for entry, made in self._attempts.items() if made < _MOST_ATTEMPTS]
            told = self._watch.wait(AGAIN_SECONDS if unfinished else None)
            time.sleep(SETTLE_SECONDS)
            for entry in told:
                self._attempts.pop(entry, None)
            for entry in dict.fromkeys((*told, *unfinished)):
                self._look_after(entry, again=entry in unfinished)

    def _begin(self) -> None:
        """What was done while nobody watched; without a store there was nothing to undo."""
        if not (self._services.state / FILE).exists():
            return
        own = namespaces.own()
        try:
            entry = self._warm.enter(own, "the host's namespace")
            try:
                self._try(entry, entry.table(own), _ALL)
            finally:
                self._warm.leave(entry)
        except Exception as error:
            self._say(error)
        finally:
            os.close(own)

    def _look_after(self, entry: HostEntry, again: bool) -> None:
        if not self._warm.resume(entry):
            return  # let go since
        try:
            table = entry.known_table
            if entry.changes is not None and table is not None:
                told = heard(entry.changes)
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
        families = self._seen.get(entry, _FAMILIES)
        if told.lost or (told.ours and any(map(table.is_damaged, families))):
            self._rebuild(table, lambda resource: True)
        elif told.removed:
            self._rebuild(table, partial(_is_among, told.removed))
        if entry not in self._seen or told.lost or told.ours:
            there = {family for family in _FAMILIES if table.version(family) is not None}
            self._seen[entry] = frozenset(there)

    def _rebuild(self, table: Table, where: Callable[[Resource], bool]) -> None:
        with self._world(table) as world:
            rebuild_tables(Site(self._services.store, world), where)

    def _let_through(self, entry: HostEntry, table: Table, told: Heard) -> bool:
        """Others' tables; False where it is to be looked at again."""
        known = self._blockers.get(entry, ())
        gone = told.chains & {blocker.where.split()[-1] for blocker in known}
        if not (told.lost or told.forward or gone):
            return True
        with self._world(table) as world:
            finished = adapt_ways(self._services.store, world)
        self._blockers[entry] = table.foreign.blockers()
        return finished

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


def _is_among(removed: Container[tuple[str, str, bytes]], resource: Resource) -> bool:
    if not isinstance(resource, ElementResource):
        return False
    entry = entry_of(resource)
    return (entry.set.family, entry.set.name, entry.key) in removed
