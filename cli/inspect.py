"""`pynet inspect`: what is attached, where, and whether it is still as it was made."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from .output import Branch, json_option, print_json, print_tree

if TYPE_CHECKING:
    from .attached import Attached
    from .inspection import Inspection

_SHORT = 12
"""How much of a runtime's 64-digit container id is shown: enough to find it by."""


@click.command()
@click.argument("words", metavar="[WHAT]...", nargs=-1)
@json_option
@click.pass_context
def inspect(ctx: click.Context, words: tuple[str, ...], as_json: bool) -> None:
    """Show what is connected to what, and compare it with the kernel.

    WHAT is whatever you know of it: a network, a container id or its beginning, an
    interface (the container's or the host's), a bridge, a namespace (path or name), a
    pid, a MAC or an IP address. Without it, everything on this host.

    Exit status: 0 all is as it was made, 1 something is not.

    \b
    Examples:
      pynet inspect               the whole host
      pynet inspect 10.1.0.7      who has this address?
      pynet inspect veth31f1      whose is this interface?
      pynet inspect web --json    one network, for a program
    """
    from ..store.location import state_directory
    from .inspection import gather

    found = gather(state_directory(), words)
    if found.unmatched and not found.attachments:
        raise click.ClickException(_nothing_of(found.unmatched))
    if as_json:
        print_json("inspect/1", _document(found))
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
            }
            for network, members in _by_network(found.attachments)
        ],
        "attachments": [attached.to_json() for attached in found.attachments],
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
        click.echo(_summary(found.attachments))
    else:
        click.echo("no attachments; `pynet attach CONTAINER NETWORK` makes one")
    if found.elsewhere:
        click.echo(
            f"{found.elsewhere} more are recorded for other host namespaces: "
            "`pynet inspect` inside those shows them"
        )
    for word in found.unmatched:
        click.echo(f'nothing attached here is called "{word}"')
    for line in found.hidden:
        click.echo(f"hidden: {line}")


def _tree(found: Inspection) -> Branch:
    root = Branch(os.uname().nodename)
    for network, members in _by_network(found.attachments):
        below = root.add(network)
        shared = _shared_drift(members)
        for line, count in shared.items():
            below.add(f"{line} (for {count} attachments)")
        rows = _aligned([_cells(attached) for attached in members])
        bridges: dict[str, Branch] = {}
        for attached, row in zip(members, rows, strict=True):
            if attached.bridge and attached.bridge not in bridges:
                bridges[attached.bridge] = below.add(_bridge_label(found, attached.bridge))
            leaf = bridges.get(attached.bridge, below).add(row)
            for line in map(str, attached.drift):
                if line not in shared:
                    leaf.add(line)
            if hint := _HINTS.get(attached.condition):
                leaf.add(hint)
    return root


def _shared_drift(attachments: Sequence[Attached]) -> dict[str, int]:
    """What is not as it was made for several at once, and for how many."""
    counts = Counter(str(drift) for attached in attachments for drift in attached.drift)
    return {line: count for line, count in counts.items() if count > 1}


_HINTS = {
    "half done": "its ADD or DEL ended in its middle: the next one undoes it, and so does "
    "`pynet cni gc`",
    "namespace gone": "its network is held for nobody: a DEL, or `pynet cni gc`, gives it back",
    "namespace out of reach": "its path leads to no namespace, or to another one than was recorded",
}


def _bridge_label(found: Inspection, name: str) -> str:
    bridge = found.bridges[name]
    if not bridge.exists:
        return f"{name} (missing)"
    return "  ".join([name, *bridge.addresses, *([] if bridge.up else ["(down)"])])


def _cells(attached: Attached) -> list[str]:
    return [
        _short(attached.container),
        attached.interface,
        " ".join(attached.addresses) or "-",
        attached.host_interface or "-",
        attached.mac or "-",
        attached.netns or "-",
        str(attached.condition),
        age(time.time() - attached.created),
    ]


def _short(container: str) -> str:
    is_digest = len(container) == 64 and all(char in "0123456789abcdef" for char in container)
    return container[:_SHORT] if is_digest else container


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _summary(attachments: Sequence[Attached]) -> str:
    bad = [attached for attached in attachments if not attached.is_fine]
    noun = "attachment" if len(attachments) == 1 else "attachments"
    how = f"{len(bad)} not as it should be" if bad else "all as made"
    return f"{len(attachments)} {noun}, {how}"


def age(seconds: float) -> str:
    """A duration as people say it: its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
