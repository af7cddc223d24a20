"""`pynet-agent`: the agent as a process. `python -I -m pynet.agent --help`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from ..daemon import agent_wire, home
from ..daemon.asking import socket_of
from ..daemon.installed import installed
from ..daemon.limits import raised
from ..daemon.settings import settings
from ..model import forwarding, published, resources
from ..model.errors import CniError, TryLater
from ..store import location
from ..store.failure import NewerSchema
from ..store.locks import FileLock
from ..store.store import FILE, Store
from . import registry
from .answering import Desktop, Question, reply
from .server import Server
from .watching import Watch

LOOK_SECONDS = 30.0
"""How often the agent looks by itself what is to be kept, and whether callers find its socket."""
STOP_SECONDS = 5.0
"""How long services may take to end."""
_KINDS = (resources, forwarding, published)
"""Imported for the kinds of resources in them: a record is read with these."""


def main() -> int:
    """Serve until told to stop. 0 also where another agent serves already; 1 where it can't."""
    arguments = _parser().parse_args()
    try:
        state = settings(os.environ, state=arguments.state).state
        pidfile = arguments.pidfile and arguments.pidfile.absolute()
        os.chdir("/")  # it stays, and is not to hold where it was started
        return run(state, arguments.idle_exit, pidfile)
    except (CniError, OSError) as error:
        print(f"pynet-agent: {error}", file=sys.stderr)
        return 1


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="pynet-agent", description="Looks after what has a life of its own after the answer."
    )
    parser.add_argument("--state", type=Path, help="state directory (PYNET_STATE_DIR)")
    parser.add_argument(
        "--idle-exit", type=float, metavar="SECONDS", help="leave after keeping nothing for so long"
    )
    parser.add_argument(
        "--pidfile", type=Path, help="write the process's number there, for as long as it serves"
    )
    return parser


def run(state: Path, idle_exit: float | None, pidfile: Path | None) -> int:
    """Serve `state` until told to stop; the exit status. Raises `CniError`, OSError."""
    location.prepare(state)
    listener = home.activated()
    lock = home.lock(state, "agent")
    if lock is None and listener is not None:
        lock = _outwait(state, listener)
    if lock is None:
        print(f"pynet-agent: another one serves {state} already", file=sys.stderr)
        return 0
    with lock, _numbered(pidfile):
        raised()  # a question brings descriptors, and services have theirs
        agent = Agent(state, listener or home.listen(socket_of(state)), idle_exit)
        agent.server.stop_on_signals()
        agent.run()
    return 0


@contextmanager
def _numbered(pidfile: Path | None) -> Iterator[None]:
    """`pidfile` has this process's number meanwhile. Raises OSError."""
    if pidfile is None:
        yield
        return
    number = f"{os.getpid()}\n"
    pidfile.write_text(number)
    try:
        yield
    finally:
        with suppress(OSError):
            if pidfile.read_text() == number:
                pidfile.unlink()


class Agent:
    """The socket, the services and the store, until there is nothing left to do."""

    def __init__(self, state: Path, listener: home.Listener, idle_exit: float | None) -> None:
        self._state = state
        self._listener = listener
        self._idle_exit = idle_exit
        self._opened: Store | None = None
        self._said = ""
        self._package = installed()
        self._missed: float | None = None
        """When its package was first missed, in seconds of `monotonic`."""
        self._watch = Watch(self._store, registry.service_named, lambda: self.server.wake())
        self._desktop = Desktop(
            self._store, self._watch, look=self._told, leave=lambda: self.server.stop()
        )
        self.server = Server(listener, self._answer, self._tick)

    def run(self) -> None:
        self.server.run()
        hanging = self._watch.stop(STOP_SECONDS)
        if hanging:
            print(f"pynet-agent: left behind: {', '.join(hanging)}", file=sys.stderr, flush=True)

    def _told(self) -> None:
        self._watch.tell()
        self.server.wake()

    def _answer(self, question: Question) -> bytes:
        """Raises OSError, unanswered, where another agent is to come: whoever asks asks again."""
        if self._package.is_replaced():
            raise ConnectionAbortedError("another version of the package has been installed")
        return reply(self._desktop, question)

    def _tick(self) -> float | None:
        """Seconds until the next look; None to leave."""
        if not self._listener.is_reachable:
            return None
        if self._is_outlived():
            print("pynet-agent: leaving: its package is gone", file=sys.stderr, flush=True)
            return None
        try:
            needed = self._needed()
            self._said = ""
        except NewerSchema as error:
            print(f"pynet-agent: leaving: {error}", file=sys.stderr, flush=True)
            return None
        except CniError as error:
            if error.msg != self._said:
                print(f"pynet-agent: {error.msg}", file=sys.stderr, flush=True)
            self._said = error.msg
            return LOOK_SECONDS
        due = min(LOOK_SECONDS, self._watch.look(needed))
        if self._idle_exit is None or needed or self.server.busy or not self._watch.is_idle:
            return due
        left = self.server.last + self._idle_exit - monotonic()
        return min(due, left) if left > 0 else None

    def _is_outlived(self) -> bool:
        """Whether another package is there, or for half a minute none: it may be on its way."""
        if self._package.is_as_it_was():
            self._missed = None
            return False
        if self._missed is None:
            self._missed = monotonic()
        return self._package.is_replaced() or monotonic() - self._missed >= LOOK_SECONDS

    def _needed(self) -> dict[str, int]:
        """Which keepers have something on record. Raises `CniError`."""
        if not (self._state / FILE).exists():
            return {}
        with self._store().read() as tx:
            return tx.keepers()

    def _store(self) -> Store:
        if self._opened is None:
            self._opened = Store.open(self._state)
        return self._opened


def _outwait(state: Path, listener: home.Listener) -> FileLock | None:
    """The lock, once an agent whose socket systemd has replaced sees that and leaves."""
    refusal = agent_wire.failure(TryLater("another agent is about to leave its place to this one"))
    deadline = monotonic() + 2 * LOOK_SECONDS
    lock = None
    listener.socket.settimeout(0.5)
    while lock is None and monotonic() < deadline:
        with suppress(OSError):
            connection, _ = listener.socket.accept()
            with connection:
                connection.sendall(refusal)
        lock = home.lock(state, "agent")
    return lock


if __name__ == "__main__":
    sys.exit(main())
