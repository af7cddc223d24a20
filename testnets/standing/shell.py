"""A shell in which every node of a standing lab is a command: `a ping b`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from . import entering
from .standing import Door, Standing

_IN_LAB = "/etc/pynet-testnet"
"""Where the commands lie for a shell inside; /etc is the lab's own, and its hosts share it."""


def open_outside(standing: Standing, directory: Path) -> int:
    """A shell of this machine, with the nodes as commands; its exit status.

    The commands lie in a directory of its own below `directory` as long as it runs.
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix="shell-") as place:
        _write(Path(place), standing.name, standing.doors)
        argv, environ = _shell(Path(place), standing.name)
        path = f"{environ[entering.COMMANDS]}:{os.environ.get('PATH', os.defpath)}"
        shell = subprocess.Popen(argv, env={**os.environ, **environ, "PATH": path})
        return _status_of(shell)


def open_inside(standing: Standing, node: str) -> NoReturn:
    """A shell in `node`, with all nodes as commands; this process ends as it does.

    Raises `LabError` where the lab has no such node.
    """
    doors = {name: entering.from_inside(door) for name, door in standing.doors.items()}
    place = Path(_IN_LAB)
    argv, environ = _shell(place, f"{standing.name} {node}")
    path = f"{environ[entering.COMMANDS]}:{entering.environment()['PATH']}"
    entering.run(
        standing.door(node),
        argv,
        once_inside=lambda: _write(place, f"{standing.name} {node}", doors),
        environ={**environ, "PATH": path},
    )


def _write(place: Path, prompt: str, doors: Mapping[str, Door]) -> None:
    """A command for each node, and what bash is to read first."""
    commands = place / "bin"
    commands.mkdir(parents=True, exist_ok=True)
    for name, door in doors.items():
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(entering.command_line(door))} "$@"\n')
        path.chmod(0o755)
    # Somebody's .bashrc sets a prompt of its own, and maybe PATH.
    lines = [
        "[ ! -f ~/.bashrc ] || . ~/.bashrc",
        f"PATH={shlex.quote(str(commands))}:$PATH",
        f"PS1={shlex.quote(f'({prompt}) ')}'\\w\\$ '",
    ]
    (place / "bashrc").write_text("\n".join([*lines, ""]))


def _shell(place: Path, prompt: str) -> tuple[list[str], dict[str, str]]:
    """Which shell, and what its environment has more than ours."""
    environ = {entering.COMMANDS: str(place / "bin")}
    bash = shutil.which("bash")
    if not sys.stdin.isatty():
        return [bash or "/bin/sh"], environ
    if not bash:
        return ["/bin/sh"], {**environ, "PS1": f"({prompt}) $ "}
    return [bash, "--rcfile", str(place / "bashrc"), "-i"], environ


def _status_of(shell: subprocess.Popen[bytes]) -> int:
    """A shell's: 128 and the signal's number, where it died by one."""
    while True:
        try:
            status = shell.wait()
        except KeyboardInterrupt:
            continue  # the terminal has told the shell itself
        return 128 - status if status < 0 else status
