"""This process goes on as the daemon, or as the agent."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

state_option = click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="What to serve. [default: PYNET_STATE_DIR, else /run/pynet]",
)


def become(module: str, **flags: Path | float | None) -> NoReturn:
    """`python -m MODULE --FLAG VALUE ...`, of those that are not None. Raises `ClickException`."""
    arguments = [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", module]
    for name, value in flags.items():
        if value is not None:
            said = value.absolute() if isinstance(value, Path) else value
            arguments += [f"--{name.replace('_', '-')}", str(said)]
    try:
        # In this one's place: what a command line needs would stay in its memory for ever.
        os.execv(sys.executable, arguments)
    except OSError as error:
        raise click.ClickException(f"{sys.executable}: {error.strerror}") from None
