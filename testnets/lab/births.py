"""How processes come to be inside a lab, and how their maker hears that they are there.

Each is an orphan, adopted by the lab's pid 1: it lives until it ends or its lab does, whatever
becomes of who started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import syscalls
from .forked import LabError


class Born(NamedTuple):
    """A process of a lab: its pidfd, its pid for its maker, and its pid in the lab."""

    pidfd: int
    pid: int
    inner_pid: int


def pid_of(pidfd: int) -> int:
    """The process's number, as this process sees it; -1 once it has ended."""
    about = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    return int(next(line.split()[1] for line in about.splitlines() if line.startswith("Pid:")))


def born_at(pid: int) -> str:
    """What tells the process `pid` from every other one that ever had the number; "" for none.

    Boot id and start time, proc(5) /proc/PID/stat field 22. A zombie counts as gone.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return ""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}"


class Birth:
    """What a process under way tells its maker: that it is ready, or why it will never be."""

    def __init__(self) -> None:
        self._maker, self._child = socket.socketpair()

    def hear(self) -> Born:
        """The new process. Raises `LabError` with its words."""
        self._child.close()
        with self._maker:
            said, descriptors, _, _ = socket.recv_fds(self._maker, 4096, 1)
        if not descriptors:
            raise LabError(said.decode() or "it died")
        return Born(descriptors[0], pid_of(descriptors[0]), int(said))

    def close(self) -> None:
        """There will be nobody to hear of."""
        self._maker.close()
        self._child.close()

    def ready(self) -> None:
        """Send this process's own descriptor: its pid is another number to its maker."""
        pidfd = os.pidfd_open(os.getpid())
        socket.send_fds(self._child, [str(os.getpid()).encode()], [pidfd])
        os.close(pidfd)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Send what is raised inside, and end this process."""
        try:
            yield
        except Exception as error:
            self.fail(error)
            os._exit(1)

    def fail(self, error: Exception) -> None:
        """Say why it will never be."""
        self._child.send((str(error) or type(error).__name__).encode())


def orphans(
    enter: Callable[[], None],
    works: Sequence[Callable[[Birth], object]],
    birth: AbstractContextManager[None] | None = None,
) -> list[Born | LabError]:
    """One process for each of `works`, born after `enter` has led into the lab.

    `birth` is where children are born in its pid namespace; without one `enter` leads there, too.
    A work calls `ready` of its birth when it is what it is to be, and goes on; what it raises
    before, within `errors`, stands in its place. When this returns each is ready, or has failed.
    """
    births = [Birth() for _ in works]
    try:
        with birth or contextlib.nullcontext():
            starter = syscalls.fork(
                lambda: _start(enter, works, births, is_inside=birth is not None)
            )
    except OSError as error:
        for each in births:
            each.close()
        raise LabError(f"the lab has ended, or can't be entered: {error}") from error
    found: list[Born | LabError] = []
    for each in births:
        try:
            found.append(each.hear())
        except LabError as error:
            found.append(error)
    os.waitpid(starter, 0)
    return found


def _start(
    enter: Callable[[], None],
    works: Sequence[Callable[[Birth], object]],
    births: list[Birth],
    *,
    is_inside: bool,
) -> None:
    try:
        enter()
    except Exception as error:
        for birth in births:
            birth.fail(error)
        return
    # An orphan is adopted by the pid 1 of its parent's namespace, so a parent inside is needed,
    # which leaves at once.
    if is_inside:
        _start_inside(works, births)
    else:
        parent = syscalls.fork(lambda: _start_inside(works, births))
        os.waitpid(parent, 0)


def _start_inside(works: Sequence[Callable[[Birth], object]], births: list[Birth]) -> None:
    for work, birth in zip(works, births, strict=True):
        syscalls.fork(partial(work, birth))


def detach(stdin: int | None = None, output: int | None = None, kept: int | None = None) -> None:
    """Leave the maker's terminal and its files (but these): somebody may wait for their end."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    streams = (null if stdin is None else stdin, *2 * (null if output is None else output,))
    for standard, source in enumerate(streams):
        os.dup2(source, standard)
    first, last = 3, os.sysconf("SC_OPEN_MAX")
    if kept is not None:
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, last)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
