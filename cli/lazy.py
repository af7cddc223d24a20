"""A Click group whose commands are imported when one of them is run, and not before.

Names and one-line helps stand in a table: help, completion and "did you mean" read that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Table = Mapping[str, tuple[str, str]]
"""Command -> ("module:attribute" relative to this package, one-line help)."""


@dataclass
class Form:
    """What the command line has said of the answer's form, by the time an error ends it."""

    as_json: bool = False


class LazyGroup(click.Group):
    """`table` takes the place of `commands`."""

    def __init__(self, *args: Any, table: Table, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command = getattr(import_module(module, __package__), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self._table and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f'there is no command "{name}"{did_you_mean(name, self._table)}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        return options + [
            CompletionItem(name, help=about)
            for name, (_, about) in self._table.items()
            if name.startswith(incomplete)
        ]


def did_you_mean(word: str, known: Mapping[str, Any] | list[str]) -> str:
    """`; did you mean "ADJACENT"?`, or "" where nothing known is near."""
    from difflib import get_close_matches

    spelling = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), spelling, n=1, cutoff=0.6)
    return f'; did you mean "{spelling[near[0]]}"?' if near else ""
