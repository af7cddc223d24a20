"""The daemon's threads: one for each request in flight, and a few that wait for the next.

Every idle thread stands in `accept` itself, so that a request is handed from no thread to
another: the kernel wakes one of them. The last idle one starts another before it works.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Callable

from ..model.errors import CniError, Declined, TryLater
from . import wire
from .call import Handler, Reply
from .conversation import Conversation
from .descriptors import Standing
from .home import Listener

SPARE = 4
"""Threads that stay while there is nothing to do."""
MOST = 256
"""Requests at once; further callers wait in the socket's queue, and go one-shot after 1 s."""
DRAIN_SECONDS = 35.0
"""A launcher waits 30 s for its answer: nobody hears a later one."""
LOOK_SECONDS = 30.0
"""How often the daemon tidies up, and sees whether callers still find its socket."""


class Server:
    """`run` serves until `stop`, until it has been idle for `idle_exit` seconds, or until
    its socket has been taken away or replaced; then it lets requests in flight end.

    `retire_on` are errors of the handler after which this daemon must not serve anybody
    again (a store of a newer release). `housekeeping` is called every `LOOK_SECONDS`, and
    must not raise.
    """

    def __init__(
        self,
        handler: Handler,
        listener: Listener,
        standing: Standing,
        *,
        idle_exit: float | None = None,
        retire_on: tuple[type[Exception], ...] = (),
        housekeeping: Callable[[], None] | None = None,
    ) -> None:
        self._handler = handler
        self._listener = listener
        self._standing = standing
        self._idle_exit = idle_exit
        self._retire_on = retire_on
        self._housekeeping = housekeeping
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._change = threading.Condition(threading.Lock())
        self._stopping = False
        self._idle = 0
        self._busy = 0
        self._last = time.monotonic()

    def run(self) -> None:
        """Serve, then drain. Requests still in flight after `DRAIN_SECONDS` are left alone."""
        for _ in range(SPARE):
            self._idle += 1
            self._start_thread()
        self._wait()
        with self._change:
            self._stopping = True
        self._listener.close()
        with self._change:
            self._change.wait_for(lambda: self._busy == 0, DRAIN_SECONDS)

    def stop(self) -> None:
        """From any thread, or a signal handler: `run` drains and returns."""
        os.eventfd_write(self._wake, 1)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        while not poll.poll(1000 * min(LOOK_SECONDS, max(0.0, self._idle_left()))):
            if self._idle_left() <= 0 or not self._listener.is_reachable:
                return
            if self._housekeeping is not None:
                self._housekeeping()

    def _idle_left(self) -> float:
        """Seconds until the daemon has been idle for long enough."""
        if self._idle_exit is None:
            return LOOK_SECONDS
        with self._change:
            last = time.monotonic() if self._busy else self._last
        return last + self._idle_exit - time.monotonic()

    # --- the threads -----------------------------------------------------------------

    def _start_thread(self) -> None:
        # Daemonic: one that stands in `accept`, or whose handler hangs, must not hold the
        # process once `run` is over.
        threading.Thread(target=self._work, name="pynetd-request", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                connection, _ = self._listener.socket.accept()
            except OSError:
                if self._stopping:
                    return
                time.sleep(0.05)  # out of descriptors: callers wait, then go one-shot
                continue
            if not self._begin():
                connection.close()
                return
            conversation = Conversation(connection, self._standing)
            served = False
            try:
                served = self._converse(conversation)
            finally:
                conversation.close()
                stays = self._end(served)
            if not stays:
                return

    def _begin(self) -> bool:
        with self._change:
            if self._stopping:
                return False
            self._idle -= 1
            self._busy += 1
            grow = self._idle == 0 and self._busy < MOST
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
            if self._idle >= SPARE:
                return False
            self._idle += 1
        return True

    # --- one request -------------------------------------------------------------------

    def _converse(self, conversation: Conversation) -> bool:
        """Whether it was served: a declined caller keeps no idle daemon alive."""
        try:
            reply = self._handler(conversation.hear())
        except Declined as refusal:
            if not conversation.is_accepted:
                conversation.decline(str(refusal))
                return False
            reply = _error(TryLater(f"pynetd declined what it had accepted: {refusal}"))
        except self._retire_on as error:
            self.stop()
            if not conversation.is_accepted:
                conversation.decline(f"this daemon is leaving: {error}")
                return False
            reply = _error(TryLater(f"pynetd was replaced by a newer one: {error}"))
        except Exception as error:
            reply = _error(CniError(f"internal error: {type(error).__name__}: {error}"))
        try:
            conversation.answer(reply)
        except wire.Malformed as error:
            conversation.answer(_error(CniError(f"the answer can't be sent: {error}")))
        reply.afterwards()
        return True


def _error(error: CniError) -> Reply:
    # In the shape of the latest version: nothing has parsed which one the caller speaks.
    return Reply(1, json.dumps(error.to_json("1.1.0")).encode() + b"\n")
