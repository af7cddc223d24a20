"""Commands that belong to a host: they live as long as it does, whoever started them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import syscalls
from .births import Birth, Born, detach, orphans
from .forked import LabError
from .host import Host, plain_environment

_SHELLS = ("sh", "bash", "dash")
_NOT_FOUND = (126, 127)
"""A shell's status where it can't run a command: POSIX.1-2017, XCU 2.8.2."""
_PATIENCE = 1.0
"""Seconds in which a shell gets to its first command, unless that is its own."""
_LOOK_AGAIN = 0.001


@dataclass(frozen=True)
class Command:
    """`argv` in the network namespace `netns` of a host ("" for its own).

    What it prints is added to the file `log`, as the host sees it.
    """

    argv: tuple[str, ...]
    netns: str = ""
    log: str = "/dev/null"


def start(host: Host, commands: Sequence[Command]) -> None:
    """Start all of them at once. Raises `LabError` for the first that can't be.

    Of what a shell is given, its first command is looked for: what comes later is in the log.
    """
    started = orphans(host.enter, [partial(_become, host, command) for command in commands])
    failures = []
    for command, born in zip(commands, started, strict=True):
        if isinstance(born, Born):
            os.close(born.pidfd)
        else:
            where = command.netns or host.name
            what = " ".join(command.argv).removeprefix("sh -c ")
            failures.append(f"{what!r} could not be started in {where}: {born}")
    if failures:
        raise LabError(failures[0])


def _become(host: Host, command: Command, birth: Birth) -> None:
    """Its parent, until it runs: who isn't would not be told how it ended."""
    environ = plain_environment()
    with birth.errors():
        host.enter_network(command.netns)
        program = shutil.which(command.argv[0], path=environ["PATH"])
        if program is None:
            raise LabError("there is no such command")
        Path(command.log).parent.mkdir(parents=True, exist_ok=True)
        log = os.open(command.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        said_before = os.fstat(log).st_size
        is_executed, executing = os.pipe()
        child = syscalls.fork(partial(_execute, program, command.argv, environ, log, executing))
        os.close(executing)
        if refusal := os.read(is_executed, 1000):  # nothing, where an exec has closed it
            raise LabError(refusal.decode())
        shell = str(Path(program).resolve())
        status = _early_status(child, shell) if command.argv[0] in _SHELLS else None
        if status in _NOT_FOUND:
            said = os.pread(log, 1000, said_before).decode(errors="replace").strip()
            raise LabError(said or f"it ended with status {status}")
        birth.ready()


def _execute(
    program: str, argv: tuple[str, ...], environ: dict[str, str], log: int, executing: int
) -> None:
    detach(output=log, kept=executing)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec keeps that
    try:
        os.execve(program, argv, environ)
    except OSError as error:
        os.write(executing, (error.strerror or str(error)).encode())


def _early_status(child: int, shell: str) -> int | None:
    """What the child ended with, if it does while it is that shell and has run nothing else."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if any(_program(each) not in ("", shell) for each in (child, *_children(child))):
            return None
        time.sleep(_LOOK_AGAIN)
    return None


def _program(pid: int) -> str:
    """What it runs; "" once it has ended."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
