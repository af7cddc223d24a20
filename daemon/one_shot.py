"""The same call without a daemon, in a process of its own: what the launcher falls back to.

`one_shot_start` imports it, and calls `main`.

Imported late is whatever only the rarer of its three jobs needs (about, call, leave a
daemon behind): a runtime waits for each millisecond.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from ..kernel.roots import OWN
from ..model.errors import CniError, Code
from .call import Call, Handler, Reply
from .settings import IDLE_EXIT, Mode, Settings, settings


def main() -> NoReturn:
    """Serve this process's own request: the plugin's name is the last argument.

    What stands before it a person has said, or a unit of systemd's.
    """
    plugin = os.path.basename(sys.argv[-1])  # noqa: PTH119 - pathlib costs a millisecond
    if not os.environ.get("CNI_COMMAND"):
        if (plugin, *sys.argv[1:2]) == ("dhcp", "daemon"):
            from .dhcp_daemon import become

            become(sys.argv[2:-1])
        print(about(plugin), file=sys.stderr)
        sys.exit(0)
    try:
        config = settings(os.environ)
        reply = run(_handler(config), plugin, os.environ, sys.stdin.buffer.read())
    except Exception as error:
        config, reply = None, error_reply(error)
    status = reply.status if _write(reply.stdout) else 1
    if config is not None and config.mode is Mode.AUTO and not _answers(config):
        _leave_daemon(config)
    # What is left is memory, which the kernel frees faster than the interpreter.
    os._exit(status)


def run(handler: Handler, plugin: str, environ: Mapping[str, str], stdin: bytes) -> Reply:
    """This process's own call. Raises what `handler` raises."""
    from .descriptors import open_sandbox

    host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    sandbox = open_sandbox(environ.get("CNI_NETNS", ""))
    try:
        reply = handler(
            Call(
                plugin=plugin,
                environ=dict(environ),
                stdin=stdin,
                host=host,
                sandbox=sandbox,
                stderr=2,
                root=OWN,
                accepted=_nothing,
                cancelled=_never,
            )
        )
        reply.afterwards()
        return reply
    finally:
        os.close(host)
        if sandbox is not None:
            os.close(sandbox)


def about(plugin: str) -> str:
    """What the reference's plugins say on stderr when a person starts them."""
    from .. import __version__
    from ..model.plugin import Plugin

    versions = ", ".join(Plugin.versions)
    return (
        f"CNI {plugin} plugin of pynet {__version__}\nCNI protocol versions supported: {versions}"
    )


def _nothing() -> None:
    """Nobody else could do it meanwhile: there is nobody to tell."""


def _never() -> bool:
    """A runtime that gives up kills this process; the journal knows how far it came."""
    return False


def _handler(config: Settings) -> Handler:
    from .serve import Services, serve

    return partial(serve, services=Services(config.state))


def error_reply(error: Exception) -> Reply:
    """For what `serve` could not answer itself: it was not reached, or its store is newer."""
    import json

    if isinstance(error, OSError):
        error = CniError(str(error), code=Code.IO_FAILURE)
    elif not isinstance(error, CniError):
        error = CniError(f"internal error: {type(error).__name__}: {error}")
    return Reply(1, json.dumps(error.to_json("1.1.0")).encode() + b"\n")


def _write(stdout: bytes) -> bool:
    """Whether all of it went to this process's stdout."""
    view = memoryview(stdout)
    try:
        while view:
            view = view[os.write(1, view) :]
    except OSError:
        return False
    return True


# --- a daemon for the next one ---------------------------------------------------------


def _answers(config: Settings) -> bool:
    """Whether a daemon listens: connecting tells, without asking it anything."""
    address = str(config.socket)
    directory = None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            if len(os.fsencode(address)) > 107:  # struct sockaddr_un holds no more
                directory = os.open(config.socket.parent, os.O_PATH | os.O_CLOEXEC)
                address = f"/proc/self/fd/{directory}/{config.socket.name}"
            probe.connect(address)
        except BlockingIOError:
            return True  # so busy that its queue is full
        except OSError:
            return False
        finally:
            if directory is not None:
                os.close(directory)
    return True


def _leave_daemon(config: Settings) -> None:
    """Start `pynetd`, detached, its parent gone at once."""
    from .leaving import Left

    flags = ["--state", str(config.state), "--socket", str(config.socket)]
    try:
        os.chdir("/")
        Left("pynet.daemon", [*flags, "--idle-exit", str(IDLE_EXIT)])
    except OSError as error:
        print(f"pynet: no daemon could be left behind: {error}", file=sys.stderr)
