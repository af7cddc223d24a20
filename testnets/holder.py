"""The processes that keep a lab: its holder, pid 1 of a pid namespace, and one for each host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

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
        birth = _Birth()
        self._waiter = syscalls.fork(lambda: _start_holder(self._user, orders, birth))
        os.close(orders)
        try:
            self._pidfd, self.pid, _ = birth.hear()
        except LabError as error:
            self._end_waiter()
            raise LabError(_why_not(str(error))) from None

    def close(self) -> None:
        """End it all; when this returns no process of it is left."""
        # The pipe alone won't do: children that were forked meanwhile hold its end too.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._end_waiter()
        os.close(self._pidfd)

    def enter(self, pidfd: int, namespaces: int) -> None:
        """Join a process of this holder: `namespaces`, the user's, and for children the pids'."""
        syscalls.setns(pidfd, namespaces | syscalls.CLONE_NEWPID | self._user)

    def keep_host(self, name: str) -> tuple[int, int, int]:
        """Start a fake host's process: its pidfd, its pid for us, and its pid in the lab."""
        birth = _Birth()
        starter = syscalls.fork(lambda: self._start_host(name, birth))
        try:
            return birth.hear()
        except LabError as error:
            raise LabError(f"host {name!r} could not be made: {error}") from None
        finally:
            os.waitpid(starter, 0)

    def _start_host(self, name: str, birth: _Birth) -> None:
        with birth.errors():
            self.enter(self._pidfd, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
        # An orphan is adopted by the pid 1 of its parent's namespace, so a parent inside is
        # needed, which leaves at once: a host is a child of the holder.
        parent = syscalls.fork(lambda: syscalls.fork(lambda: _be_host(name, birth)))
        os.waitpid(parent, 0)

    def _end_waiter(self) -> None:
        os.close(self._control)
        os.waitpid(self._waiter, 0)


class _Birth:
    """How a process under way tells its maker that it is ready, or why it will never be."""

    def __init__(self) -> None:
        self._maker, self._child = socket.socketpair()

    def hear(self) -> tuple[int, int, int]:
        """The new process's pidfd, its pid for us and for itself. Raises `LabError`."""
        self._child.close()
        with self._maker:
            said, descriptors, _, _ = socket.recv_fds(self._maker, 4096, 1)
        if not descriptors:
            raise LabError(said.decode() or "it died")
        about = Path(f"/proc/self/fdinfo/{descriptors[0]}").read_text()
        pid = next(line.split()[1] for line in about.splitlines() if line.startswith("Pid:"))
        return descriptors[0], int(pid), int(said)

    def ready(self) -> None:
        """Send this process's own descriptor: its pid is another number to its maker."""
        pidfd = os.pidfd_open(os.getpid())
        socket.send_fds(self._child, [str(os.getpid()).encode()], [pidfd])

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Send what is raised inside, and end this process."""
        try:
            yield
        except Exception as error:
            self._child.send(str(error).encode())
            os._exit(1)


def _start_holder(user: int, orders: int, birth: _Birth) -> None:
    with birth.errors():
        owner, group = os.geteuid(), os.getegid()
        syscalls.unshare(
            user | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID
        )
        if user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {owner} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        holder = syscalls.fork(lambda: _be_holder(orders, birth))
    _detach()
    syscalls.end_like(holder)


def _be_holder(orders: int, birth: _Birth) -> None:
    with birth.errors():
        syscalls.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans leave no zombies
        private_lab()
        syscalls.loopback_up()
        birth.ready()
    _detach(orders)
    os.read(0, 1)


def _be_host(name: str, birth: _Birth) -> None:
    with birth.errors():
        syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
        socket.sethostname(name)
        private_host()
        syscalls.loopback_up()
        # A new namespace copies the machine's own setting, which may be on.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        birth.ready()
    _detach()
    while True:
        signal.pause()


def _detach(stdin: int | None = None) -> None:
    """Leave the maker's terminal and its files (but `stdin`): somebody may wait for their end."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for source, standard in ((null if stdin is None else stdin, 0), (null, 1), (null, 2)):
        os.dup2(source, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _why_not(error: str) -> str:
    """The refusal, with the setting of this machine that explains it."""
    for path, forbidding in _RESTRICTIONS.items():
        with contextlib.suppress(OSError):
            if os.geteuid() != 0 and Path(path).read_text().strip() == forbidding:
                key = path.removeprefix("/proc/sys/").replace("/", ".")
                return f"no lab without root here: {key} = {forbidding} forbids it ({error})"
    return f"no lab could be made: {error}"
