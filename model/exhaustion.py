"""Which errors say that this process, or its machine, has run out of something.

Descriptors, memory, threads, processes: such an error is no answer to what was asked. What can't be
opened for want of a descriptor may well be there. Who takes OSError for an answer lets this kind
through.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAGAIN, EMFILE, ENFILE, ENOMEM

from .errors import Exhausted

_ERRNOS = frozenset({EMFILE, ENFILE, ENOMEM})
_SQLITE = frozenset({7, 14})
"""SQLITE_NOMEM, and SQLITE_CANTOPEN: why, SQLite does not tell."""


def is_exhaustion(error: BaseException) -> bool:
    """Whether that is what `error`, one of its members, or what led to it says."""
    return any(map(_says_so, _behind(error)))


def of_fork(error: OSError, what: str) -> Exhausted | None:
    """The error that says why `what` can't be started, where no process can be; else None."""
    if error.errno != EAGAIN and not is_exhaustion(error):
        return None
    return Exhausted(f"{what} can't be started: {error.strerror}; {RAISE}")


RAISE = (
    "raise the limit that is reached (open files, memory, tasks: `ulimit -a`, `systemctl show`), "
    "or try again later"
)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError | Exhausted):
        return True
    if getattr(error, "errno", 0) in _ERRNOS:
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE
