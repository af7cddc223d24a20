"""The agent, asked: bounded in time, left behind where there is none, idempotent.

Rules that hold here:
- Whatever happens to the agent meanwhile, it is asked again until the time is up: it reads from
  the store what it is asked for, and gives the same attachment the same again.
- It may be left behind by whoever may leave a daemon behind (PYNET_DAEMON=auto). With `never` and
  `require` one that is kept (`pynet agent`, systemd's) is all there is.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from ..model.errors import AgentMissing, CniError, TryLater
from ..model.resource import Lease
from ..model.value import Value
from ..store.records import Record
from ..store.store import FILE, Store
from . import agent_wire, home
from .settings import IDLE_EXIT, Mode

LEASE_SECONDS = 18.0
"""With what is undone after it, this must end before a launcher gives up (30 s)."""
RELEASE_SECONDS = 6.0
_LOOK_SECONDS = 0.2
_AGAIN = 0.02
_CANCELLED_SECONDS = 0.2
"""How often it is asked whether anybody still waits."""


class Agent(Value):
    """The agent's services, asked for one request.

    `host` and `sandbox` are descriptors of the request's namespaces, as in `Call`.
    """

    state: Path
    mode: Mode
    host: int
    sandbox: int | None
    cancelled: Callable[[], bool]

    def lease(self, lease: Lease[Any], record: Record) -> Any:
        return self._ask("lease", lease, record, LEASE_SECONDS, self.cancelled)

    def release(self, lease: Lease[Any], record: Record) -> None:
        self._ask("release", lease, record, RELEASE_SECONDS, lambda: False)

    def refuse_missing(self, lease: Lease[Any]) -> None:
        """Raises `AgentMissing` where `lease` would be refused, as none runs or may be left."""
        if self.mode is not Mode.AUTO and not runs(self.state):
            raise Asking(self.state, self.mode, lease.describe()).none_left()

    def look(self) -> None:
        """Tell it that what is kept has changed."""
        tell(self.state, self.mode)

    def _ask(
        self,
        op: str,
        lease: Lease[Any],
        record: Record,
        seconds: float,
        cancelled: Callable[[], bool],
    ) -> Any:
        fds = [self.host] if self.sandbox is None else [self.host, self.sandbox]
        question = agent_wire.line(
            op=op,
            keeper=lease.keeper,
            record=record.id,
            claim=record.claim,
            key=lease.key,
            seconds=seconds,
        )
        what = lease.describe() if op == "lease" else f"{op} of {lease.describe()}"
        return Asking(self.state, self.mode, what).ask(question, seconds, fds, cancelled)


def socket_of(state: Path) -> Path:
    return state / "agent.sock"


class Asking:
    """One question, of which `what` says what it is about."""

    def __init__(self, state: Path, mode: Mode, what: str) -> None:
        self._state = state
        self._mode = mode
        self._what = what
        self._lost = False
        """An agent was asked that did not answer: it may have done what it was asked."""

    def ask(
        self,
        question: bytes,
        seconds: float,
        fds: Sequence[int] = (),
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Any:
        """The answer. Raises `AgentMissing` where nobody was asked, `TryLater`, `CniError`."""
        deadline = monotonic() + seconds
        left = None
        try:
            while True:
                try:
                    data = self._exchange(question, deadline, fds, cancelled)
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    left = left or self._leave_one()
                    if status := left.status():
                        raise self._none(f"one that was started ended with {status}") from None
                    if status == 0:
                        left = None  # another one was there then, and is not now
                except (ConnectionError, EOFError, BlockingIOError):
                    pass  # it died of it, or meanwhile; or is so busy that its queue is full
                except TimeoutError:
                    raise self._too_late(seconds) from None
                if monotonic() > deadline:
                    raise self._too_late(seconds)
                sleep(_AGAIN)
        except OSError as error:
            raise self._none(str(error)) from error
        finally:
            if left is not None:
                left.let_go()
        try:
            return agent_wire.answer(data)
        except AgentMissing as error:
            if self._lost:
                raise TryLater(error.msg) from error
            raise

    def _exchange(
        self,
        question: bytes,
        deadline: float,
        fds: Sequence[int],
        cancelled: Callable[[], bool],
    ) -> bytes:
        """The line that comes back. Raises `TryLater`, EOFError, OSError."""
        with home.connect(socket_of(self._state), _left(deadline)) as connection:
            asked_before, self._lost = self._lost, True
            socket.send_fds(connection, [question], fds)
            data = b""
            while not data.endswith(b"\n"):
                while not _readable(connection, min(_CANCELLED_SECONDS, _left(deadline))):
                    if cancelled():
                        raise TryLater(f"{self._what}: the caller has hung up")
                part = connection.recv(1 << 16)
                if not part or len(data) > agent_wire.LIMIT:
                    raise EOFError
                data += part
            self._lost = asked_before
            return data

    def _leave_one(self) -> Any:
        """Raises `AgentMissing` where none may be left behind, OSError."""
        if self._mode is not Mode.AUTO:
            raise self.none_left()
        return leave_behind(self._state)

    def none_left(self) -> TryLater | AgentMissing:
        """What is said where none runs, and none may be left behind."""
        return self._none(
            f"none runs at {socket_of(self._state)}, and with PYNET_DAEMON={self._mode} none "
            "is left behind: start `pynet agent`"
        )

    def _none(self, why: str) -> TryLater | AgentMissing:
        """Who may have been asked may have done it."""
        kind = TryLater if self._lost else AgentMissing
        return kind(f"{self._what} needs the agent: {why}")

    def _too_late(self, seconds: float) -> TryLater:
        return TryLater(f"{self._what}: the agent has not answered within {seconds:g} s")


def runs(state: Path) -> bool:
    """Whether there is an agent. One that is busy, or may not be asked, is there."""
    try:
        home.connect(socket_of(state), _LOOK_SECONDS).close()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return False
    except OSError:
        pass
    return True


def tell(state: Path, mode: Mode) -> None:
    """That what is kept has changed: nobody waits for the agent, but one is left behind."""
    try:
        with home.connect(socket_of(state), _LOOK_SECONDS) as connection:
            connection.sendall(agent_wire.line(op="look"))
    except (FileNotFoundError, ConnectionRefusedError):
        if mode is Mode.AUTO:
            with suppress(OSError):
                leave_behind(state).let_go()
    except OSError:
        pass  # it is busy, and looks by itself


def see_to_it(state: Path, store: Callable[[], Store], mode: Mode) -> None:
    """That somebody keeps what is to be kept, though the agent was killed. Raises nothing."""
    try:
        if not (state / FILE).exists():
            return
        with store().read() as tx:
            needed = tx.keepers()
    except (CniError, OSError):
        return  # who needs the store will say so
    if needed:
        tell(state, mode)


def leave_behind(state: Path) -> Any:
    """An agent, detached: a `Left`. Raises OSError."""
    from .leaving import Left

    package = __package__.rpartition(".")[0]
    flags = ["--state", str(state), "--idle-exit", str(IDLE_EXIT)]
    return Left(f"{package}.agent", flags)


def _readable(connection: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def _left(deadline: float) -> float:
    """Seconds until then. Raises TimeoutError where there are none."""
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError(os.strerror(110))
    return seconds
