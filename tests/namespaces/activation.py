"""What systemd does with our units, in a few lines: sd_listen_fds(3).

Run as `python activation.py UNIT_DIR NAME` (pynetd, pynet-agent): it listens where the socket
unit says, and starts the service for the first caller, with that socket.
"""

from __future__ import annotations

import os
import select
import shlex
import socket
import sys
from pathlib import Path

_FIRST = 3  # SD_LISTEN_FDS_START


def value(unit: Path, key: str) -> str:
    lines = unit.read_text().splitlines()
    (found,) = [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]
    return found.replace("%%", "%")


def main(units: Path, name: str) -> None:
    path = Path(value(units / f"{name}.socket", "ListenStream"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(64)
    select.select([listening], [], [])
    argv = shlex.split(value(units / f"{name}.service", "ExecStart"))
    os.dup2(listening.fileno(), _FIRST)
    os.set_inheritable(_FIRST, True)
    environ = {"PATH": os.environ["PATH"], "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    os.execve(argv[0], argv, environ)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
