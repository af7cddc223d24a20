"""The processes that keep a lab: its holder, pid 1 of a pid namespace, and one for each host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from . import syscalls
from .forked import LabError
from .mounts import private_host, private_lab

_RESTRICTIONS = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/user/max_user_namespaces": "0",
}


class Holder:
    """A new user (with `user` set), net, mount and pid namespace, and the process that owns them.

    It ends, and all in it with it, when it is killed, when `close` is called, or when the
    process that made it ends in whatever way (the kernel then closes the other end of its pipe).
    """

    def __init__(self, user: bool) -> None:
        self._user = syscalls.CLONE_NEWUSER if user else 0
        orders, self._control = os.pipe()
        report = _Report()
        self._waiter = syscalls.fork(lambda: _start_holder(self._user, orders, report))
        os.close(orders)
        told = report.read()
        if "ready" not in told:
            self._end_waiter()
            raise LabError(_why_not(told.get("error", "its holder died")))
        self.pid = int(told["pid"])
        self._pidfd = os.pidfd_open(self.pid)

    def close(self) -> None:
        """End it all; when this returns no process of it is left."""
        self._end_waiter()
        os.close(self._pidfd)

    def enter(self, pidfd: int, namespaces: int) -> None:
        """Join a process of this holder: `namespaces`, the user's, and for children the pids'."""
        syscalls.setns(pidfd, namespaces | syscalls.CLONE_NEWPID | self._user)

    def keep_host(self, name: str) -> tuple[int, int]:
        """Start a fake host's process: its pid for us, and in the holder's pid namespace."""
        report = _Report()
        starter = syscalls.fork(lambda: self._start_host(name, report))
        told = report.read()
        os.waitpid(starter, 0)
        if "ready" not in told:
            raise LabError(f"host {name!r} could not be made: {told.get('error', 'it died')}")
        return int(told["pid"]), int(told["ready"])

    def _start_host(self, name: str, report: _Report) -> None:
        self.enter(self._pidfd, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
        # Whoever forked it leaves at once, so the holder becomes its parent.
        report.write("pid", syscalls.fork(lambda: _be_host(name, report)))

    def _end_waiter(self) -> None:
        os.close(self._control)
        os.waitpid(self._waiter, 0)


class _Report:
    """A pipe of lines, "key value", read to its end: until every writer has closed or died."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()

    def write(self, key: str, value: object) -> None:
        os.write(self.descriptor, f"{key} {value}\n".encode())

    def read(self) -> dict[str, str]:
        os.close(self.descriptor)
        with open(self._read, encoding="utf-8", errors="replace") as lines:
            return dict(line.rstrip("\n").split(" ", 1) for line in lines)

    @contextlib.contextmanager
    def errors(self):  # type: ignore[no-untyped-def]
        try:
            yield
        except Exception as error:
            self.write("error", str(error).replace("\n", " "))
            os._exit(1)


def _start_holder(user: int, orders: int, report: _Report) -> None:
    with report.errors():
        owner, group = os.geteuid(), os.getegid()
        syscalls.unshare(
            user | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID
        )
        if user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {owner} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        holder = syscalls.fork(lambda: _be_holder(orders, report))
        report.write("pid", holder)
    _detach(keep=())
    syscalls.end_like(holder)


def _be_holder(orders: int, report: _Report) -> None:
    with report.errors():
        syscalls.die_with_parent()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)  # which pid 1 never gets from its children
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans leave no zombies
        private_lab()
        syscalls.loopback_up()
        report.write("ready", os.getpid())
    _detach(keep=(orders,))
    os.read(orders, 1)


def _be_host(name: str, report: _Report) -> None:
    with report.errors():
        syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
        socket.sethostname(name)
        private_host()
        syscalls.loopback_up()
        # A new namespace copies the machine's own setting, which may be on.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        report.write("ready", os.getpid())
    _detach(keep=())
    while True:
        signal.pause()


def _detach(keep: tuple[int, ...]) -> None:
    """Hold on to none of the maker's files: somebody may wait for their end."""
    os.setsid() if os.getpid() != os.getsid(0) else None
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    first = 3
    for kept in sorted(keep):
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _why_not(error: str) -> str:
    """The refusal, with the setting of this machine that explains it."""
    for path, forbidding in _RESTRICTIONS.items():
        with contextlib.suppress(OSError):
            if os.geteuid() != 0 and Path(path).read_text().strip() == forbidding:
                key = path.removeprefix("/proc/sys/").replace("/", ".")
                return f"no lab without root here: {key} = {forbidding} forbids it ({error})"
    return f"no lab could be made: {error}"
