"""`pynet testnet validate`: mistakes in topology files, found before a lab is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ..output import json_option, print_json, print_text, say
from .source import files, topology_path

if TYPE_CHECKING:
    from ...testnets.spec.problems import Problem


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

    Each is one line, FILE:LINE: what is wrong, and what to write instead. A note is no mistake: it
    says what is often not meant.
    """
    if bool(words) == schema:
        raise click.UsageError("give files to look at, or --schema")
    if schema:
        from ...testnets.spec.writing import schema as json_schema

        print_text(json.dumps(json_schema(), indent=2))
        return
    looked_at = [_problems(word) for word in words]
    problems = [problem for found, _ in looked_at for problem in found]
    notes = [note for _, found in looked_at for note in found]
    if as_json:
        found = {
            "findings": [{**vars(problem), "line": problem.line or None} for problem in problems],
            "notes": [vars(note) for note in notes],
        }
        print_json("testnet.validate/2", {"files": list(words), **found})
    else:
        for line in (*problems, *(f"note: {note}" for note in notes)):
            say(str(line))
        if not problems:
            say(f"{len(words)} file{'' if len(words) == 1 else 's'}, no mistakes")
    if problems:
        ctx.exit(1)


def _problems(word: str) -> tuple[list[Problem], list[Problem]]:
    """The mistakes in a file, and where it has none, the notes about it."""
    from ...testnets.spec.problems import TopologyError
    from ...testnets.spec.reading import notes, read

    path = topology_path(word)
    try:
        read(path)
        return [], notes(path)
    except TopologyError as error:
        return list(error.problems), []
