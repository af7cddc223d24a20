"""A service of the agent without the agent: a store that ends with the block, and who asks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any, Self

from ..agent.service import Desk, Service, Wanted
from ..model.resources import KeptLease
from ..store.keeping import Kept
from ..store.records import Record, Step
from ..store.store import Store


class ServiceHarness:
    """Asks `kind` for leases of container "c1", interface eth0, as the agent does.

    What is given is kept at once: `service.desk.kept()` has it, until it is released.
    """

    def __init__(self, kind: type[Service], seconds: float = 10.0) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._store = Store.open(Path(self._folder.name))
        self._seconds = seconds
        self.desk = Desk(lambda: self._store, kind.name)
        self.service = kind(self.desk)

    def lease(self, lease: KeptLease) -> Any:
        """Its answer, as it comes out of the store."""
        with self._store.write() as tx:
            kept = self._on_record(lease)
            record = kept.record if kept else self._begin(tx, lease)
        answer = self.service.lease(self._wanted(record, lease))
        with self._store.write() as tx:
            steps = [Step(0, lease, answer=json.dumps(answer))]
            tx.ready(tx.pend(record, steps), "{}")
        return json.loads(json.dumps(answer))

    def release(self, lease: KeptLease) -> None:
        """Given back, and forgotten; the second time, as after a kill, it was never given."""
        kept = self._on_record(lease)
        with self._store.write() as tx:
            record = tx.releasing(kept.record if kept else self._begin(tx, lease))
        self.service.release(self._wanted(record, lease))
        with self._store.write() as tx:
            tx.forget(record)

    def is_kept(self, lease: KeptLease) -> bool:
        return lease.key in {kept.resource.key for kept in self.desk.kept()}

    def _begin(self, tx: Any, lease: KeptLease) -> Record:
        record: Record = tx.begin(
            host="host-1",
            network="testnet",
            container="c1",
            interface="eth0",
            plugin="test",
            digest="",
            netns="/run/netns/c1",
            request="{}",
        )
        return tx.pend(record, [Step(0, lease)])  # type: ignore[no-any-return]

    def _on_record(self, lease: KeptLease) -> Kept | None:
        found = (kept for kept in self.desk.on_record() if kept.resource.key == lease.key)
        return next(found, None)

    def _wanted(self, record: Record, lease: KeptLease) -> Wanted:
        with self._store.read() as tx:
            kept = tx.asked(record.id, lease.keeper, lease.key)
        assert kept is not None
        return Wanted(kept, monotonic() + self._seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.desk.tell(stop=True)
        self._store.close()
        self._folder.cleanup()
