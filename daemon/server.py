"""The daemon's threads: one for each request in flight, and a few that wait for the next.

Every idle thread stands in `accept` itself, so that a request is handed from no thread to
another: the kernel wakes one of them. The last idle one starts another before it works. If there
can't be another, it works all the same, and whoever calls meanwhile waits in the socket's queue.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..kernel import threads
from ..model.errors import CniError, Declined, Exhausted, TryLater
from ..model.exhaustion import is_exhaustion
from . import wire
from .call import Handler, Reply
from .conversation import Conversation
from .descriptors import Standing
from .home import Listener
from .limits import Limits
from .turns import Turns
from .waking import Waker

SPARE = 4
"""Threads that stay while there is nothing to do."""
DRAIN_SECONDS = 35.0
"""A launcher waits 30 s for its answer: nobody hears a later one."""
TURN_SECONDS = 10.0
"""How long a request waits for its turn, until its caller had better do it itself."""
LOOK_SECONDS = 30.0
"""How often the daemon tidies up, and sees whether callers still find its socket."""


class Server:
    """`run` serves until `stop`, until it has been idle for `idle_exit` seconds, or until
    its socket has been taken away or replaced; then it lets requests in flight end.

    `limits` say how many requests it may be at at once. `retire_on` are errors of the handler
    after which this daemon must not serve anybody again (a newer release has come). `housekeeping`
    is called every `LOOK_SECONDS`, and must not raise.
    """

    def __init__(
        self,
        handler: Handler,
        listener: Listener,
        standing: Standing,
        *,
        limits: Limits = Limits(),  # noqa: B008 - it is a tuple
        idle_exit: float | None = None,
        retire_on: tuple[type[Exception], ...] = (),
        housekeeping: Callable[[], None] | None = None,
    ) -> None:
        self._handler = handler
        self._listener = listener
        self._standing = standing
        self._most = limits.conversations
        self._spare = min(SPARE, limits.conversations)
        self._turns = Turns(limits.turns)
        self._idle_exit = idle_exit
        self._retire_on = retire_on
        self._housekeeping = housekeeping
        self._waker = Waker()
        self._change = threading.Condition(threading.Lock())
        self._stopping = False
        self._idle = 0
        self._busy = 0
        self._last = time.monotonic()

    def run(self) -> None:
        """Serve, then drain. Requests still in flight after `DRAIN_SECONDS` are left alone.

        Raises `Exhausted` where no thread can be started at all.
        """
        for first in range(self._spare):
            self._idle += 1
            if not self._start_thread() and not first:
                raise Exhausted("not one thread can be started")
        self._wait()
        with self._change:
            self._stopping = True
        self._listener.close()
        with self._change:
            self._change.wait_for(lambda: self._busy == 0, DRAIN_SECONDS)

    def stop(self) -> None:
        """From any thread, or a signal handler: `run` drains and returns."""
        self._waker.wake()

    def stop_on_signals(self) -> None:
        """The same by SIGTERM and SIGINT. To be asked for by the main thread."""
        self._waker.hear(self.stop)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        while not poll.poll(1000 * min(LOOK_SECONDS, max(0.0, self._idle_left()))):
            if self._idle_left() <= 0 or not self._listener.is_reachable:
                return
            if self._housekeeping is not None:
                with suppress(MemoryError):
                    self._housekeeping()

    def _idle_left(self) -> float:
        """Seconds until the daemon has been idle for long enough."""
        if self._idle_exit is None:
            return LOOK_SECONDS
        with self._change:
            last = time.monotonic() if self._busy else self._last
        return last + self._idle_exit - time.monotonic()

    # --- the threads -----------------------------------------------------------------

    def _start_thread(self) -> bool:
        """One that is counted as idle already; where there can be none it no longer is."""
        try:
            threads.start(self._work)
        except Exhausted:
            with self._change:
                self._idle -= 1
            return False
        return True

    def _work(self) -> None:
        while True:
            try:
                connection, _ = self._listener.socket.accept()
            except (OSError, MemoryError):
                if self._stopping:
                    return
                time.sleep(0.05)  # out of descriptors: callers wait, then go one-shot
                continue
            if not self._begin():
                connection.close()
                return
            served = False
            # What can be answered was. Who gets no answer sees the connection close.
            with suppress(Exception):
                served = self._serve(connection)
            if not self._end(served):
                return

    def _begin(self) -> bool:
        with self._change:
            if self._stopping:
                return False
            self._idle -= 1
            self._busy += 1
            grow = self._idle == 0 and self._busy < self._most
            self._idle += grow
        if grow:
            self._start_thread()
        return True

    def _end(self, served: bool) -> bool:
        with self._change:
            self._busy -= 1
            if served:
                self._last = time.monotonic()
            if self._stopping:
                self._change.notify_all()
                return False
            if self._idle >= self._spare:
                return False
            self._idle += 1
        return True

    # --- one request -------------------------------------------------------------------

    def _serve(self, connection: socket.socket) -> bool:
        """Whether it was served: a declined caller keeps no idle daemon alive."""
        conversation = Conversation(connection, self._standing)
        try:
            reply = self._reply_to(conversation)
            if reply is None:
                return False
            try:
                conversation.answer(reply)
            except wire.Malformed as error:
                conversation.answer(_error(CniError(f"the answer can't be sent: {error}")))
        finally:
            conversation.close()
        reply.afterwards()
        return True

    def _reply_to(self, conversation: Conversation) -> Reply | None:
        """None where it was declined."""
        try:
            call = conversation.hear()
            turn = self._turns.take()
            if turn is None:
                conversation.reserve()  # it is served, and has only to wait
                turn = self._turns.take(TURN_SECONDS)
            if turn is None:
                raise Declined("this daemon is busy with others")
            try:
                return self._handler(call)
            finally:
                self._turns.end(turn)
        except self._retire_on as error:
            self.stop()
            refusal = f"this daemon is leaving: {error}"
        except Declined as error:
            refusal = str(error)
        except Exception as error:
            if not is_exhaustion(error):
                return _error(CniError(f"internal error: {type(error).__name__}: {error}"))
            # What was begun is undone, and what was not may be: another process has room.
            conversation.give_back()
            refusal = f"this daemon has run out of something: {error}"
        if conversation.is_accepted:
            return _error(TryLater(f"pynetd declined what it had accepted: {refusal}"))
        conversation.decline(refusal)
        return None


def _error(error: CniError) -> Reply:
    # In the shape of the latest version: nothing has parsed which one the caller speaks.
    return Reply(1, json.dumps(error.to_json("1.1.0")).encode() + b"\n")
