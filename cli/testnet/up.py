"""`pynet testnet up`: a lab from a file, for as long as the command runs, or longer."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import values
from ..output import counted, json_option, print_json, say
from ..progress import Progress
from .changes import mended, readdressed
from .check import checked, documents, failures
from .source import Source, files, source

if TYPE_CHECKING:
    from ...testnets.checks.checking import Outcome
    from ...testnets.live.testnet import Testnet
    from ...testnets.standing.standing import Registry, Standing


def _name_problem(name: str) -> str:
    from ...testnets.standing.standing import NAME, NAME_RULE

    return "" if NAME.fullmatch(name) else f"can't be a lab's name: {NAME_RULE}"


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet up dual-stack                 until Ctrl-C
  pynet testnet up ./mine.yaml --check        until its checks are through
  pynet testnet up ./mine.yaml --detach       until `pynet testnet down mine`
"""
)
@click.argument("word", metavar="FILE", shell_complete=files)
@click.option(
    "--name",
    callback=values.checked(_name_problem),
    help="What the lab is called. [default: as the file says, or is called]",
)
@click.option("--check", is_flag=True, help="Run the checks of the file, too.")
@click.option("-d", "--detach", is_flag=True, help="Leave the lab standing: it outlives this.")
@json_option
@click.pass_context
def up(
    ctx: click.Context, word: str, name: str | None, check: bool, detach: bool, as_json: bool
) -> None:
    """Bring the topology FILE up: a file, or a name in the gallery.

    The lab is there for this command alone, until Ctrl-C, or with --check until its checks are
    through. With --detach it stays until `pynet testnet down`, or the machine's end.

    Where a lab of that name stands it becomes what FILE says now, what is right already is left
    as it is, and what was changed is said.

    Exit status: 1 where a check failed, 2 where FILE is wrong.
    """
    from ...testnets.standing.standing import Registry

    read = source(word)
    registry = Registry()
    with registry.changing(name := name or read.name):
        found = registry.find(name)
        raised = _converged(found, read, registry) if found else _made(name, read, detach, registry)
    try:
        if not as_json:
            _show(raised)
        outcomes = checked(raised.testnet, read.topology.checks, quiet=as_json) if check else None
        if as_json:
            _print(raised, outcomes)
        if not (raised.stays or check):
            _wait(raised.standing)
    finally:
        raised.leave(registry)
    if failures(outcomes or []):
        ctx.exit(1)


@dataclass(frozen=True)
class _Raised:
    """A lab as `up` has left it; `changed` is None for a new one, `seconds` how long it took."""

    testnet: Testnet
    standing: Standing
    stays: bool
    seconds: float
    changed: list[str] | None = None

    def leave(self, registry: Registry) -> None:
        """End it, or leave it to others."""
        self.testnet.close()
        if not self.stays:
            registry.forget(self.standing)


def _made(name: str, read: Source, detach: bool, registry: Registry) -> _Raised:
    from ...testnets.live.naming import resolve_names
    from ...testnets.live.testnet import Testnet
    from ...testnets.standing.standing import described

    begin = time.monotonic()
    with Progress() as progress:
        testnet = Testnet.up(read.topology, progress=progress)
    try:
        resolve_names(testnet)
        standing = described(testnet, name, _absolute(read.path), time.time())
        registry.record(standing)
        if detach:
            testnet.lab.stay()  # after the file: who is killed here leaves no lab nobody knows of
    except BaseException:
        testnet.end()
        raise
    return _Raised(testnet, standing, detach, time.monotonic() - begin)


def _converged(found: Standing, read: Source, registry: Registry) -> _Raised:
    from ...testnets.live.naming import resolve_names
    from ...testnets.live.testnet import Testnet
    from ...testnets.standing.standing import described

    begin = time.monotonic()
    testnet = Testnet.attach(found.state)
    before = testnet.topology
    with Progress() as progress:
        changed = testnet.converge(read.topology, progress=progress)
    changed += readdressed(before, testnet.topology) + mended(testnet.links.values())
    resolve_names(testnet)
    standing = described(testnet, found.name, _absolute(read.path), found.since)
    registry.record(standing)
    return _Raised(testnet, standing, True, time.monotonic() - begin, changed)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link keeps its name


def _wait(standing: Standing) -> None:
    """Until Ctrl-C, or until somebody ends the lab."""
    from ...testnets.standing.standing import wait_for_end

    say("Ctrl-C ends it", err=True)
    sys.stdout.flush()
    holder = os.pidfd_open(standing.pid)
    try:
        wait_for_end(holder)
        say(f"somebody has ended lab {standing.name}", err=True)
    except KeyboardInterrupt:
        say(f"lab {standing.name} is gone", err=True)
    finally:
        os.close(holder)


# --- what is said -------------------------------------------------------------------------------


def _show(raised: _Raised) -> None:
    standing = raised.standing
    if raised.changed is None:
        parts = f"{counted(standing.nodes, 'node')}, {counted(standing.containers, 'container')}"
        say(f"lab {standing.name} is up: {parts}, {raised.seconds:.2f} s")
    elif not raised.changed:
        say(f"lab {standing.name} is as the file says already")
    else:
        say(f"lab {standing.name} is as the file says now:")
        for line in raised.changed:
            say(f"  {line}")


def _print(raised: _Raised, outcomes: list[Outcome] | None) -> None:
    standing = raised.standing
    document = {
        "name": standing.name,
        "file": standing.file,
        "pid": standing.pid,
        "nodes": standing.nodes,
        "containers": standing.containers,
        "stays": raised.stays,
        "changed": raised.changed,
        "seconds": round(raised.seconds, 3),
    }
    more = {} if outcomes is None else {"checks": documents(outcomes)}
    print_json("testnet.up/2", document | more)
