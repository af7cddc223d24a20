"""A process of ours left behind: a session and descriptors of its own, and nobody waits for it.

Every descriptor is closed: a runtime reads our pipes until nobody holds them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from ..kernel import threads
from ..model.errors import Exhausted

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "PYTHONPATH")


class Left:
    """Its parent is this process; it is not to become a zombie where that lives on."""

    def __init__(self, module: str, flags: Sequence[str]) -> None:
        """`python -m MODULE FLAGS`. Raises OSError."""
        isolated = "-I" if sys.flags.isolated else "-P"
        environ = {key: os.environ[key] for key in _KEPT if key in os.environ}
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)]
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited()]
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, isolated, "-m", module, *flags],
                environ,
                file_actions=actions,
                setsid=True,
            )
        finally:
            os.close(null)
        self._status: int | None = None

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # whoever we are in has children of its own, and waits
                return None
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def let_go(self) -> None:
        """Somebody waits for its end, for as long as this process lives."""
        if self.status() is None:
            with suppress(Exhausted):  # then it is a zombie until this process ends
                threads.start(self._wait)

    def _wait(self) -> None:
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _inherited() -> list[int]:
    """The open descriptors but for stdin, stdout and stderr that an exec would pass on."""
    passed_on = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        fd = int(name)
        try:
            if fd > 2 and os.get_inheritable(fd):
                passed_on.append(fd)
        except OSError:
            continue  # the descriptor that listed them
    return passed_on
