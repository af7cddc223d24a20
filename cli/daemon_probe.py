"""Is there a daemon, and what does it say of itself?"""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ..daemon import home, token, wire
from ..daemon.about import PLUGIN
from ..daemon.settings import Settings
from .processes import remedy

_PATIENCE = 2.0
"""Seconds for all of it: one that is slower would not be used by a plugin either."""
_NAMESPACES = ("/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/self/ns/user")


@dataclass(frozen=True)
class Daemon:
    """`pid` is 0 where it is of another pid namespace; `trouble` says why it can't be used."""

    running: bool
    pid: int = 0
    version: str = ""
    started: float = 0.0
    trouble: str = ""


def probe(settings: Settings) -> Daemon:
    """Connect, and ask. Raises nothing: what goes wrong is the answer."""
    if not settings.socket.parent.is_dir():
        return Daemon(running=False)
    try:
        connection = home.connect(settings.socket, _PATIENCE)
    except (FileNotFoundError, ConnectionRefusedError):
        return Daemon(running=False)
    except OSError as error:
        return Daemon(running=False, trouble=f"it can't be asked: {error.strerror or error}")
    with closing(connection):
        pid, _ = home.peer(connection)
        if not settings.state.is_dir():
            return Daemon(True, pid, trouble=f"it serves another directory than {settings.state}")
        try:
            version, started = _ask(connection, settings)
        except TimeoutError:
            return Daemon(True, pid, trouble=f"it does not answer; {remedy(pid)}")
        except (OSError, EOFError, wire.Malformed, wire.OtherVersion, ValueError) as error:
            return Daemon(True, pid, trouble=str(error) or "it does not answer")
    return Daemon(True, pid, version, started)


def _ask(connection: socket.socket, settings: Settings) -> tuple[str, float]:
    """Its version and start. Raises OSError, EOFError, `Malformed`, `OtherVersion`, ValueError."""
    fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _NAMESPACES]
    try:
        for directory in (Path("/"), settings.state):
            fds.append(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        # Not our own stderr: in the queue of one that hangs it would keep a pipe's reader waiting.
        fds += [os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), token.make()]
        socket.send_fds(connection, [wire.encode_request(PLUGIN, {}, b"")], fds)
    finally:
        for fd in fds:
            with suppress(OSError):
                os.close(fd)
    kind, length = wire.header(_receive(connection, wire.HEADER_SIZE))
    body = _receive(connection, length)
    if kind == wire.DECLINED:
        raise ValueError(f"it declines: {body.decode(errors='replace')}")
    reply = wire.decode_reply(body)
    if reply.status:
        raise ValueError("it is of another version: restart it")
    said = json.loads(reply.stdout)
    return said["version"], said["started"]


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("it hung up")
        data += part
    return data
