"""`pynet daemon`: the daemon in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    help="Where to listen. [default: PYNET_SOCKET, else pynetd.sock in the state directory]",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="What to serve. [default: PYNET_STATE_DIR, else /run/pynet]",
)
@click.option(
    "--idle-exit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Leave after so long without a request. [default: never]",
)
def daemon(socket: Path | None, state_dir: Path | None, idle_exit: float | None) -> None:
    """Serve the plugins from warm memory, in the foreground, until SIGTERM or Ctrl-C.

    Nobody needs to start it: a plugin that finds no daemon leaves one behind, which goes
    after five idle minutes. In the foreground it stays, and a supervisor can watch it.

    \b
    Examples:
      pynet daemon                        serve /run/pynet
      pynet daemon --state-dir /tmp/try   another state directory, beside the first
    """
    arguments = [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", "pynet.daemon"]
    if socket is not None:
        arguments += ["--socket", str(socket.absolute())]
    if state_dir is not None:
        arguments += ["--state", str(state_dir.absolute())]
    if idle_exit is not None:
        arguments += ["--idle-exit", str(idle_exit)]
    try:
        # In this one's place: what a command line needs would stay in its memory for ever.
        os.execv(sys.executable, arguments)
    except OSError as error:
        raise click.ClickException(f"{sys.executable}: {error.strerror}") from None
