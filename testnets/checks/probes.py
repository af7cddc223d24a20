"""Calls by TCP, UDP and HTTP between namespaces, all from one process, and what came of them.

Rules that hold here:
- Callers and listeners are sockets in their namespaces; one loop serves them all.
- A call that is hopeful is tried again until time is over, or a refusal is final (`refusals`);
  one that isn't takes the first refusal for the answer.
- What our own listener answers must hold the token of this probe, backwards.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...kernel.namespaces import entered
from .listeners import Listeners, Stand, backwards
from .refusals import Refusals

_TRY_AGAIN = 0.05
"""Seconds after a refusal."""
_TRY_BESIDE = 0.5
"""Seconds of silence after which another try starts beside the first: a lost SYN costs a second."""
_RECEIVE = 65536
_UNSPECIFIED = ("0.0.0.0", "::")
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Call:
    """From namespace `source` (a descriptor) to `address`; somebody listens at `stand`."""

    protocol: Literal["tcp", "udp", "http"]
    source: int
    address: str
    port: int
    stand: Stand | None = None
    hopeful: bool = True


@dataclass
class Answer:
    """What came of a call.

    `said` is the refusal, or "" for silence, and `no_route` whether the caller's own namespace has
    no route there; `seen` is the address our listener saw, `ours` whether it was ours that had to
    answer, and `arrived` whether it was asked. `local` is the caller's address.
    """

    answered: bool = False
    said: str = ""
    no_route: bool = False
    local: str = ""
    ours: bool = False
    arrived: bool = False
    seen: str = ""
    status: int = 0
    body: str = ""


def token() -> bytes:
    """What tells a probe's packets from all others: letters and digits."""
    return os.urandom(8).hex().encode()


def converse(calls: Sequence[Call], within: float, mark: bytes) -> list[Answer]:
    """What came of each call, after `within` seconds at most. Raises `OSError`."""
    with selectors.DefaultSelector() as selector, Listeners(selector) as listeners:
        stands = {call.stand for call in calls if call.stand is not None}
        ours = listeners.put(sorted(stands, key=lambda stand: stand.patience))
        with contextlib.ExitStack() as closing:
            callers = [
                closing.enter_context(
                    _Caller(
                        call,
                        b"%s-%d" % (mark, number),
                        selector,
                        Refusals(within),
                        ours=bool(call.stand and ours[call.stand]),
                    )
                )
                for number, call in enumerate(calls)
            ]
            _serve(selector, callers, time.monotonic() + within)
        for caller in callers:
            caller.answer.arrived = caller.mark in listeners.heard
        return [caller.answer for caller in callers]


def _serve(selector: selectors.BaseSelector, callers: Sequence[_Caller], deadline: float) -> None:
    while (now := time.monotonic()) < deadline:
        waiting = [caller for caller in callers if not caller.settled]
        if not waiting:
            return
        for caller in waiting:
            caller.try_where_due(now)
        soonest = min(caller.due for caller in waiting)
        for key, _ in selector.select(max(0.0, min(soonest, deadline) - now)):
            key.data()


