"""`pynet testnet impair`: a link of a lab made slow or lossy, and whole again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..lazy import did_you_mean
from ..output import json_option, print_json, say
from .source import labs, links

if TYPE_CHECKING:
    from ...testnets.spec.topology import Impairment


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet impair lossy-link "h1 -- sw" rate=10mbit loss=5%
  pynet testnet impair lossy-link "h1 -- sw" delay=20ms
  pynet testnet impair lossy-link "h1 -- sw" --clear
"""
)
@click.argument("name", metavar="NAME", shell_complete=labs)
@click.argument("link", metavar="LINK", shell_complete=links)
@click.argument("settings", metavar="[rate=RATE] [delay=TIME] [loss=SHARE]", nargs=-1)
@click.option("--clear", is_flag=True, help="Nothing stands in the way of packets any more.")
@json_option
def impair(name: str, link: str, settings: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """Make LINK of the lab NAME slow or lossy, in each direction, from now on.

    What is not given is as on a whole link, whatever it was before. `pynet testnet up` puts back
    what the topology's file says. What this kernel can't do is refused: delay needs netem.
    """
    from ...testnets.live.testnet import Testnet
    from ...testnets.standing.standing import Registry, renewed

    if bool(settings) == clear:
        raise click.UsageError("give some of rate=, delay= and loss=, or --clear")
    impairment = _impairment(settings)
    registry = Registry()
    found = registry.get(name)
    with registry.changing(name), Testnet.attach(found.state) as testnet:
        live = testnet.links[_link(link, list(testnet.links))]
        live.impair(impairment)
        registry.record(renewed(found, testnet))
    if as_json:
        facts = impairment.model_dump(mode="json")
        print_json("testnet.impair/1", {"lab": name, "link": live.link.name, **facts})
    else:
        say(f"{live.link.name}: {' '.join(settings) or 'whole again'}")


def _impairment(settings: tuple[str, ...]) -> Impairment:
    from ...testnets.spec.notation import parse_impairment

    try:
        return parse_impairment(" ".join(settings))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _link(word: str, known: list[str]) -> str:
    """The link that is meant: the ends in any order, with any space about the dashes."""
    ends = {_ends(name): name for name in known}
    if found := ends.get(_ends(word)):
        return found
    there = f"; there is {', '.join(known)}" if known else "; it has none"
    raise click.UsageError(f"there is no link {word!r}{there}{did_you_mean(word, known)}")


def _ends(link: str) -> tuple[str, ...]:
    return tuple(sorted(end.strip() for end in link.split("--")))
