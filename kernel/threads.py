"""Threads that nobody joins, and the error where none can be started.

Not `threading.Thread`: its `start` waits until the thread tells that it runs, and one that gets no
memory never does.
"""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from collections.abc import Callable

from ..model.errors import Exhausted
from ..model.exhaustion import RAISE


def start(work: Callable[[], object]) -> None:
    """`work`, in a thread that ends with the process if not before. Raises `Exhausted`."""
    try:
        start_new_thread(work, ())
    except (RuntimeError, MemoryError) as error:
        raise Exhausted(f"no thread can be started; {RAISE}") from error


def run(work: Callable[[], None]) -> None:
    """The same, waited for; what it raises is raised here, without its frames. Raises `Exhausted`.

    For what changes the thread it runs in for good. Its frames hold what belongs to that thread.
    """
    failures: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def visit() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error.with_traceback(None))
        finally:
            done.release()

    start(visit)
    done.acquire()
    if failures:
        raise failures[0]
