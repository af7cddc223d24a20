"""What kind of descriptor a caller sent, and where this process itself stands.

Nothing is asked of a descriptor before it is known to be of nsfs: an ioctl means
something else to every other kind of file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

from ..kernel.namespaces import CLONE_NEWNET, open_namespace
from ..model.errors import NamespaceError

NS_GET_NSTYPE = 0xB703  # _IO(NSIO, 3), linux/nsfs.h
CLONE_NEWNS = 0x00020000  # linux/sched.h
CLONE_NEWUSER = 0x10000000

NETWORK, MOUNTS, USERS = CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER

Identity = tuple[int, int]
"""Device and inode: they tell two files apart as long as both are open."""


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Standing:
    """The namespaces of this process and the state directory it serves."""

    nsfs: int
    mounts: Identity
    users: Identity
    state: Identity
    uid: int

    def namespace(self, fd: int, kind: int) -> Identity | None:
        """Which namespace `fd` is; None where it is none of `kind`. Raises OSError."""
        status = os.fstat(fd)
        if status.st_dev != self.nsfs or ioctl(fd, NS_GET_NSTYPE) != kind:
            return None
        return _identity(status)

    def is_state(self, fd: int) -> bool:
        """Whether `fd` is the state directory. Raises OSError."""
        return _identity(os.fstat(fd)) == self.state


def standing(state: Path) -> Standing:
    """Of this process; `state` must be there. Raises OSError."""
    users = Path("/proc/self/ns/user").stat()
    return Standing(
        nsfs=users.st_dev,
        mounts=_identity(Path("/proc/self/ns/mnt").stat()),
        users=_identity(users),
        state=_identity(state.stat()),
        uid=os.geteuid(),
    )


def open_sandbox(path: str) -> int | None:
    """CNI_NETNS, opened; None where it can't be, or is no network namespace."""
    try:
        return open_namespace(path) if path else None
    except (OSError, ValueError, NamespaceError):
        return None
