"""What the agent answers: leases that are asked for and given back, and what it is at.

Rules that hold here:
- It is read from the store what is asked for. A lease is given only while the record that is to
  have it is as the caller has said, looked at before and after: whoever undoes has taken it on
  first, so a lease that came too late is given back here, or by its release.
- For one attachment one at a time: a release waits for the lease that is just being given.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from .. import __version__
from ..daemon import agent_wire
from ..engine import faults
from ..model.errors import AgentMissing, CniError, Code, TryLater
from ..store.keeping import Kept
from ..store.records import State
from ..store.store import Store
from .service import Service, Wanted
from .watching import Watch

MOST_SECONDS = 600.0
"""The longest patience a caller may announce."""
_ASKABLE = (State.INTENT, State.PENDING)


@dataclass(frozen=True)
class Question:
    """One document, with the descriptors that came along; `abandoned` tells that nobody waits."""

    fields: Mapping[str, Any]
    descriptors: Sequence[int] = ()
    abandoned: Callable[[], bool] = lambda: False


class Desktop:
    """`leave` is called when somebody wants the agent to end, `look` when something has changed."""

    def __init__(
        self,
        store: Callable[[], Store],
        watch: Watch,
        *,
        look: Callable[[], None],
        leave: Callable[[], None],
    ) -> None:
        self._store = store
        self._watch = watch
        self._look = look
        self._leave = leave
        self._turns = Turns()
        self._started = time()

    def answer(self, question: Question) -> Any:
        """Raises `CniError`, and whatever a service raises."""
        op = question.fields.get("op")
        if op == "lease":
            return self._lease(question)
        if op == "release":
            return self._release(question)
        if op == "about":
            return self._about()
        if op == "stop":
            self._leave()
            return {"pid": os.getpid()}
        if op == "look":
            self._look()
            return None
        raise TryLater(f"the agent {__version__} does not know {op!r}: restart it")

    def _about(self) -> dict[str, Any]:
        with self._store().read() as tx:
            needed = tx.keepers()
            services = {each["name"]: each for each in self._watch.report()}
            keeps = {name: len(tx.kept(name)) for name in {*needed, *services}}
        unseen = {"state": "stopped", "since": 0.0, "failures": 0, "failure": ""}
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            "services": [
                {"name": name, **unseen, **services.get(name, {}), "keeps": keeps[name]}
                for name in sorted(keeps)
            ],
        }

    def _lease(self, question: Question) -> Any:
        with self._asked(question) as (service, wanted):
            if wanted.record.state not in _ASKABLE:
                raise self._too_late()
            faults.point()
            answer = service.lease(wanted)
            faults.point()
            if self._on_record(question) != wanted.kept:
                service.release(wanted)
                faults.point()
                raise self._too_late()
        return answer

    def _release(self, question: Question) -> None:
        with self._asked(question) as (service, wanted):
            faults.point()
            service.release(wanted)
            faults.point()

    @contextmanager
    def _asked(self, question: Question) -> Iterator[tuple[Service, Wanted]]:
        fields, fds = question.fields, question.descriptors
        deadline = monotonic() + min(float(fields["seconds"]), MOST_SECONDS)
        turn = (fields["keeper"], fields["record"])
        with (
            self._turns.taken(turn, deadline),
            self._watch.asking(fields["keeper"], deadline) as service,
        ):
            kept = self._on_record(question)
            if kept is None or question.abandoned():
                raise self._too_late()
            host, sandbox = (*fds, None, None)[:2]
            yield service, Wanted(kept, deadline, host, sandbox, question.abandoned)

    def _on_record(self, question: Question) -> Kept | None:
        """What is asked for, if the record is still as the caller has said."""
        fields = question.fields
        with self._store().read() as tx:
            kept = tx.asked(fields["record"], fields["keeper"], fields["key"])
        return kept if kept is not None and kept.record.claim == fields["claim"] else None

    def _too_late(self) -> AgentMissing:
        return AgentMissing(
            "what is asked for is not on record, or somebody else has taken it on",
            code=Code.TRY_AGAIN_LATER,
        )


class Turns:
    """A lock for each of many things, which are forgotten when nobody waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Any, tuple[threading.Lock, int]] = {}

    @contextmanager
    def taken(self, what: Any, deadline: float) -> Iterator[None]:
        """Raises `TryLater` where it is somebody else's turn until `deadline`."""
        with self._lock:
            lock, waiting = self._locks.get(what, (threading.Lock(), 0))
            self._locks[what] = lock, waiting + 1
        try:
            if not lock.acquire(timeout=max(0.0, deadline - monotonic())):
                raise AgentMissing(
                    "the agent is still busy with an earlier request for it",
                    code=Code.TRY_AGAIN_LATER,
                )
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._lock:
                lock, waiting = self._locks.pop(what)
                if waiting > 1:
                    self._locks[what] = lock, waiting - 1


def in_words(error: Exception, what: str) -> CniError:
    """`error` as what a caller is told: a service's own is no reason never to try again."""
    if isinstance(error, CniError):
        return error
    if isinstance(error, KeyError | TypeError | ValueError) and not what:
        return CniError(f"the agent can't read the question: {error!r}")
    return TryLater(f"{what or 'the agent'} failed: {type(error).__name__}: {error}")


def reply(desktop: Desktop, question: Question) -> bytes:
    """The line to send back; nothing where none is wanted."""
    try:
        answer = desktop.answer(question)
        if question.fields.get("op") == "look":
            return b""
        return agent_wire.line(answer=answer)
    except Exception as error:
        keeper = question.fields.get("keeper")
        return agent_wire.failure(in_words(error, f"the service {keeper}" if keeper else ""))
