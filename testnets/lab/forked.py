"""A function in a fork of this process: its result, its exception, or the signal it died by."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from . import syscalls

T = TypeVar("T")


class LabError(Exception):
    """A lab could not be made, or something in it went another way than by an exception."""


class DiedBySignal(LabError):
    """The forked function was killed; `signal` is the number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the forked function died by {signal.Signals(number).name}")
        self.signal = number


class Forked(Generic[T]):
    """`work()` running in another pid namespace, entered by `enter()`, which has to be done twice.

    One's own pid namespace never changes, so a first child enters and waits for a second one.
    As a context manager it leaves neither behind: one that was not waited for is ended.
    """

    def __init__(self, work: Callable[[], T], enter: Callable[[], None]) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the child prints it once more
        self._is_over = False
        self._answer, answer_write = os.pipe()
        self.pid = syscalls.fork(lambda: _relay(work, enter, answer_write))
        os.close(answer_write)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the function a signal."""
        os.kill(self.pid, syscalls.KILL if number == signal.SIGKILL else number)

    def __enter__(self) -> Forked[T]:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_over:
            self.end()

    def end(self) -> None:
        """Kill it, whatever it is doing, and forget its result."""
        self._is_over = True
        self.kill()
        os.close(self._answer)
        os.waitpid(self.pid, 0)

    def wait(self) -> T:
        """Its result. Raises what it raised, `DiedBySignal`, or `LabError` where it just left."""
        self._is_over = True
        with os.fdopen(self._answer, "rb") as answer:
            data = answer.read()
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)  # KILL itself, where it came before it could be passed on
            raise DiedBySignal(signal.SIGKILL if number == syscalls.KILL else number)
        if not data:
            raise LabError(
                f"the forked function left with status {os.waitstatus_to_exitcode(status)}"
            )
        good, value = pickle.loads(data)
        if not good:
            raise value
        result: T = value
        return result


def _relay(work: Callable[[], Any], enter: Callable[[], None], answer: int) -> None:
    syscalls.die_with_parent()
    try:
        enter()
        syscalls.die_with_parent()
        syscalls.fork_and_stand_in()
    except Exception as error:
        _send(answer, False, error)
        return
    _answer_with(work, answer)


def _answer_with(work: Callable[[], Any], answer: int) -> None:
    syscalls.die_with_parent()
    try:
        good, value = True, work()
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        good, value = False, error
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    _send(answer, good, value)


def _send(answer: int, good: bool, value: object) -> None:
    try:
        data = pickle.dumps((good, value))
        pickle.loads(data)
    except Exception as error:
        data = pickle.dumps((False, LabError(f"{value!r} does not come out of a fork: {error}")))
    with os.fdopen(answer, "wb") as pipe:
        pipe.write(data)
