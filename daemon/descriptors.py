"""What kind of descriptor a caller sent, and where this process itself stands.

Nothing is asked of a descriptor before it is known to be of nsfs: an ioctl means
something else to every other kind of file.
"""

from __future__ import annotations

import os
from fcntl import ioctl
from pathlib import Path

from ..kernel import roots
from ..kernel.namespaces import CLONE_NEWNET, open_namespace
from ..kernel.roots import CLONE_NEWNS, OWN, Root
from ..model.errors import Declined, Exhausted, NamespaceError
from ..model.exhaustion import RAISE, is_exhaustion
from ..model.value import Value

NS_GET_NSTYPE = 0xB703  # _IO(NSIO, 3), linux/nsfs.h
CLONE_NEWUSER = 0x10000000  # linux/sched.h

NETWORK, MOUNTS, USERS = CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER

Identity = tuple[int, int]
"""Device and inode: they tell two files apart as long as both are open."""


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


class Standing(Value):
    """The namespaces of this process, its root and the state directory it serves."""

    nsfs: int
    mounts: Identity
    users: Identity
    root: roots.Identity | None
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

    def root_of(self, mounts: int, directory: int) -> Root:
        """The root of a caller that sent these two. Raises `Declined`, OSError."""
        there = self.namespace(mounts, MOUNTS)
        if there is None:
            raise Declined("the second descriptor is no mount namespace")
        where = roots.identity(directory)
        if there == self.mounts and where is not None and where == self.root:
            return OWN
        # Whether it needs a path, or a program, shows only under way: too late to decline.
        if not roots.can_be_entered():
            raise Declined(
                "the caller has another root directory or mount namespace, and this daemon may not"
                " enter it (openat2, CAP_SYS_ADMIN and CAP_SYS_CHROOT are needed)"
            )
        if there == self.mounts:
            return Root(directory)
        self._check_owner(mounts)
        return Root(directory, mounts)

    def _check_owner(self, mounts: int) -> None:
        """Raises `Declined`, OSError."""
        try:
            owner = roots.owner(mounts)
        except PermissionError:
            owner = -1  # none that this process may know of
        try:
            if owner < 0 or self.namespace(owner, USERS) != self.users:
                raise Declined("the caller's mount namespace belongs to another user namespace")
        finally:
            if owner >= 0:
                os.close(owner)


def standing(state: Path) -> Standing:
    """Of this process; `state` must be there. Raises OSError."""
    users = Path("/proc/self/ns/user").stat()
    return Standing(
        nsfs=users.st_dev,
        mounts=_identity(Path("/proc/self/ns/mnt").stat()),
        users=_identity(users),
        root=roots.own_identity(),
        state=_identity(state.stat()),
        uid=os.geteuid(),
    )


def open_sandbox(path: str) -> int | None:
    """CNI_NETNS, opened; None where it can't be, or is no network namespace. Raises `Exhausted`."""
    try:
        return open_namespace(path) if path else None
    except (OSError, ValueError, NamespaceError) as error:
        if is_exhaustion(error):
            raise Exhausted(f"{path} can't be opened: {error}; {RAISE}") from error
        return None
