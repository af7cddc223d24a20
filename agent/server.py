"""The agent's socket: a thread for each question, and one that waits for the next.

What the caller says of itself is not asked for: its uid is the socket's.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic, sleep

from ..daemon import agent_wire, home
from ..daemon.waking import Waker
from ..kernel import threads
from ..model.errors import Exhausted, TryLater
from .answering import Question

MOST = 128
"""Questions at once; further callers wait in the socket's queue."""
DRAIN_SECONDS = 10.0
_RECEIVE_SECONDS = 5.0
_PAUSE = 0.02
_MOST_DESCRIPTORS = 8
_POLLRDHUP = 0x2000


class Server:
    """`answer` makes a line of a question. `tick` is called at the start, when something has
    changed, and when the seconds it answered are over; None ends the server.
    """

    def __init__(
        self,
        listener: home.Listener,
        answer: Callable[[Question], bytes],
        tick: Callable[[], float | None],
    ) -> None:
        self._listener = listener
        self._answer = answer
        self._tick = tick
        self._uid = os.geteuid()
        self._waker = Waker()
        self._change = threading.Condition()
        self._busy = 0
        self._stopping = False
        self.last = monotonic()
        """When somebody was served."""

    @property
    def busy(self) -> int:
        return self._busy

    def stop(self) -> None:
        """From any thread, or a signal handler: `run` returns."""
        self._stopping = True
        self.wake()

    def stop_on_signals(self) -> None:
        """The same by SIGTERM and SIGINT. To be asked for by the main thread."""
        self._waker.hear(self.stop)

    def wake(self) -> None:
        self._waker.wake()

    def run(self) -> None:
        """Serve; then no caller comes any more, and those at it are waited for, for a while."""
        self._listener.socket.setblocking(False)
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        poll.register(self._listener.socket, select.POLLIN)
        due = 0.0
        while not self._stopping:
            told = [fd for fd, _ in poll.poll(max(0, int(1000 * (due - monotonic())) + 1))]
            if self._waker.fileno() in told:
                self._waker.clear()
                due = 0.0
            if self._listener.socket.fileno() in told:
                self._accept()
            if not self._stopping and due <= monotonic():
                seconds = self._tick()
                if seconds is None:
                    break
                due = monotonic() + seconds
        self._listener.close()
        with self._change:
            self._change.wait_for(lambda: self._busy == 0, DRAIN_SECONDS)

    def _accept(self) -> None:
        with self._change:
            self._change.wait_for(lambda: self._busy < MOST, 0.1)
            if self._busy >= MOST:
                return
        try:
            connection, _ = self._listener.socket.accept()
        except OSError:
            sleep(_PAUSE)  # it has gone again, or there are no descriptors left: it waits
            return
        connection.settimeout(_RECEIVE_SECONDS)
        with self._change:
            self._busy += 1
        try:
            # Not waited for: one whose service hangs must not hold the process.
            threads.start(partial(self._serve, connection))
        except Exhausted:
            connection.close()  # who asks will ask again
            self._note_end()
            sleep(_PAUSE)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):
                connection.sendall(self._line(connection))
        finally:
            self._note_end()

    def _note_end(self) -> None:
        with self._change:
            self._busy -= 1
            self.last = monotonic()
            self._change.notify_all()
        self.wake()

    def _line(self, connection: socket.socket) -> bytes:
        """The answer. What came along with the question is closed once there is one."""
        descriptors: list[int] = []
        try:
            return self._converse(connection, descriptors)
        finally:
            for fd in descriptors:
                os.close(fd)

    def _converse(self, connection: socket.socket, descriptors: list[int]) -> bytes:
        _, uid = home.peer(connection)
        if uid not in (0, self._uid):
            return agent_wire.failure(
                TryLater(f"this agent serves uid 0 and {self._uid}, not {uid}")
            )
        try:
            data, fds, flags, _ = socket.recv_fds(connection, 1 << 16, _MOST_DESCRIPTORS)
            descriptors += fds
            if flags & socket.MSG_CTRUNC:  # the kernel drops those there is no number for
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # who asks will ask again
            while not data.endswith(b"\n"):
                part = connection.recv(1 << 16)
                if not part or len(data) > agent_wire.LIMIT:
                    raise agent_wire.Malformed("the question ends in its middle, or never")
                data += part
            question = Question(agent_wire.read(data), fds, lambda: _hung_up(connection))
        except agent_wire.Malformed as error:
            return agent_wire.failure(TryLater(f"the agent can't read the question: {error}"))
        return self._answer(question)


def _hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, _POLLRDHUP)
    return bool(poll.poll(0))
