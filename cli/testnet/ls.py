"""`pynet testnet ls`: the labs that stand."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..output import age, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from ...testnets.standing.standing import Standing


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet ls
  pynet testnet ls --json | jq -r '.labs[].name'
"""
)
@json_option
def ls(as_json: bool) -> None:
    """List the labs of this user that stand, and what is in them."""
    from ...testnets.standing.standing import Registry

    found = list(Registry())
    if as_json:
        print_json("testnet.ls/1", {"labs": [_document(lab) for lab in found]})
    elif found:
        rows = [_row(lab) for lab in found]
        print_table(("NAME", "NODES", "CONTAINERS", "SINCE", "PID", "FILE"), rows)
    else:
        say("no lab stands; `pynet testnet up FILE --detach` makes one")


def _document(lab: Standing) -> dict[str, object]:
    return {
        "name": lab.name,
        "file": lab.file,
        "nodes": lab.nodes,
        "containers": lab.containers,
        "since": datetime.fromtimestamp(lab.since, UTC).isoformat(timespec="seconds"),
        "pid": lab.pid,
    }


def _row(lab: Standing) -> tuple[str, ...]:
    since = age(time.time() - lab.since)
    return (lab.name, str(lab.nodes), str(lab.containers), since, str(lab.pid), lab.file)
