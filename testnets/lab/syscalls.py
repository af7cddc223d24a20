"""The system calls a lab is made of: namespaces, mounts, and a child that dies with its parent."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

KILL = signal.SIGRTMIN
_PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces in `flags` for new ones. Raises `OSError`."""
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(fd: int, flags: int) -> None:
    """Enter the namespaces in `flags`, those of a process or one, by `fd`. Raises `OSError`."""
    _check(_libc.setns(fd, flags), f"setns({flags:#x})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """`mount -t KIND SOURCE TARGET`. Raises `OSError`."""
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(done, f"mount {source} on {target}")


def unmount(target: str) -> None:
    """`umount --lazy TARGET`. Raises `OSError`."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


@contextmanager
def children_beside(pidfd: int) -> Iterator[None]:
    """What this thread forks meanwhile is in the pid namespace of the process `pidfd`.

    For root of a user namespace that is its and this process's. Raises `OSError`.
    """
    own = os.pidfd_open(os.getpid())
    try:
        setns(pidfd, CLONE_NEWPID)
        try:
            yield
        finally:
            setns(own, CLONE_NEWPID)
    finally:
        os.close(own)


def die_with_parent() -> None:
    """Be killed when the parent dies. A change of credentials undoes it: call it last."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def loopback_up() -> None:
    """`ip link set lo up`, in the namespace of the caller."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def end_like(pid: int) -> NoReturn:
    """Wait for the child `pid`, and end this process with its status, or by its signal."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def fork_and_stand_in(spared: Collection[signal.Signals] = ()) -> None:
    """Fork, and return in the child alone. This process passes on to it what it is sent, but the
    signals `spared`, holds none of its files, and ends as it does.

    KILL is passed on as SIGKILL. Killed itself, this process would leave the child, though it
    dies too, to be reaped by the machine's init, and a pid namespace ends only after that.
    """
    passed = {number: number for number in _PASSED_ON} | {KILL: signal.SIGKILL}
    # Not by handlers: Python runs those between two steps, and of a signal that comes just before
    # the wait for the child begins they would hear when that is over. And before there is a child,
    # which may be heard of, and be sent a signal, while this process has not gone on.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed, signal.SIGCHLD})
    pid = os.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return
    ignored = {*(blocked & passed.keys()), *spared}  # the caller's choice holds
    heard = {*passed, signal.SIGCHLD} - ignored
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        number = signal.Signals(signal.sigwait(heard))
        if number in passed:
            os.kill(pid, passed[number])
    end_like(pid)


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that does `work` and ends: with 0, or with 1 where `work` raised."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)
