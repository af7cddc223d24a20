"""Which processes a lab consists of."""

from __future__ import annotations

import contextlib
from pathlib import Path


def lab_processes(holder: int) -> set[int]:
    """The pids, as we see them, of all processes in the lab's pid namespace."""
    namespace = Path(f"/proc/{holder}/ns/pid").readlink()
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "ns/pid").readlink() == namespace:
                found.add(int(path.name))
    return found
