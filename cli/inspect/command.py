"""`pynet inspect`: what is attached, where, and whether it is still as it was made."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from .. import values
from ..output import Branch, age, counted, json_option, print_json, print_tree, say
from .completing import anything

if TYPE_CHECKING:
    from ..findings.words import Finding
    from .attached import Attached
    from .inspection import Inspection


@click.command()
@click.argument(
    "words", metavar="[WHAT]...", nargs=-1, shell_complete=anything, callback=values.noun
)
@json_option
@click.pass_context
def inspect(ctx: click.Context, words: tuple[str, ...], as_json: bool) -> None:
    """Show what is connected to what, and compare it with the kernel.

    WHAT is whatever you know of it: a network, a container id or its beginning, an
    interface (the container's or the host's), a bridge, a namespace (path or name), a
    pid, a MAC or an IP address, a published port (8080, :8080/udp). Without it,
    everything on this host.

    Exit status: 0 all is as it was made, 1 something is not, or could not be looked at.

    \b
    Examples:
      pynet inspect               the whole host
      pynet inspect 10.1.0.7      who has this address?
      pynet inspect :8080         where does this port of the host lead?
      pynet inspect veth31f1      whose is this interface?
      pynet inspect web --json    one network, for a program
    """
    from ...store.location import state_directory
    from .. import recorded
    from .inspection import gather

    recorded.refuse_blind()
    hidden = recorded.out_of_sight()
    state = state_directory()
    found = gather(state, words)
    found.hidden += [hidden] if hidden else []
    if found.unmatched and not (found.attachments or found.leases):
        raise click.ClickException(hidden or _nothing_of(found.unmatched))
    if as_json:
        print_json("inspect/2", _document(found))
    else:
        _show(found)
    if found.unmatched or not found.is_fine:
        ctx.exit(1)


def _nothing_of(words: Sequence[str]) -> str:
    from .selection import NOUNS

    named = " and ".join(f'"{word}"' for word in words)
    return f"nothing attached here is called {named}; it can be {NOUNS}; `pynet inspect` shows all"


def _document(found: Inspection) -> dict[str, Any]:
    return {
        "host": {
            "name": os.uname().nodename,
            "namespace": found.host,
            "store": str(found.store),
        },
        "fine": found.is_fine,
        "networks": [
            {
                "name": network,
                "bridges": [
                    {"name": name, **vars(found.bridges[name])}
                    for name in sorted({attached.bridge for attached in members} - {""})
                ],
                "attachments": len(members),
                "configured": None if found.configured is None else network in found.configured,
            }
            for network, members in _by_network(found.attachments)
        ],
        "attachments": [attached.to_json() for attached in found.attachments],
        "taken_over": [
            {
                "pool": lease.pool,
                "address": lease.address,
                "container": lease.container,
                "interface": lease.interface or None,
                "file": lease.file or None,
            }
            for lease in found.leases
        ],
        "not_on_record": list(found.strangers.ends),
        "kept_by": found.strangers.kept_by or None,
        "other_host_namespaces": found.elsewhere,
        "hidden": found.hidden,
        "unmatched": found.unmatched,
    }


def _by_network(attachments: Sequence[Attached]) -> list[tuple[str, list[Attached]]]:
    return [
        (network, list(members))
        for network, members in groupby(attachments, lambda attached: attached.network)
    ]


# --- for people ---------------------------------------------------------------------------


def _show(found: Inspection) -> None:
    if found.attachments:
        print_tree(_tree(found))
        say(_summary(found))
    elif found.hidden:
        say("no attachments that this user can see")
    elif not (found.leases or found.strangers):
        say("no attachments")
        say(_first_step())
    if found.strangers and not found.strangers.hidden:
        say(str(found.strangers))
    if found.leases:
        say(f"leased by the reference's host-local, until its file goes ({len(found.leases)}):")
        from ...model.shown import short_id

        rows = [
            (one.address, short_id(one.container), one.interface or "-", one.file)
            for one in found.leases
        ]
        for row in _aligned(rows):
            say(f"  {row}")
    if found.elsewhere:
        say(
            f"{found.elsewhere} more are recorded for other host namespaces: "
            "`pynet inspect` inside those shows them"
        )
    for word in found.unmatched:
        say(f'nothing attached here is called "{word}"')
    for line in found.hidden:
        say(f"hidden: {line}")


def _first_step() -> str:
    from ...model.shown import command_line
    from ..cni.conf_dir import directory, networks

    known = [found.network.name for found in networks(directory()) if found.network]
    if known:
        return f"next: {command_line('pynet', 'attach', 'CONTAINER', known[0])}"
    return "next: pynet network create web, then pynet attach CONTAINER web"


def _tree(found: Inspection) -> Branch:
    from ..cni.conf_dir import directory
    from ..findings.words import lines
    from .published import published, unpublished

    root = Branch(os.uname().nodename)
    for network, members in _by_network(found.attachments):
        below = root.add(network)
        if found.configured is not None and network not in found.configured:
            below.add(
                f"no configuration of it can be read in {directory()}; its containers can be"
                " detached all the same"
            )
        shared = _shared(members)
        for line in lines(
            finding._replace(text=f"{finding.text} (for {count} attachments)")
            for finding, count in shared.items()
        ):
            below.add(line)
        rows = _aligned([_cells(attached) for attached in members])
        bridges: dict[str, Branch] = {}
        for attached, row in zip(members, rows, strict=True):
            if attached.bridge and attached.bridge not in bridges:
                bridges[attached.bridge] = below.add(_bridge_label(found, attached.bridge))
            leaf = bridges.get(attached.bridge, below).add(row)
            if attached.leg:
                leaf.add("  ".join(["the host beside it:", attached.leg, *attached.leg_addresses]))
            if attached.ports:
                leaf.add(f"published: {published(attached.ports)}")
            for line in (*unpublished(attached.unpublished), *map(str, attached.leases)):
                leaf.add(line)
            for line in lines(each for each in attached.findings if each not in shared):
                leaf.add(line)
    return root


def _shared(attachments: Sequence[Attached]) -> dict[Finding, int]:
    """What is not as it was made for several at once, and for how many."""
    counts = Counter(finding for attached in attachments for finding in attached.findings)
    return {finding: count for finding, count in counts.items() if count > 1}


def _bridge_label(found: Inspection, name: str) -> str:
    bridge = found.bridges[name]
    if not bridge.exists:
        return f"{name} (missing)"
    return "  ".join([name, *bridge.addresses, *([] if bridge.up else ["(down)"])])


def _cells(attached: Attached) -> list[str]:
    from ...model.shown import short_id

    return [
        short_id(attached.container),
        attached.interface,
        " ".join(attached.addresses) or "-",
        attached.host_interface or (f"on {attached.parent}" if attached.parent else "-"),
        attached.mac or "-",
        attached.netns or "-",
        str(attached.condition),
        age(time.time() - attached.created) if attached.created else "-",
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _summary(found: Inspection) -> str:
    bad = [attached for attached in found.attachments if not attached.is_fine]
    busy = [each for each in found.attachments if each.condition == "in progress"]
    should = "it should" if len(bad) == 1 else "they should"
    how = f"{len(bad)} not as {should} be" if bad else "all as made"
    if busy and not bad:
        how = f"{len(busy)} in progress, the others as made"
    if found.hidden and not bad:
        how = "as made, as far as this user may look"
    return f"{counted(len(found.attachments), 'attachment')}, {how}"
