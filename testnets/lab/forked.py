"""A function in a fork of this process: its result, its exception, or the signal it died by."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
    """`work()` running in a fork of this process, in the namespaces that `enter()` moves it into.

    `birth` is where what is forked is born in the pid namespace it is to have. Without one `enter`
    has that for its children, as one's own never changes: the fork waits for another one, which
    does the work. With one it is to be waited for, or ended, before its pid namespace can end.
    As a context manager it leaves nothing behind: one that was not waited for is ended.
    Raises OSError where nothing can be forked there.
    """

    def __init__(
        self,
        work: Callable[[], T],
        enter: Callable[[], None] | None = None,
        birth: AbstractContextManager[None] | None = None,
    ) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the child prints it once more
        self._is_over = False
        self._is_relayed = enter is not None and birth is None
        self._answer, answer_write = os.pipe()
        try:
            with birth or nullcontext():
                self.pid = syscalls.fork(lambda: self._begin(work, enter, answer_write))
        except BaseException:
            os.close(self._answer)
            raise
        finally:
            os.close(answer_write)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the function a signal."""
        passed_on = self._is_relayed and number == signal.SIGKILL
        os.kill(self.pid, syscalls.KILL if passed_on else number)

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

    def _begin(self, work: Callable[[], T], enter: Callable[[], None] | None, answer: int) -> None:
        syscalls.die_with_parent()
        try:
            if enter is not None:
                enter()
                syscalls.die_with_parent()
            if self._is_relayed:
                syscalls.fork_and_stand_in()
        except Exception as error:
            _send(answer, False, error)
            return
        _answer_with(work, answer)

    def wait(self) -> T:
        """Its result. Raises what it raised, `DiedBySignal`, or `LabError` where it just left."""
        with open(self._answer, "rb", closefd=False) as answer:
            data = answer.read()
        _, status = os.waitpid(self.pid, 0)
        self._is_over = True
        os.close(self._answer)
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
