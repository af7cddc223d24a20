"""Is there a daemon, and what does it say of itself?"""

from __future__ import annotations

import json
import os
import socket
import struct
from contextlib import closing, suppress
from dataclasses import dataclass

from ..daemon import token, wire
from ..daemon.about import PLUGIN
from ..daemon.settings import Settings

_PATIENCE = 2.0
"""Seconds for all of it: one that is slower would not be used by a plugin either."""
_NAMESPACES = ("/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/self/ns/user")
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


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
        connection = _connect(settings)
    except (FileNotFoundError, ConnectionRefusedError):
        return Daemon(running=False)
    except OSError as error:
        return Daemon(running=False, trouble=f"it can't be asked: {error.strerror or error}")
    with closing(connection):
        pid = _pid(connection)
        if not settings.state.is_dir():
            return Daemon(True, pid, trouble=f"it serves another directory than {settings.state}")
        try:
            version, started = _ask(connection, settings)
        except (OSError, EOFError, wire.Malformed, wire.OtherVersion, ValueError) as error:
            return Daemon(True, pid, trouble=str(error) or "it does not answer")
    return Daemon(True, pid, version, started)


def _connect(settings: Settings) -> socket.socket:
    """Raises OSError."""
    # By way of the directory: a socket's address holds 107 bytes, a path may be longer.
    directory = os.open(settings.socket.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_PATIENCE)
        connection.connect(f"/proc/self/fd/{directory}/{settings.socket.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def _pid(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[0])


def _ask(connection: socket.socket, settings: Settings) -> tuple[str, float]:
    """Its version and start. Raises OSError, EOFError, `Malformed`, `OtherVersion`, ValueError."""
    fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _NAMESPACES]
    try:
        fds.append(os.open(settings.state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        fds += [os.dup(2), token.make()]
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
