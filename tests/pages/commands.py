"""Whether a command line that somebody may type names commands and options that are there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from pynet.cli.main import pynet


def is_there(line: str) -> bool:
    """Of `pynet ...`: its arguments are not looked at. Raises ValueError for open quotes."""
    command: click.Command = pynet
    context = click.Context(command)
    for word in shlex.split(line, comments=True)[1:]:
        if word == "--":
            return True
        if word.startswith("-"):
            known = {name for one in command.get_params(context) for name in one.opts}
            if word.partition("=")[0] not in known | {"-h", "--help"}:
                return False
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return False
            command, context = found, click.Context(found, parent=context)
    return True


def every_command() -> Iterator[tuple[str, click.Command]]:
    """All, groups too, by what is typed."""
    yield from _below("pynet", pynet)


def _below(typed: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield typed, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _below(f"{typed} {name}", found)
