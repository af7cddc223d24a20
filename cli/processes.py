"""The processes that pynet leaves behind, found by how they were started, where no socket tells."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from ..store.location import ROOTS


def serving(module: str, state: Path) -> list[int]:
    """The pids of who runs `python -m MODULE` for that state directory, as far as can be seen here.

    Of one whose socket is not where it would be looked for, or has been moved away.
    """
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _serves(process, module, state)
    ]


def _serves(process: Path, module: str, state: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        if os.fsencode(module) not in words[1:4]:
            return False
        told = dict(pairwise(words)).get(b"--state")
        if not told:
            environ = (process / "environ").read_bytes().split(b"\0")
            settings = dict(each.partition(b"=")[::2] for each in environ)
            told = settings.get(b"PYNET_STATE_DIR") or os.fsencode(ROOTS)
        here = (process / "ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return False  # it has ended, or is another user's
    return here and Path(os.fsdecode(told)) == state


def remedy(pid: int) -> str:
    """What helps against one that hangs."""
    who = pid or "PID"
    return (
        f"`kill -CONT {who}` if it was stopped, else end it: `kill -9 {who}`;"
        " the next plugin that needs one leaves another behind"
    )
