"""A command in a node of a lab that stands; this process becomes its stand-in.

    python -m pynet.testnets.standing.entering PID NETNS KIND COMMAND...

Little is imported, because a shell of a lab runs this for each command in a node.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

from ..lab import syscalls
from ..lab.forked import LabError
from ..lab.host import plain_environment
from .standing import Door

COMMANDS = "PYNET_TESTNET_COMMANDS"
"""The environment's word for the directory with a command for each node, where there is one."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""The exit statuses shells give for these (POSIX.1-2017, 2.8.2)."""

_ALWAYS = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID


def run(
    door: Door,
    command: Sequence[str],
    *,
    once_inside: Callable[[], object] = lambda: None,
    environ: dict[str, str] | None = None,
) -> NoReturn:
    """Run `command` in the node, with this process's files and terminal, and end as it does.

    `once_inside` is called in the node before. `environ` is added to the lab's plain environment.
    Raises `LabError` where the node can't be entered.
    """
    directory = os.getcwd()  # noqa: PTH109 - a path is all chdir wants
    enter(door)
    with contextlib.suppress(OSError):
        os.chdir(directory)  # entering a mount namespace leads to its root
    once_inside()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # The terminal interrupts the command itself; from us it would hear of it twice.
    syscalls.fork_and_stand_in(spared=(signal.SIGINT,) if os.isatty(0) else ())
    _become(command, {**environment(), **(environ or {})})


def enter(door: Door) -> None:
    """Move this process, which must have one thread, into a node; its children's pids, too."""
    user = syscalls.CLONE_NEWUSER if door.user else 0
    name = syscalls.CLONE_NEWUTS if door.named else 0
    try:
        host = os.pidfd_open(door.pid)
        syscalls.setns(host, _ALWAYS | user | name)
        os.close(host)
        if door.netns:
            with open(door.netns, "rb") as namespace:  # noqa: PTH123 - nothing more is imported
                syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
    except OSError as error:
        raise LabError(f"the node can't be entered: {error}; is its lab still up?") from error


def from_inside(door: Door) -> Door:
    """The same node, as a process of the lab finds it."""
    return replace(door, pid=door.inner_pid, user=False)


def command_line(door: Door) -> list[str]:
    """What runs a command in the node, when the command is added to it."""
    kind = [word for word in ("user", "named") if getattr(door, word)]
    facts = [str(door.pid), door.netns, ",".join(kind)]
    return [sys.executable, "-P", "-m", __name__, *facts]


def environment() -> dict[str, str]:
    """The lab's plain environment, without the commands that a shell outside has for the nodes.

    `pynet` itself is found where it is installed in a place that is not in PATH.
    """
    plain = plain_environment()
    shells = os.environ.get(COMMANDS)
    kept = [directory for directory in plain["PATH"].split(":") if directory != shells]
    return {**plain, "PATH": ":".join([*kept, os.path.dirname(sys.executable)])}  # noqa: PTH120


def _become(command: Sequence[str], environ: dict[str, str]) -> NoReturn:
    """The last step in the child: it must neither return nor raise."""
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec keeps that
        syscalls.die_with_parent()
        os.execvpe(command[0], list(command), environ)
    except OSError as error:
        # A directory of PATH that we may not read refuses us, too, and hides nothing.
        found = "/" in command[0] or shutil.which(command[0], os.F_OK, environ["PATH"])
        there = found and not isinstance(error, FileNotFoundError)
        said = (error.strerror or str(error)) if there else "there is no such command"
        os.write(2, f"pynet: {command[0]}: {said}\n".encode())
        os._exit(NOT_EXECUTABLE if there else NOT_FOUND)
    finally:
        os._exit(NOT_EXECUTABLE)


def main(arguments: Sequence[str]) -> NoReturn:
    """`PID NETNS KIND COMMAND...`, as `command_line` writes it."""
    pid, netns, kind, *command = arguments
    door = Door(int(pid), int(pid), netns, user="user" in kind, named="named" in kind)
    try:
        run(door, command or [os.environ.get("SHELL", "/bin/sh")])
    except LabError as error:
        sys.exit(f"pynet: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