class _Caller:
    """One call, with as many tries as it needs. Each caller has a mark of its own."""

    def __init__(
        self,
        call: Call,
        mark: bytes,
        selector: selectors.BaseSelector,
        refusals: Refusals,
        *,
        ours: bool,
    ) -> None:
        self.answer = Answer(ours=ours)
        self.mark = mark
        self.due = 0.0
        self.settled = False
        self._call = call
        self._selector = selector
        self._refusals = refusals
        self._tries: dict[socket.socket, bytes] = {}

    def __enter__(self) -> _Caller:
        return self

    def __exit__(self, *_: object) -> None:
        for one in list(self._tries):
            self._drop(one)

    def try_where_due(self, now: float) -> None:
        """Start another try, or, in UDP, send again."""
        if now < self.due:
            return
        if self._refusals.are_final:
            self.settled = True
            return
        self.due = now + _TRY_BESIDE
        with entered(self._call.source):
            kind = socket.SOCK_DGRAM if self._call.protocol == "udp" else socket.SOCK_STREAM
            family = _FAMILIES[6 if ":" in self._call.address else 4]
            one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        self._tries[one] = b""
        code = one.connect_ex((self._call.address, self._call.port))
        local = one.getsockname()[0]
        if local not in _UNSPECIFIED:
            self.answer.local = local
        self.answer.no_route = code == errno.ENETUNREACH
        if code not in (0, errno.EINPROGRESS):
            self._refused(one, OSError(code, os.strerror(code)))
        elif kind == socket.SOCK_DGRAM:
            self._connected(one)
        else:
            self._selector.register(one, selectors.EVENT_WRITE, lambda: self._connected(one))

    def _connected(self, one: socket.socket) -> None:
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            if code:
                raise OSError(code, os.strerror(code))
            one.send(self._question())
        except OSError as error:
            self._refused(one, error)
            return
        if self._call.protocol == "tcp" and not self.answer.ours:
            self._settle()  # what a stranger's server would say is not known
            return
        if one in self._selector.get_map():
            self._selector.unregister(one)
        self._selector.register(one, selectors.EVENT_READ, lambda: self._readable(one))

    def _question(self) -> bytes:
        if self._call.protocol != "http":
            return self.mark + b"\n"
        name = self._call.address
        host = f"[{name}]" if ":" in name else name
        return (
            f"GET / HTTP/1.0\r\nHost: {host}:{self._call.port}\r\nUser-Agent: pynet\r\n"
            f"X-Pynet: {self.mark.decode()}\r\n\r\n"
        ).encode()

    def _readable(self, one: socket.socket) -> None:
        try:
            data = one.recv(_RECEIVE)
        except OSError as error:
            self._refused(one, error)
            return
        so_far = self._tries[one] = self._tries[one] + data
        try:
            whole = self._take(so_far, ended=not data)
        except ValueError as error:
            self._refused(one, OSError(errno.EPROTO, str(error)))
            return
        if whole:
            self._settle()

    def _take(self, data: bytes, *, ended: bool) -> bool:
        """Whether `data` is a whole answer. Raises ValueError for one that can't become one."""
        if self._call.protocol == "http":
            return self._take_page(data, ended=ended)
        if not self.answer.ours:
            return self._call.protocol == "udp" or bool(data)
        if not data.endswith(b"\n"):
            if ended:
                raise ValueError("the connection was closed without an answer")
            return False
        seen, _, mark = data.decode(errors="replace").strip().partition(" ")
        if mark != backwards(self.mark).decode():
            raise ValueError("somebody else answered")
        self.answer.seen = seen
        return True

    def _take_page(self, data: bytes, *, ended: bool) -> bool:
        head, blank, body = data.partition(b"\r\n\r\n")
        length = _content_length(head)
        if not ended and (not blank or length is None or len(body) < length):
            return False
        words = head.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise ValueError("what came back is not HTTP" if data else "it hung up")
        if self.answer.ours and backwards(self.mark) not in head:
            raise ValueError("somebody else answered")
        self.answer.status = int(words[1])
        self.answer.body = body.decode(errors="replace")
        if self.answer.ours:
            self.answer.seen = self.answer.body.strip()
        return True

    def _settle(self) -> None:
        self.answer.answered = self.settled = True
        self.answer.said = ""

    def _refused(self, one: socket.socket, error: OSError) -> None:
        self._drop(one)
        if not self.answer.answered:
            self.answer.said = error.strerror or str(error)
        self._refusals.note(error.errno or 0)
        if not self._call.hopeful:
            self.settled = True
        self.due = min(self.due, time.monotonic() + _TRY_AGAIN)

    def _drop(self, one: socket.socket) -> None:
        self._tries.pop(one, None)
        if one in self._selector.get_map():
            self._selector.unregister(one)
        one.close()


def _content_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, text = line.partition(b":")
        if name.strip().lower() == b"content-length" and text.strip().isdigit():
            return int(text)
    return None
