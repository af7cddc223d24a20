"""`pynet reload`: what others have deleted of this host's rules, put back by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from .output import json_option, print_json

if TYPE_CHECKING:
    from ..engine.rebuilding import Reloaded
    from ..model.plan import Drift

_SHOWN = 5
"""How many of a long list of findings people are shown."""


@click.command()
@json_option
@click.pass_context
def reload(ctx: click.Context, as_json: bool) -> None:
    """Put back what somebody has deleted of this host's nftables rules and forwarding.

    After `nft flush ruleset`, or a firewall's restart, containers are cut off until their
    masquerading and published ports stand in our tables again. A running daemon sees to
    that by itself within a second, and so does the next container; this does it now, from
    what is recorded. What is as it should be is not touched, and no connection is lost.

    Exit status: 0 all is as recorded (now), 1 something could not be put back.

    \b
    Examples:
      nft flush ruleset && pynet reload
      pynet reload --json | jq .left
    """
    done = _reload()
    if as_json:
        print_json(
            "reload/1",
            {
                "resources": done.count,
                "wrong": [vars(drift) for drift in done.wrong],
                "left": [vars(drift) for drift in done.left],
            },
        )
    else:
        _show(done)
    if done.left:
        ctx.exit(1)


def _reload() -> Reloaded:
    """Raises `CniError`, OSError."""
    from ..daemon.passage import adapt_ways
    from ..daemon.settings import settings
    from ..engine.rebuilding import Reloaded, reload
    from ..engine.site import Site
    from ..kernel import namespaces
    from ..kernel.world import KernelWorld
    from ..plugins import registry
    from ..store.store import FILE, Store

    state = settings(os.environ).state
    if not (state / FILE).exists():
        return Reloaded(0, (), ())
    host = namespaces.own()
    try:
        with KernelWorld(host, None, netns="", our_plugins=registry.names()) as world:
            store = Store.open(state)
            done = reload(Site(store, world))
            adapt_ways(store, world)
            return done
    finally:
        os.close(host)


def _show(done: Reloaded) -> None:
    if not done.count:
        click.echo("nothing is recorded for this host, so there is nothing to put back")
    elif not done.wrong:
        click.echo(f"all is as recorded ({done.count} resources)")
    else:
        _list(f"put right ({len(done.wrong)}):", done.wrong)
    if done.left:
        _list(f"still not as recorded ({len(done.left)}):", done.left)


def _list(heading: str, drifts: tuple[Drift, ...]) -> None:
    click.echo(heading)
    for drift in drifts[:_SHOWN]:
        click.echo(f"  {drift}")
    if len(drifts) > _SHOWN:
        click.echo(f"  and {len(drifts) - _SHOWN} more: --json has all")
