"""`pynet reload`: what is not as recorded on this host, put back in place by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from .output import counted, json_option, print_json, say

if TYPE_CHECKING:
    from ..engine.judging import Judgement
    from ..engine.reloading import Outcome, Reloaded
    from ..store.records import Record

_SHOWN = 50
"""How many of a long list of findings people are shown."""


@click.command()
@json_option
@click.pass_context
def reload(ctx: click.Context, as_json: bool) -> None:
    """Put back what is not as it is recorded, of this host and of its containers.

    After `nft flush ruleset`, or a firewall's restart, containers are cut off until their
    masquerading and published ports stand in our tables again. A running daemon sees to
    that by itself within a second, and so does the next container; this does it now. It
    also puts back links, gateways, settings, and a container's addresses and routes: in
    place, so that each keeps its address. What belongs to no container any more (a saved
    ruleset was loaded) is removed. What is as it should be is not touched, and no
    connection is lost.

    Exit status: 0 all is as recorded (now), 1 something is not, and it says what.

    \b
    Examples:
      nft flush ruleset && pynet reload
      pynet reload --json | jq .left
    """
    done = _reload()
    if as_json:
        print_json("reload/1", _document(done))
    else:
        _show(done)
    if done is not None and not done.is_fine:
        ctx.exit(1)


def _reload() -> Reloaded | None:
    """None where nothing is recorded at all. Raises `CniError`, OSError."""
    from ..daemon.passage import adapt_ways
    from ..daemon.settings import settings
    from ..engine.reloading import reload
    from ..engine.site import Site
    from ..model.errors import StoreError
    from . import recorded
    from .findings.host import last_word, opened

    if hidden := recorded.out_of_sight():
        raise StoreError(hidden)
    with opened(settings(os.environ).state, if_lost=True) as host:
        if host is None:
            return None
        site = Site(host.store, host.world, say=partial(say, err=True))
        adapt = partial(adapt_ways, host.store, host.world)
        return reload(site, last_word, adapt, host.lacks)


# --- for programs -------------------------------------------------------------------------------


def _document(done: Reloaded | None) -> dict[str, Any]:
    if done is None:
        return {
            "resources": 0,
            "wrong": [],
            "removed": [],
            "left": [],
            "failures": [],
            "attachments": [],
            "hidden": [],
        }
    return {
        "resources": done.count,
        "wrong": [drift.to_json() for drift in done.wrong],
        "removed": [resource.describe() for resource in done.removed],
        "left": [drift.to_json() for drift in done.left],
        "failures": [str(failure) for failure in done.failures],
        "attachments": [_of_attachment(outcome) for outcome in done.attachments],
        "hidden": list(done.hidden),
    }


def _of_attachment(outcome: Outcome) -> dict[str, Any]:
    first, now = outcome.records[0], outcome.now
    return {
        "network": first.network,
        "container": first.container,
        "interface": first.interface,
        "condition": str(now.condition) if now else None,
        "put_right": [drift.to_json() for drift in outcome.mended],
        "left": [fault.drift.to_json() for fault in now.faults] if now else [],
        "mend": _commands(outcome.records, now) if now else [],
    }


def _commands(records: Sequence[Record], now: Judgement) -> list[str]:
    from .findings.words import what_is_left

    return [each.mend for each in what_is_left(records, now) if each.mend]


# --- for people ---------------------------------------------------------------------------------


def _show(done: Reloaded | None) -> None:
    if done is None:
        say("nothing is recorded for this host, so there is nothing to put back")
        return
    shared, still = set(done.wrong), set(done.left)
    right = [drift.before() for drift in done.wrong if drift not in still]
    for outcome in done.attachments:
        right += _named(outcome, (each.before() for each in outcome.mended if each not in shared))
    left = [str(drift) for drift in done.left]
    for outcome in done.attachments:
        left += _named(outcome, _left(done, outcome))
    _list("put right", right)
    _list("removed, as no container has it", (one.describe() for one in done.removed))
    _list("still not as recorded", left, all_of_it=True)
    _list("failed", map(str, done.failures))
    for line in done.hidden:
        say(f"hidden: {line}")
    if right or left or done.removed or done.failures or done.hidden:
        return
    if done.count or done.attachments:
        busy = sum(outcome.was.condition == "in progress" for outcome in done.attachments)
        attached = counted(len(done.attachments) - busy, "attachment")
        of_host = counted(done.count, "resource")
        begun = f"; {busy} more in progress, and not looked at" if busy else ""
        say(f"all is as recorded ({attached}, {of_host} of the host{begun})")
    else:
        say("nothing is recorded for this host, so there is nothing to put back")


def _left(done: Reloaded, outcome: Outcome) -> list[str]:
    from .findings.words import lines, what_is_left

    if outcome.now is None or outcome.now.is_fine:
        return []
    shared = {str(drift) for drift in done.left}
    findings = what_is_left(outcome.records, outcome.now)
    return lines(each for each in findings if each.text not in shared)


def _named(outcome: Outcome, said: Iterable[str]) -> Iterator[str]:
    from .findings.words import name

    for line in said:
        yield f"{name(outcome.records[0])}: {line}"


def _list(heading: str, found: Iterable[str], *, all_of_it: bool = False) -> None:
    lines = list(dict.fromkeys(found))
    if not lines:
        return
    shown = len(lines) if all_of_it else _SHOWN
    say(f"{heading} ({len(lines)}):")
    for line in lines[:shown]:
        say(f"  {line}")
    if len(lines) > shown:
        say(f"  and {len(lines) - shown} more: --json has all")
