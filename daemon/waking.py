"""What ends a wait in `poll`: a word from any thread, or a signal, whenever it comes.

A signal's handler is Python's, which runs it in the main thread, between two of its steps. So one
that comes just before the wait, or to another thread, ends no wait by itself: the interpreter
writes for it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress


class Waker:
    """To be polled for input, as the descriptor it stands for."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self._reading

    def wake(self) -> None:
        """From any thread: whoever polls goes on, now or when it comes to it."""
        with suppress(BlockingIOError):  # it is full of such words
            os.write(self._writing, b"\0")

    def clear(self) -> None:
        """All that was said is heard."""
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)

    def hear(self, stop: Callable[[], None]) -> None:
        """SIGTERM and SIGINT wake it, and call `stop`. To be asked for by the main thread."""
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())
