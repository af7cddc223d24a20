"""Commands that belong to a host: they live as long as it does, whoever started them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .births import Birth, Born, detach, orphans
from .forked import LabError
from .lab import Host, plain_environment


@dataclass(frozen=True)
class Command:
    """`argv` in the network namespace `netns` of a host ("" for its own).

    What it prints is added to the file `log`, as the host sees it.
    """

    argv: tuple[str, ...]
    netns: str = ""
    log: str = "/dev/null"


def start(host: Host, commands: Sequence[Command]) -> None:
    """Start all of them at once. Raises `LabError` for the first that can't be."""
    started = orphans(host.enter, [partial(_become, host, command) for command in commands])
    failures = []
    for command, born in zip(commands, started, strict=True):
        if isinstance(born, Born):
            os.close(born.pidfd)
        else:
            where = command.netns or host.name
            failures.append(f"{' '.join(command.argv)!r} could not be started in {where}: {born}")
    if failures:
        raise LabError(failures[0])


def _become(host: Host, command: Command, birth: Birth) -> None:
    environ = plain_environment()
    with birth.errors():
        host.enter_network(command.netns)
        if shutil.which(command.argv[0], path=environ["PATH"]) is None:
            raise LabError("there is no such command")
        Path(command.log).parent.mkdir(parents=True, exist_ok=True)
        log = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        birth.ready()
    detach(output=log)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec keeps that
    os.execvpe(command.argv[0], command.argv, environ)
