"""Deleting a link without waiting for the kernel to be done with it.

The kernel takes a link out of its namespaces, frees its name and announces that on the link
multicast group within a millisecond; the acknowledgement comes 17 to 29 ms later, after grace
periods. It works in the sender's own thread, inside `send`. So a helper thread sends, and
the caller leaves with whichever comes first on the same socket: announcement or
acknowledgement. It listened before the request was sent, so nothing can be missed; where
announcements are lost (ENOBUFS), the end of `send` counts.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from ...model.errors import Exhausted, KernelError
from .. import threads
from . import links
from .packed import NLM_F_ACK, NLMSG_ERROR, messages
from .rtnl import RTM_DELLINK, Operation
from .rtnl_socket import Socket

_RTMGRP_LINK = 1
_SEQUENCE = 1
_LIMIT = 30.0
_BUFFER = 32768
_IDLE = 10.0


class Deleter:
    """Deletes links from many threads at once; each deletion has a socket and a helper."""

    def __init__(self) -> None:
        self._helpers = Helpers()

    def delete(self, namespace: int, where: str, index: int, name: str) -> None:
        """`ip link del NAME`; returns when the link is gone from all namespaces.

        One that is gone already is no error. Raises `KernelError`.
        """
        sock = Socket.inside(namespace, where, groups=_RTMGRP_LINK)
        sock.raw.settimeout(_LIMIT)
        deletion = _Deletion(sock, links.deletion(index, name), namespace)
        self._helpers.run(deletion.send)
        try:
            deletion.wait(index)
        finally:
            deletion.leave()


class _Deletion:
    """One request: a helper sends it, the caller waits; the last of the two closes the socket."""

    def __init__(self, sock: Socket, operation: Operation, namespace: int) -> None:
        self._sock = sock
        self._operation = operation
        self._namespace = namespace
        self._sent = threading.Event()
        self._unsent: OSError | None = None
        self._users = 2
        self._lock = threading.Lock()

    def send(self) -> None:
        try:
            self._sock.raw.send(self._operation.pack(_SEQUENCE, NLM_F_ACK))
        except OSError as error:
            self._unsent = error
        finally:
            self._sent.set()
            self.leave()

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._sock.close()

    def wait(self, index: int) -> None:
        while True:
            try:
                data = self._sock.raw.recv(_BUFFER)
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return self._wait_for_end(index)
                raise self._failure(error) from error
            for message in messages(data):
                if message.type == NLMSG_ERROR and message.sequence == _SEQUENCE:
                    if message.errno in (0, errno.ENODEV):
                        return
                    raise self._sock.refusal(self._operation, message)
                if message.type == RTM_DELLINK and links.is_about(message.body, index):
                    return

    def _wait_for_end(self, index: int) -> None:
        """Announcements were lost, perhaps the acknowledgement too: see what came of it."""
        self._sent.wait(_LIMIT)
        look = Socket.inside(self._namespace, self._sock.where)
        try:
            if links.by_index(look, index) is not None:
                raise KernelError(f"`{self._operation.command}` in {look.where} had no effect")
        finally:
            look.close()

    def _failure(self, error: OSError) -> KernelError:
        if isinstance(error, TimeoutError):
            why = f"{self._unsent or 'not done'} after {_LIMIT:.0f} s"
        else:
            why = str(error.strerror)
        return KernelError(
            f"`{self._operation.command}` in {self._sock.where}: {why}",
            errno=error.errno or errno.ETIMEDOUT,
        )


class Helpers:
    """Threads that take a job each; one is started when none is idle, and idle ones end.

    Where none can be started, a job is done by whoever brings it.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # waiting helpers that no job in the queue is meant for

    def run(self, job: Callable[[], object]) -> None:
        with self._lock:
            taken = self._idle > 0
            self._idle -= taken
        if taken:
            self._jobs.put(job)
        else:
            # Nobody waits for its end: what the kernel has begun it finishes without us.
            try:
                threads.start(partial(self._work, job))
            except Exhausted:
                job()

    def _work(self, job: Callable[[], object] | None) -> None:
        while job is not None:
            job()
            with self._lock:
                self._idle += 1
            job = self._next()

    def _next(self) -> Callable[[], object] | None:
        try:
            return self._jobs.get(timeout=_IDLE)
        except Empty:
            with self._lock:
                if self._idle:
                    self._idle -= 1
                    return None
        return self._jobs.get()  # one was put in for us this very moment
