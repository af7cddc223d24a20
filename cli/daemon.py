"""`pynet daemon`: the daemon in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from . import values
from .foreground import become, state_option


@click.command()
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    callback=values.socket,
    help="Where to listen. [default: PYNET_SOCKET, else pynetd.sock in the state directory]",
)
@state_option
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
    become("pynet.daemon", socket=socket, state=state_dir, idle_exit=idle_exit)
