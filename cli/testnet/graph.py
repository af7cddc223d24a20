"""`pynet testnet graph`: the picture of a topology."""

from __future__ import annotations

from pathlib import Path

import click

from ..output import print_text, say
from .source import labs_and_files, source, standing

_SUFFIXES = {
    ".svg": "svg",
    ".md": "mermaid",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
}


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet graph dual-stack -o dual-stack.svg      open it in a browser
  pynet testnet graph ./mine.yaml --format mermaid
  pynet testnet graph ./mine.yaml --format dot | dot -Tpng > mine.png
"""
)
@click.argument("word", metavar="FILE|NAME", shell_complete=labs_and_files)
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "mermaid", "dot"]),
    help="[default: as the name of the output says, else svg]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: standard output]")
def graph(word: str, form: str | None, output: Path | None) -> None:
    """Draw hosts, links, networks, containers, addresses and published ports.

    Of a lab NAME that stands the addresses are those that are there; of a FILE (or a name in the
    gallery) those that its lab would have. No other program is needed.
    """
    form = form or _SUFFIXES.get(output.suffix.lower() if output else "", "svg")
    text = _drawn(word, form)
    if output is None:
        print_text(text)
    else:
        output.write_text(text, encoding="utf-8")
        say(str(output))


def _drawn(word: str, form: str) -> str:
    from ...testnets.pictures.drawing import draw

    found = standing(word)
    if found is None:
        return draw(source(word).topology, form)
    from ...testnets.live.testnet import Testnet

    with Testnet.attach(found.state) as testnet:
        return draw(testnet.topology, form, testnet)
