"""`pynet testnet validate`: mistakes in topology files, found before a lab is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from .output import json_option, print_json
from .testnet_source import files, source

if TYPE_CHECKING:
    from ..testnets.spec.problems import Problem


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet validate ./mine.yaml ./yours.yaml
  pynet testnet validate --schema > testnet.schema.json
\b
An editor with a YAML language server completes and checks what has this line at its top:
  # yaml-language-server: $schema=testnet.schema.json
"""
)
@click.argument("words", metavar="[FILE]...", nargs=-1, shell_complete=files)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of topology files.")
@json_option
@click.pass_context
def validate(ctx: click.Context, words: tuple[str, ...], schema: bool, as_json: bool) -> None:
    """Look for mistakes in topology files; exit 1 where there are some.

    Each is one line, FILE:LINE: what is wrong, and what to write instead.
    """
    if bool(words) == schema:
        raise click.UsageError("give files to look at, or --schema")
    if schema:
        from ..testnets.spec.writing import schema as json_schema

        click.echo(json.dumps(json_schema(), indent=2))
        return
    problems = [problem for word in words for problem in _problems(word)]
    if as_json:
        findings = [vars(problem) for problem in problems]
        print_json("testnet.validate/1", {"files": list(words), "findings": findings})
    else:
        for problem in problems:
            click.echo(problem)
        if not problems:
            click.echo(f"{len(words)} file{'' if len(words) == 1 else 's'}, no mistakes")
    if problems:
        ctx.exit(1)


def _problems(word: str) -> list[Problem]:
    from ..testnets.spec.problems import TopologyError

    try:
        source(word)
    except TopologyError as error:
        return list(error.problems)
    return []
