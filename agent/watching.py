"""Services, watched: started when something needs one, made anew after it failed, ended again.

Rules that hold here:
- One instance of a service at a time: as long as one has not ended there is no other.
- Each fails alone, and in its own thread, in which it is also imported and made: what it raises
  is said, and it is made anew after a pause that grows up to a minute. Who asks it meanwhile is
  told so at once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic, time
from typing import Any

from ..model.errors import AgentMissing, Code
from ..store.store import Store
from .service import Desk, Service

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LINGER_SECONDS = 10.0
"""How long one stays that was asked for something, and has nothing on record."""
MOST_ASKED = 32
"""Requests of one service at once: one that hangs is not to take all threads there are."""


class NoService(Exception):
    """No package here has a service of that name."""


@dataclass
class Watched:
    """`desk` and `thread` are there from its start to its end, `service` once it is made.

    `again` is when it may be started, in `time.monotonic()` seconds, as all but `since`.
    """

    name: str
    thread: threading.Thread | None = None
    desk: Desk | None = None
    service: Service | None = None
    since: float = 0.0
    began: float = 0.0
    failures: int = 0
    failure: str = ""
    code: Code = Code.TRY_AGAIN_LATER
    again: float = 0.0
    asked: int = 0
    last_asked: float = -inf

    @property
    def state(self) -> str:
        if self.desk is None:
            return "failed" if self.failure else "stopped"
        if self.desk.stopping:
            return "ending"
        return "starting" if self.service is None else "running"


class Watch:
    """`find` tells the class of a service's name; `changed` is called when one has ended."""

    def __init__(
        self,
        store: Callable[[], Store],
        find: Callable[[str], type[Service] | None],
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._find = find
        self._changed = changed
        self._change = threading.Condition()
        self._watched: dict[str, Watched] = {}
        self._stopping = False

    def look(self, needed: Mapping[str, int]) -> float:
        """Start and end what `needed` (how much of each keeper is on record) asks for.

        Answers in how many seconds to look again, though nothing should change.
        """
        with self._change:
            names = {*needed, *self._watched}
            return min((self._see_to(self._of(name), bool(needed.get(name))) for name in names),
                       default=inf)  # fmt: skip

    @contextmanager
    def asking(self, name: str, deadline: float) -> Iterator[Service]:
        """The service, for one request of it. Raises `AgentMissing` where it can't be had."""
        with self._change:
            watched = self._of(name)
            if watched.asked >= MOST_ASKED:
                raise _unasked(f"the service {name} is busy with {watched.asked} others")
            watched.asked += 1
        try:
            yield self._running(watched, deadline)
        finally:
            with self._change:
                watched.asked -= 1
                watched.last_asked = monotonic()

    def tell(self) -> None:
        """Every service that runs: what it keeps may have changed."""
        with self._change:
            for watched in self._watched.values():
                if watched.desk is not None:
                    watched.desk.tell()

    @property
    def is_idle(self) -> bool:
        with self._change:
            return not any(each.thread or each.asked for each in self._watched.values())

    def report(self) -> list[dict[str, Any]]:
        with self._change:
            return [
                {
                    "name": each.name,
                    "state": each.state,
                    "since": each.since if each.desk else 0.0,
                    "failures": each.failures,
                    "failure": each.failure,
                }
                for each in self._watched.values()
            ]

    def stop(self, seconds: float) -> list[str]:
        """End all; the names of those that had not ended after so long."""
        with self._change:
            self._stopping = True
            for watched in self._watched.values():
                if watched.desk is not None:
                    watched.desk.tell(stop=True)
            self._change.wait_for(lambda: not self._there(), seconds)
            return self._there()

    # --- with the lock held ------------------------------------------------------------

    def _of(self, name: str) -> Watched:
        return self._watched.setdefault(name, Watched(name))

    def _there(self) -> list[str]:
        return [each.name for each in self._watched.values() if each.thread is not None]

    def _see_to(self, watched: Watched, needed: bool) -> float:
        """Seconds after which it is to be seen to again."""
        now = monotonic()
        if watched.desk is not None:
            lingers = watched.last_asked + LINGER_SECONDS - now
            if needed or watched.asked:
                return inf
            if lingers > 0:
                return lingers
            watched.desk.tell(stop=True)
        elif needed and not self._stopping:
            if watched.again > now:
                return watched.again - now
            self._start(watched)
        return inf

    def _start(self, watched: Watched) -> None:
        """Where no thread can be started, that is one more failure of the service."""
        desk = Desk(self._store, watched.name)
        watched.since, watched.began = time(), monotonic()
        # Daemonic: one that hangs must not hold the process once all others have ended.
        thread = threading.Thread(
            target=self._run, args=(watched, desk), name=watched.name, daemon=True
        )
        watched.thread, watched.desk = thread, desk
        try:
            thread.start()
        except RuntimeError as error:
            watched.thread = watched.desk = None
            _note_failure(watched, error)

    # --- a request's thread --------------------------------------------------------------

    def _running(self, watched: Watched, deadline: float) -> Service:
        """Raises `AgentMissing`."""
        with self._change:
            while watched.service is None or watched.desk is None or watched.desk.stopping:
                if self._stopping:
                    raise _unasked("the agent is about to leave")
                if watched.desk is None:
                    pause = watched.again - monotonic()
                    if pause > 0:
                        said = f"the service {watched.name} has failed: {watched.failure}"
                        raise _unasked(f"{said}; it is tried again in {pause:.0f} s", watched.code)
                    self._start(watched)
                if not self._change.wait(max(0.0, deadline - monotonic())):
                    raise _unasked(f"the service {watched.name} is {watched.state} for too long")
            return watched.service

    # --- a service's thread --------------------------------------------------------------

    def _run(self, watched: Watched, desk: Desk) -> None:
        error: BaseException | None = None
        try:
            self._serve(watched, desk)
        except BaseException as raised:
            error = raised
        with self._change:
            watched.thread = watched.desk = watched.service = None
            if desk.stopping:
                watched.failures, watched.failure = 0, ""
            else:
                _note_failure(watched, error or RuntimeError("it ended by itself"))
            self._change.notify_all()
        self._changed()

    def _serve(self, watched: Watched, desk: Desk) -> None:
        found = self._find(watched.name)
        if found is None:
            raise NoService(
                "no package here has it; install the one that does (entry point pynet.services)"
            )
        service = found(desk)
        with self._change:
            watched.service = service
            self._change.notify_all()
        service.run()


def _note_failure(watched: Watched, error: BaseException) -> None:
    if monotonic() - watched.began > LONGEST_PAUSE:
        watched.failures = 0  # it ran well for long enough
    watched.failures += 1
    missing = isinstance(error, NoService)
    watched.code = Code.NOT_AVAILABLE if missing else Code.TRY_AGAIN_LATER
    watched.failure = str(error) if missing else f"{type(error).__name__}: {error}"
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(watched.failures - 1, 10))
    watched.again = monotonic() + pause
    print(
        f"pynet-agent: the service {watched.name} failed: {watched.failure}; again in {pause:g} s",
        file=sys.stderr,
        flush=True,
    )


def _unasked(message: str, code: Code = Code.TRY_AGAIN_LATER) -> AgentMissing:
    return AgentMissing(message, code=code)
