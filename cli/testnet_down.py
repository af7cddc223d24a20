"""`pynet testnet down`: labs end, and nothing of them is left."""

from __future__ import annotations

import click

from .output import json_option, print_json
from .testnet_source import labs


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet down dual-stack
  pynet testnet down --all
"""
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=labs)
@click.option("--all", "everything", is_flag=True, help="All labs of this user.")
@json_option
def down(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """End the labs NAME: every process, namespace and interface of theirs is gone after it."""
    from ..testnets.standing import Registry

    if bool(names) == everything:
        raise click.UsageError("give the names of labs, or --all")
    registry = Registry()
    ending = list(registry) if everything else [registry.get(name) for name in names]
    for lab in ending:
        registry.end(lab)
    if as_json:
        print_json("testnet.down/1", {"ended": [lab.name for lab in ending]})
    elif ending:
        for lab in ending:
            click.echo(f"lab {lab.name} is gone")
    else:
        click.echo("no lab stands")
