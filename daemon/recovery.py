"""Our nftables tables, watched: who deletes them (`nft flush ruleset`) has them back at once.

Rules that hold here:
- Only what was there is missed: an event costs no look into the store as long as each table
  that has been seen is whole. Before anything has been seen, both are looked for.
- Mending is an event too; it finds all well, and that is the end of it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from ..engine.rebuilding import rebuild_tables
from ..engine.site import Site
from ..kernel import namespaces
from ..kernel.nft_events import Watch, drain
from ..kernel.nft_table import Table
from ..kernel.warm import HostEntry, Warm
from ..kernel.world import KernelWorld
from ..store.store import FILE
from .serve import Services, as_cni_error

SETTLE_SECONDS = 0.1
"""Between two looks: somebody who changes rules all the time costs ten looks a second."""
_FAMILIES = frozenset({"inet", "bridge"})


class Recovery:
    """`services` are those of the daemon, with what it keeps warm, which `watch` hears of."""

    def __init__(self, services: Services, warm: Warm, watch: Watch[HostEntry]) -> None:
        self._services = services
        self._warm = warm
        self._watch = watch
        self._seen: WeakKeyDictionary[HostEntry, frozenset[str]] = WeakKeyDictionary()
        self._said = ""

    def start(self) -> None:
        """A thread that ends with the process. It looks at this process's namespace first."""
        threading.Thread(target=self._run, name="pynetd-recovery", daemon=True).start()

    def _run(self) -> None:
        self._try(self._begin)
        while True:
            for entry in self._watch.wait():
                self._try(self._look_after, entry)
            time.sleep(SETTLE_SECONDS)

    def _begin(self) -> None:
        """What was deleted while nobody watched; without a store there was nothing to delete."""
        if not (self._services.state / FILE).exists():
            return
        own = namespaces.own()
        try:
            entry = self._warm.enter(own, "the host's namespace")
            try:
                self._mend(entry, entry.table(own))
            finally:
                self._warm.leave(entry)
        finally:
            os.close(own)

    def _look_after(self, entry: HostEntry) -> None:
        if not self._warm.resume(entry):
            return  # let go since
        try:
            table = entry.known_table
            if entry.changes is not None and table is not None:
                drain(entry.changes)
                self._mend(entry, table)
        finally:
            self._warm.leave(entry)

    def _mend(self, entry: HostEntry, table: Table) -> None:
        if any(table.is_damaged(family) for family in self._seen.get(entry, _FAMILIES)):
            with KernelWorld(
                table.namespace,
                None,
                netns="",
                same_mounts=True,
                our_plugins=frozenset(),
                warm=self._warm,
            ) as world:
                rebuild_tables(Site(self._services.store, world))
        there = {family for family in _FAMILIES if table.version(family) is not None}
        self._seen[entry] = frozenset(there)

    def _try(self, work: Callable[..., None], *arguments: object) -> None:
        """What fails is said once, and tried again with the next event."""
        try:
            work(*arguments)
            self._said = ""
        except Exception as error:
            said = as_cni_error(error).msg
            if said != self._said:
                print(f"pynetd: nftables tables can't be mended: {said}", file=sys.stderr)
            self._said = said
