"""Points at which a test may have this process killed; nothing at all otherwise.

A run is killed with SIGKILL at the n-th point it passes, so that a test can try every n
until one run gets through. Armed from within the process (a forked child), or for a cold
executable by PYNET_FAULT=n in the environment the process was itself started with: a
request's environment never gets here.
"""

from __future__ import annotations

import os
import signal
import threading

_left: int | None = int(os.environ.get("PYNET_FAULT", "0") or 0) or None


def arm(count: int) -> None:
    """Kill this process when it passes its `count`-th point from now, counting from 1."""
    global _left
    _left = count


def pass_by() -> None:
    """This thread's points don't count: a daemon does of itself what no test has asked for."""
    _aside.thread = True


_aside = threading.local()


def point() -> None:
    """One place between two effects: of every state on either side, recovery must be able."""
    global _left
    if _left is None or getattr(_aside, "thread", False):
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
