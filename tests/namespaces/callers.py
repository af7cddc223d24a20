"""A launcher with a plugin's name, a daemon with any handler, and peers that misbehave."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynet import launcher
from pynet.daemon import home, token, wire
from pynet.daemon.call import Handler
from pynet.daemon.descriptors import standing
from pynet.daemon.server import Server
from pynet.launcher import fallback

SOURCES = Path(__file__).resolve().parents[2] / "src"
CONFIG = b'{"cniVersion": "1.1.0", "name": "net", "type": "bridge"}'
# Stands in for Python: says that it was run one-shot, as whom and with what on stdin.
ONE_SHOT = '#!/bin/sh\nprintf "one-shot %s " "$4"\nexec cat\n'


def make_launcher(kind: str, folder: Path) -> Path:
    """The launcher of `kind` ("c" or "python") in `folder`, under a plugin's name."""
    folder.mkdir()
    plugin = folder / "bridge"
    if kind == "c":
        launcher.compile(plugin)
        return plugin
    shebang, rest = fallback.script(sys.executable).split("\n", 1)
    plugin.write_text(f"{shebang}\nimport sys\nsys.path.insert(0, {str(SOURCES)!r})\n{rest}")
    plugin.chmod(0o755)
    return plugin


@dataclass
class Caller:
    """Runs one launcher as a runtime would; everything of it lies in `folder`."""

    executable: Path
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state.mkdir(mode=0o700, parents=True)
        self.python.write_text(ONE_SHOT)
        self.python.chmod(0o755)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def socket(self) -> Path:
        return self.state / "pynetd.sock"

    @property
    def python(self) -> Path:
        return self.folder / "python"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": "ADD",
            "PYNET_STATE_DIR": str(self.state),
            "PYNET_PYTHON": str(self.python),
            **self.environ,
            **more,
        }

    def start(self, *prefix: str, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*prefix, self.executable],
            env=self.environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(
        self, *prefix: str, stdin: bytes = CONFIG, **more: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*prefix, self.executable],
            env=self.environment(**more),
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )


def went_one_shot(done: subprocess.CompletedProcess[bytes], stdin: bytes = CONFIG) -> bool:
    """The stand-in for Python ran, under the plugin's name, and read all of stdin."""
    return done.stdout == b"one-shot bridge " + stdin and done.returncode == 0


def error_of(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """The one CNI error on stdout of a plugin that failed."""
    assert done.returncode == 1, done
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@contextmanager
def serving(state: Path, handler: Handler, **options: Any) -> Iterator[Server]:
    """A daemon of this process, in threads."""
    listener = home.listen(state / "pynetd.sock")
    server = Server(handler, listener, standing(state), **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
        listener.socket.close()
        assert not thread.is_alive()


Behaviour = Callable[[socket.socket], None]
STDERR, TOKEN = wire.DESCRIPTORS - 2, wire.DESCRIPTORS - 1
"""Where they stand among a request's descriptors."""


@contextmanager
def peer(path: Path, behave: Behaviour, *, accepts: bool = False) -> Iterator[list[int]]:
    """Listens at `path`, and behaves as told on one connection once a request has begun.

    `accepts`: it takes the token first. Yields the request's descriptors, which come into
    that list with the request.
    """
    fds: list[int] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def work() -> None:
            connection, _ = listening.accept()
            with connection:
                fds.extend(socket.recv_fds(connection, 1 << 16, wire.DESCRIPTORS + 1)[1])
                if accepts:
                    assert token.take(fds[TOKEN])
                behave(connection)

        thread = threading.Thread(target=work)
        thread.start()
        yield fds
        thread.join(30)
        assert not thread.is_alive()
    for fd in fds:
        os.close(fd)


def until_closed(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def request_descriptors(state: Path) -> list[int]:
    """What goes along with a request of this process, but for CNI_NETNS; to be closed."""
    kinds = ("net", "mnt", "user")
    fds = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
    fds += [os.open(directory, os.O_PATH | os.O_CLOEXEC) for directory in ("/", state)]
    fds.append(os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC))
    return [*fds, token.make()]
