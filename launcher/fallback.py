"""The launcher in Python, for installs without a C compiler: the same behaviour, 30 ms later.

The C files are the specification; what is said there is not said again here. No module is
imported that a warm daemon's answer can do without.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from ..daemon import token, wire
from . import CONFIGURATION, plain

_ONE_SHOT = "from pynet.daemon.one_shot_start import main; main()"
_DEFAULTS = {"daemon": "auto", "accept_ms": "1000", "reply_ms": "30000"}
_VARIABLES = {
    "PYNET_PYTHON": "python",
    "PYNET_SOCKET": "socket",
    "PYNET_STATE_DIR": "state",
    "PYNET_DAEMON": "daemon",
    "PYNET_ACCEPT_MS": "accept_ms",
    "PYNET_REPLY_MS": "reply_ms",
}
_NAMESPACES = ("/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/self/ns/user")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_RAN_OUT = errno.EMFILE, errno.ENFILE, errno.ENOMEM
_DECODING = 6
_TRY_LATER = 11
_INTERNAL = 999


class _NotServed(Exception):
    """Nothing was accepted, nor ever will be, and why."""


class _Lost(Exception):
    """There is no answer: it was refused, the connection ended, or its time did."""


def script(python: str) -> str:
    """What stands in the plugin's place: an executable for the interpreter at `python`."""
    return f"#!{python} -I\nfrom pynet.launcher.fallback import main\n\nmain()\n"


