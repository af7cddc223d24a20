"""pynet on the hosts of a lab that run containers: its plugins, and a daemon each.

`pynet install` is run once in the life of this process; every other host gets the same files.
A daemon is a fork of this process, which has imported all that a daemon needs: it listens at
once, where one started by command would first import it all for a third of a second.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..lab.births import Birth, born_at, detach, orphans
from ..lab.forked import LabError
from ..lab.host import Host, plain_environment
from .installed import BIN_DIR, PYNET

CONFIGURATION_DIR = "/etc/cni/net.d"
_LOG = "/var/log/pynetd.log"
_SOCKET = "/run/pynet/pynetd.sock"
_PATIENCE = 20.0
"""Seconds that a daemon may take to start."""


class File(NamedTuple):
    """A file of an installation; with `link` a symbolic link to that."""

    name: str
    mode: int = 0o755
    content: bytes = b""
    link: str = ""


_installation: list[File] = []


def root_of(host: Host) -> Path:
    """The host's file system, as this process can reach it."""
    return Path(f"/proc/{host.pid}/root")


def equip(hosts: Sequence[Host]) -> None:
    """The plugins on each host, and all that a daemon needs in this process.

    Raises `LabError` where `pynet install` fails.
    """
    if hosts and not _installation:
        _installation.extend(_install(hosts[0]))
    for host in hosts:
        directory = root_of(host) / BIN_DIR.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        for file in _installation:
            _put(directory, file)


def _install(host: Host) -> list[File]:
    # Others may write this interpreter and this tree; in a lab that is no danger to anybody.
    argv = [*PYNET, "install", "--bin-dir", BIN_DIR, "--allow-writable-interpreter"]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with host.popen(argv, stdin=nothing, stdout=pipe, stderr=pipe) as process:
        from ...daemon.preload import load

        load()  # meanwhile
        said = b"".join(process.communicate())
    if process.returncode:
        raise LabError(f"`pynet install` failed: {said.decode(errors='replace').strip()}")
    return [_read(path) for path in sorted((root_of(host) / BIN_DIR.lstrip("/")).iterdir())]


def _read(path: Path) -> File:
    if path.is_symlink():
        return File(path.name, link=str(path.readlink()))
    return File(path.name, path.stat().st_mode & 0o7777, path.read_bytes())


def _put(directory: Path, file: File) -> None:
    path = directory / file.name
    with contextlib.suppress(FileExistsError):
        if file.link:
            path.symlink_to(file.link)
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
            with os.fdopen(descriptor, "wb") as opened_file:
                opened_file.write(file.content)


class Daemon:
    """The daemon of one host, which is on its way, by its process."""

    def __init__(self, host: Host, pid: int) -> None:
        self.host = host
        self._pid = pid

    def wait(self) -> None:
        """Until it listens. Raises `LabError` with what it said, where it never will."""
        deadline = time.monotonic() + _PATIENCE
        socket = root_of(self.host) / _SOCKET.lstrip("/")
        while not socket.exists():
            if not born_at(self._pid) or time.monotonic() > deadline:
                raise LabError(
                    f"the daemon of host {self.host.name!r} did not start: {self._said()}"
                )
            time.sleep(0.002)

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            return (root_of(self.host) / _LOG.lstrip("/")).read_text().strip() or "it said nothing"
        return "it said nothing"


def start_daemons(hosts: Sequence[Host]) -> list[Daemon]:
    """One on each host, on its way when this returns. Raises `LabError`."""
    daemons = []
    for host in hosts:
        (born,) = orphans(host.enter, [_be_daemon])
        if isinstance(born, LabError):
            raise LabError(f"the daemon of host {host.name!r} did not start: {born}")
        os.close(born.pidfd)
        daemons.append(Daemon(host, born.pid))
    return daemons


def _be_daemon(birth: Birth) -> None:
    with birth.errors():
        environ = plain_environment()
        os.environ.clear()
        os.environ.update(environ)
        log = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        birth.ready()
    detach(output=log)
    from ...daemon.__main__ import main

    gc.freeze()  # else its first collection would walk, and so copy, all of this process's memory
    sys.argv[1:] = []
    main()
