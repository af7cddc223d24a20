"""Control groups of a fake host's own: below one group of the machine's, removed afterwards.

The control groups are the one thing that a lab shares with its machine, and a runtime makes some
for each container. Where a host has a group of ours in the place of each hierarchy,
that is all it can see.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pynet.testnets.lab.lab import Host

_PATIENCE = 10.0
"""Seconds until the kernel has let go of the groups of processes that are dead."""


def hierarchies() -> list[Path]:
    """Where the machine's are mounted: one with cgroup 2, one for each controller before it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(fields[1]) for fields in mounts if fields[2] in ("cgroup", "cgroup2")]


@contextmanager
def own_groups(name: str) -> Iterator[list[Path]]:
    """A group of that name in each hierarchy. All below must have ended when the block does."""
    groups = [hierarchy / name for hierarchy in hierarchies()]
    try:
        for group in groups:
            group.mkdir()
            _inherit(group)
        yield groups
    finally:
        for group in groups:
            _remove(group)


def confine(host: Host, groups: list[Path]) -> None:
    """Mount `groups` in the host as if they were whole hierarchies.

    What was mounted there goes first: hidden under ours, runc would still find it, and look for
    its own group below the wrong root.
    """
    root = "/sys/fs/cgroup"
    lines = []
    for number, group in enumerate(groups):
        lines += [f"mkdir -p /run/groups/{number}", f"mount --bind {group} /run/groups/{number}"]
    lines += ["while umount --recursive --lazy /sys 2>/dev/null; do :; done"]
    lines += ["mount -t sysfs sysfs /sys"]
    if Path(root) not in {group.parent for group in groups}:
        lines += [f"mount -t tmpfs tmpfs {root}"]
    for number, group in enumerate(groups):
        lines += [f"mkdir -p {group.parent}", f"mount --move /run/groups/{number} {group.parent}"]
    host.run(["sh", "-ec", "\n".join(lines)])


def _inherit(group: Path) -> None:
    """A new group of the controller cpuset has neither processors nor memory: nothing starts."""
    for key in ("cpuset.cpus", "cpuset.mems"):
        inherited = group.parent / key
        if inherited.exists():
            (group / key).write_text(inherited.read_text())


def _remove(group: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while group.exists():
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