def main() -> NoReturn:
    """The plugin is the base name this script was called by."""
    plugin = os.path.basename(sys.argv[0])  # noqa: PTH119 - pathlib costs milliseconds
    try:
        settings = _settings(os.path.dirname(os.path.realpath(sys.argv[0])))  # noqa: PTH120
        if not os.environ.get("CNI_COMMAND"):
            _run_one_shot(settings, plugin, None, sys.argv[1:])
        stdin = sys.stdin.buffer.read(wire.LIMIT // 2 + 1)
        if len(stdin) > wire.LIMIT // 2:
            _fail(_DECODING, "the network configuration on stdin is larger than 8 MiB")
        if settings["daemon"] != "never":
            _try_daemon(settings, plugin, stdin)
        _run_one_shot(settings, plugin, stdin)
    except (OSError, ValueError) as error:
        _fail(_INTERNAL, f"pynet's launcher: {error}")


def _fail(code: int, msg: str) -> NoReturn:
    import json

    _write_all(json.dumps({"cniVersion": "1.1.0", "code": code, "msg": msg}).encode() + b"\n")
    os._exit(1)


def _write_all(data: bytes, fd: int = 1) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _settings(folder: str) -> dict[str, str]:
    """Raises OSError, ValueError."""
    file = _from_file(f"{folder}/{CONFIGURATION}")
    given = {key: os.environ[name] for name, key in _VARIABLES.items() if os.environ.get(name)}
    for source in (file, given):
        for key, value in source.items():
            if not _means_something(key, value):
                raise ValueError(f"{key}={value} is not a value pynet knows")
    found = _DEFAULTS | file | given
    for name, key in _VARIABLES.items():
        if key in file and key not in given and key != "python":
            os.environ[name] = file[key]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0:
        found.setdefault("state", "/run/pynet")
    elif runtime:
        found.setdefault("state", f"{runtime}/pynet")
    if "state" in found:
        found.setdefault("socket", f"{found['state']}/pynetd.sock")
    return found


def _from_file(path: str) -> dict[str, str]:
    try:
        text = os.fsdecode(plain.read(path))
    except FileNotFoundError:
        return {}
    lines = [line.partition("=") for line in text.split("\n") if line[:1] != "#"]
    return {key: value for key, _, value in lines if value}


def _means_something(key: str, value: str) -> bool:
    if key == "daemon":
        return value in ("auto", "never", "require")
    if key in ("accept_ms", "reply_ms"):
        return value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0
    return True


def _run_one_shot(
    settings: dict[str, str], plugin: str, stdin: bytes | None, words: Sequence[str] = ()
) -> NoReturn:
    python = settings.get("python", sys.executable)
    if not python.startswith("/"):
        _fail(_INTERNAL, f"python={python} is no absolute path; correct it in {CONFIGURATION}")
    if stdin is not None:
        fd = os.memfd_create("stdin", 0)
        _write_all(stdin, fd)
        os.lseek(fd, 0, os.SEEK_SET)
        os.dup2(fd, 0)
        os.close(fd)
    try:
        os.execv(python, [python, "-I", "-c", _ONE_SHOT, *words, plugin])
    except OSError as error:
        _fail(
            _INTERNAL,
            f"can't run the Python interpreter {python}: {error.strerror}; "
            f"correct python= in {CONFIGURATION}, or run `pynet install` again",
        )


# --- the daemon ---------------------------------------------------------------------------


def _try_daemon(settings: dict[str, str], plugin: str, stdin: bytes) -> None:
    """Relays its answer and exits; comes back where it did not accept the request."""
    try:
        reply = _ask(settings, plugin, stdin)
    except _NotServed as error:
        if settings["daemon"] == "require":
            where = settings.get("socket", "(no socket path)")
            msg = f"PYNET_DAEMON=require, and pynetd at {where} can't be used: {error}"
            _fail(_TRY_LATER, msg)
        return
    except _Lost as error:
        _fail(
            _TRY_LATER,
            f"pynetd accepted the request, then {error}; it is not run a second time. "
            "Try again later: what was begun is undone or completed by then",
        )
    _write_all(reply.stdout)
    os._exit(reply.status & 0xFF)


def _ask(settings: dict[str, str], plugin: str, stdin: bytes) -> wire.Reply:
    """Raises `_NotServed`; `_Lost` where it was accepted."""
    patience = int(settings["accept_ms"]) / 1000, int(settings["reply_ms"]) / 1000
    daemon = _Daemon(_connect(settings), *patience)
    try:
        daemon.send(wire.encode_request(plugin, os.environ, stdin), settings.get("state", ""))
        kind, length = wire.header(daemon.receive(wire.HEADER_SIZE))
        body = daemon.receive(length)
        if kind != wire.REPLY:
            raise _Lost(body.decode(errors="replace"))
        daemon.relay_stderr()
        return wire.decode_reply(body)
    except (_Lost, OSError, wire.Malformed, wire.OtherVersion) as error:
        if daemon.owns_request():
            raise _Lost(str(error)) from error
        raise _NotServed(str(error)) from error
    finally:
        daemon.close()


def _connect(settings: dict[str, str]) -> socket.socket:
    """A connection to a daemon of root's or our own. Raises `_NotServed`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    folder, _, name = settings.get("socket", "").rpartition("/")
    try:
        directory = os.open(folder or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{name}")
        finally:
            os.close(directory)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError as error:
        connection.close()
        raise _NotServed("no daemon answers") from error
    if int.from_bytes(raw[4:8], sys.byteorder) not in (0, os.geteuid()):
        connection.close()
        raise _NotServed("the daemon belongs to another user")
    return connection


class _Daemon:
    """The connection, the token, and the pipe in which comes what is for our stderr."""

    def __init__(self, connection: socket.socket, accept: float, reply: float) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + accept
        self._reply = reply
        self._token = token.make()
        self._owned: bool | None = None  # by the daemon; None: that was not asked yet
        self._stderr, self._writes_stderr = os.pipe()
        os.set_blocking(self._stderr, False)
        self._poll = select.poll()
        self._poll.register(1, 0)
        self._poll.register(self._stderr, select.POLLIN)

    def close(self) -> None:
        self._connection.close()
        os.close(self._stderr)
        os.close(self._token)

    def owns_request(self) -> bool:
        """Whether the daemon has accepted it, and not given it back: False settles it for good."""
        if self._owned is not False:
            self._owned = not token.take(self._token)
        return self._owned

    def send(self, frame: bytes, state: str) -> None:
        """Raises `_Lost`, OSError."""
        fds: list[int] = []
        try:
            fds += [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _NAMESPACES]
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            fds += [os.open(directory, flags) for directory in ("/", state)]
            fds += [self._writes_stderr, os.dup(self._token), *_open_sandbox(fds[0])]
            sent = socket.send_fds(self._connection, [frame], fds)
        finally:
            for fd in {*fds, self._writes_stderr}:
                os.close(fd)
        while sent < len(frame):
            self._wait(select.POLLOUT)
            sent += self._connection.send(memoryview(frame)[sent:])

    def receive(self, size: int) -> bytes:
        """Raises `_Lost`, OSError."""
        data = bytearray()
        while len(data) < size:
            self._wait(select.POLLIN)
            part = self._connection.recv(size - len(data))
            if not part:
                raise _Lost("closed the connection")
            data += part
        return bytes(data)

    def relay_stderr(self) -> None:
        """Pass on what has come."""
        try:
            while data := os.read(self._stderr, 4096):
                _write_all(data, 2)
            self._poll.unregister(self._stderr)
        except (OSError, KeyError):
            pass  # no more yet; or nobody reads ours; or its end was seen before

    def _wait(self, events: int) -> None:
        """Raises `_Lost` at the deadline; leaves where the reader of our stdout is gone."""
        self._poll.register(self._connection, events)
        while True:
            left = max(0.0, self._deadline - time.monotonic())
            ready = dict(self._poll.poll(left * 1000))
            if self._stderr in ready:
                self.relay_stderr()
            if self._connection.fileno() in ready:
                return
            if ready.get(1, 0) & select.POLLERR:
                os._exit(1)
            if not ready:
                if self._owned is not None or not self.owns_request():
                    raise _Lost("gave no answer in time")
                self._deadline += self._reply  # it was accepted, and is being answered
            if 1 in ready:
                self._poll.unregister(1)  # hung up, yet it can be written to


def _open_sandbox(own: int) -> list[int]:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(os.environ["CNI_NETNS"], flags)
    except KeyError:
        return []
    except OSError as error:
        if error.errno in _RAN_OUT:
            raise  # else it would look as if it were gone
        return []
    setns = getattr(os, "setns", None)  # Python 3.12; ctypes would cost milliseconds
    try:
        if setns is None:
            return [fd]
        setns(fd, _CLONE_NEWNET)
    except OSError:
        return [fd]
    try:
        inside = os.open(_NAMESPACES[0], os.O_RDONLY | os.O_CLOEXEC)
    finally:
        setns(own, _CLONE_NEWNET)
    os.close(fd)
    return [inside]
