"""What a service of the agent is written with: subclass `Service`, name it, say what it gives.

Rules that hold here:
- A service speaks to the rest through its desk (what it keeps, in the store), the kernel, and
  requests. It holds no lock that an ADD waits for.
- It may be killed at any instruction. What it has done must be found again: by what is on
  record, or by names that follow from the attachment.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..engine import faults
from ..model.errors import CniError
from ..model.resource import Unknown
from ..store.keeping import Kept
from ..store.records import Record
from ..store.store import Store


@dataclass(frozen=True)
class Wanted:
    """A lease that is asked for, or given back.

    `host` and `sandbox` are descriptors of the caller's network namespaces, open for the time of
    the call (None where there is none: nothing else may keep a sandbox open). Of a release the
    sandbox may be another than the record's by now. `deadline` is when the caller waits no longer,
    in `time.monotonic()` seconds; `abandoned` tells that it has gone.
    """

    kept: Kept
    deadline: float
    host: int | None = None
    sandbox: int | None = None
    abandoned: Callable[[], bool] = lambda: False

    @property
    def record(self) -> Record:
        return self.kept.record

    @property
    def parameters(self) -> dict[str, str]:
        return dict(getattr(self.kept.resource, "parameters", ()))

    @property
    def answer(self) -> Any:
        """What it was answered, as far as that is on record; else None."""
        return json.loads(self.kept.answer) if self.kept.answer else None


class Desk:
    """A service's way to what it keeps. From any thread."""

    def __init__(self, store: Callable[[], Store], keeper: str) -> None:
        self._store = store
        self._keeper = keeper
        self._change = threading.Condition()
        self._changed = False
        self._stopping = False

    def kept(self) -> list[Kept]:
        """All it is to look after, oldest first; not what only a later version can read.

        Raises `StoreError`, `TryLater`.
        """
        with self._store().read() as tx:
            kept = tx.kept(self._keeper)
        return [each for each in kept if not isinstance(each.resource, Unknown)]

    def on_record(self) -> list[Kept]:
        """All that is on record of it: what is given and not ready yet, or being undone, too."""
        with self._store().read() as tx:
            return tx.of_keeper(self._keeper)

    def answer(self, kept: Kept) -> Any:
        """What its lease was answered, as it is on record."""
        return json.loads(kept.answer) if kept.answer else None

    def renew(self, kept: Kept, answer: Any) -> Kept:
        """Its lease's answer is `answer` from now on. Raises `ClaimLost` once it is not ours."""
        return self._change_kept(kept, answer=json.dumps(answer))

    def note(self, kept: Kept, state: str) -> Kept:
        """What the service wants to find again about it. Raises `ClaimLost`."""
        return self._change_kept(kept, state=state)

    def wait(self, seconds: float | None = None) -> bool:
        """Until what it keeps may have changed, or `seconds` are over; False once it is to end."""
        with self._change:
            self._change.wait_for(lambda: self._changed or self._stopping, seconds)
            self._changed = False
            return not self._stopping

    @property
    def stopping(self) -> bool:
        return self._stopping

    def tell(self, *, stop: bool = False) -> None:
        """The agent's: something has changed, or the service is to end."""
        with self._change:
            self._changed = True
            self._stopping |= stop
            self._change.notify_all()

    def _change_kept(
        self, kept: Kept, *, answer: str | None = None, state: str | None = None
    ) -> Kept:
        with self._store().write() as tx:
            if answer is not None:
                kept = tx.renew(kept, answer)
            if state is not None:
                kept = tx.note(kept, state)
            faults.point()
        faults.point()
        return kept


class Service:
    """One instance at a time, made when something needs it; what it raises ends it.

    It is then made anew, after a pause that grows. `lease` and `release` come from many threads,
    for one attachment one at a time.
    """

    name: ClassVar[str]

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def run(self) -> None:
        """Look after what is kept, until `desk.wait` is False.

        What is there at first was kept before: by whom nobody knows, and how it ended.
        """
        while self.desk.wait():
            pass

    def lease(self, wanted: Wanted) -> Any:
        """The answer (JSON), the same again for the same attachment. Raises `CniError`, OSError.

        What it has made is given back by `release`, though the answer may get to nobody.
        """
        raise CniError(f"the service {self.name} leases nothing")

    def release(self, wanted: Wanted) -> None:
        """Give it back; what was never given, or is given back already, is no error."""
