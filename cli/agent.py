"""`pynet agent`: the agent in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from .foreground import become, state_option


@click.command()
@state_option
@click.option(
    "--idle-exit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Leave after keeping nothing for so long. [default: never]",
)
def agent(state_dir: Path | None, idle_exit: float | None) -> None:
    """Look after what lives on after the answer, in the foreground, until SIGTERM or Ctrl-C.

    Nobody needs to start it: a plugin that needs one and finds none leaves one behind, which
    goes once it has kept nothing for five minutes. In the foreground it stays, and a supervisor
    can watch it. Nothing is lost with one that is killed: the next one finds its work in the
    store.

    \b
    Examples:
      pynet agent                        serve /run/pynet
      pynet agent --state-dir /tmp/try   another state directory, beside the first
    """
    become("pynet.agent", state=state_dir, idle_exit=idle_exit)
