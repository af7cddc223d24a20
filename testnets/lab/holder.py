"""The processes that keep a lab: its holder, pid 1 of a pid namespace, and one for each host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from select import POLLIN, poll
from typing import TypeVar

from . import syscalls
from .births import Birth, Born, detach, orphans, pid_of
from .forked import Forked, LabError
from .mounts import private_host, private_lab

T = TypeVar("T")

_STAY = b"s"
_RESTRICTIONS = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/user/max_user_namespaces": "0",
}


class Holder:
    """A user (unless root makes it), net, mount and pid namespace, and the process that owns them.

    It ends, and all in it with it, when it is killed, when `close` is called, or when the
    process that made it ends in whatever way (the kernel then closes the other end of its pipe),
    unless it was told to `stay`.
    """

    def __init__(self) -> None:
        self._user = _own_user()
        orders, self._control = os.pipe()
        birth = Birth()
        self._waiter = syscalls.fork(lambda: _start_holder(self._user, orders, birth))
        os.close(orders)
        try:
            self._pidfd, self.pid, _ = birth.hear()
        except LabError as error:
            self._end_waiter()
            raise LabError(_why_not(str(error))) from None

    @classmethod
    def attached(cls, pidfd: int) -> Holder:
        """The holder that another process of this user has made; nobody's end ends it."""
        holder = cls.__new__(cls)
        holder._user, holder._pidfd, holder._waiter, holder._control = _own_user(), pidfd, 0, -1
        holder.pid = pid_of(pidfd)
        return holder

    def close(self) -> None:
        """End it all; when this returns no process of it is left."""
        # The pipe alone won't do: children that were forked meanwhile hold its end too.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        ended = poll()
        ended.register(self._pidfd, POLLIN)
        ended.poll()
        self._end_waiter()
        os.close(self._pidfd)

    def stay(self) -> None:
        """From now on its maker's end is not its own."""
        os.write(self._control, _STAY)

    def leave(self) -> None:
        """Forget it; it lives on where it was told to stay."""
        if self._control >= 0:
            os.close(self._control)
        os.close(self._pidfd)

    def enter(self, pidfd: int, namespaces: int) -> None:
        """Join a process of this holder: `namespaces`, the user's, and for children the pids'."""
        syscalls.setns(pidfd, namespaces | syscalls.CLONE_NEWPID | self._user)

    def call(self, work: Callable[[], T], enter: Callable[[], None]) -> T:
        """The result of `work()` in a fork that `enter` brings to where it belongs in the lab.

        The fork is born in the lab's pid namespace, which costs half of what it takes to get there;
        but for who is no root: he can enter the lab's user namespace, and not come back from it.
        """
        with Forked(work, enter, self._birth()) as forked:
            return forked.wait()

    def _birth(self) -> AbstractContextManager[None] | None:
        return None if self._user else syscalls.children_beside(self._pidfd)

    def enter_lab(self) -> None:
        """Join the holder itself: the mounts and the network that no host has."""
        self.enter(self._pidfd, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)

    def keep_hosts(self, names: Sequence[str]) -> list[Born]:
        """Start fake hosts' processes, all at once. Raises `LabError`."""
        works = [partial(_be_host, name) for name in names]
        kept = orphans(self.enter_lab, works, self._birth())
        for name, born in zip(names, kept, strict=True):
            if isinstance(born, LabError):
                raise LabError(f"host {name!r} could not be made: {born}")
        return [born for born in kept if isinstance(born, Born)]

    def _end_waiter(self) -> None:
        if self._control >= 0:
            os.close(self._control)
        if self._waiter:
            os.waitpid(self._waiter, 0)


def _own_user() -> int:
    return syscalls.CLONE_NEWUSER if os.geteuid() != 0 else 0


def _start_holder(user: int, orders: int, birth: Birth) -> None:
    with birth.errors():
        own_namespaces(user, syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        holder = syscalls.fork(lambda: _be_holder(orders, birth))
    detach()
    syscalls.end_like(holder)


def own_namespaces(user: int, kinds: int) -> None:
    """`unshare`, and with `user` a user namespace in which this user is root. Raises `OSError`."""
    owner, group = os.geteuid(), os.getegid()
    syscalls.unshare(user | kinds)
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {owner} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _be_holder(orders: int, birth: Birth) -> None:
    with birth.errors():
        syscalls.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans leave no zombies
        private_lab()
        syscalls.loopback_up()
        birth.ready()
    detach(orders)
    while os.read(0, 1) == _STAY:
        wait_for_ever()


def _be_host(name: str, birth: Birth) -> None:
    with birth.errors():
        syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
        socket.sethostname(name)
        private_host()
        syscalls.loopback_up()
        # A new namespace copies the machine's own setting, which may be on.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        birth.ready()
    detach()
    wait_for_ever()


def wait_for_ever() -> None:
    while True:
        signal.pause()


def _why_not(error: str) -> str:
    """The refusal, with the setting of this machine that explains it."""
    for path, forbidding in _RESTRICTIONS.items():
        with contextlib.suppress(OSError):
            if os.geteuid() != 0 and Path(path).read_text().strip() == forbidding:
                key = path.removeprefix("/proc/sys/").replace("/", ".")
                return f"no lab without root here: {key} = {forbidding} forbids it ({error})"
    return f"no lab could be made: {error}"
