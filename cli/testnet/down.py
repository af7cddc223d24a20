"""`pynet testnet down`: labs end, and nothing of them is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..output import json_option, print_json, say
from .source import labs

if TYPE_CHECKING:
    from ...testnets.standing.standing import Registry, Standing


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
    if bool(names) == everything:
        raise click.UsageError("give the names of labs, or --all")
    from ...testnets.standing.standing import Registry

    registry = Registry()
    # All of them are looked up first: a line with a mistake in it ends none.
    ending = list(registry) if everything else [_lab(registry, name, names) for name in names]
    for lab in ending:
        registry.end(lab)
    if as_json:
        print_json("testnet.down/1", {"ended": [lab.name for lab in ending]})
    elif ending:
        for lab in ending:
            say(f"lab {lab.name} is gone")
    else:
        say("no lab stands")


def _lab(registry: Registry, name: str, names: tuple[str, ...]) -> Standing:
    """Raises `LabError` that says that none of `names` was ended."""
    from ...testnets.lab.forked import LabError

    try:
        return registry.get(name)
    except LabError as error:
        none = "; no lab was ended" if len(names) > 1 else ""
        raise LabError(f"{error}{none}") from None
