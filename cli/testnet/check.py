"""`pynet testnet check`: what a topology says must work, and what must not, tried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..output import counted, json_option, print_json, say
from ..progress import Progress
from .source import labs_and_files, source, standing

if TYPE_CHECKING:
    from ...testnets.checks.checking import Outcome
    from ...testnets.live.testnet import Testnet
    from ...testnets.spec.topology import Check


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet check dual-stack              a lab of that name, or the gallery's file
  pynet testnet check ./mine.yaml -k tcp --junit results.xml
  pynet testnet check ./mine.yaml --json | jq '.checks[] | select(.passed | not)'
"""
)
@click.argument("word", metavar="FILE|NAME", shell_complete=labs_and_files)
@click.option("-k", "words", metavar="WORDS", default="", help="Only checks with all these words.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the outcomes to this file.")
@json_option
@click.pass_context
def check(ctx: click.Context, word: str, words: str, junit: Path | None, as_json: bool) -> None:
    """Run the checks of a topology.

    A lab NAME that stands is checked as it is. A FILE (or a name in the gallery) is brought up,
    checked, and taken down again.

    Exit status: 0 all passed, 1 some failed, 2 FILE is wrong.
    """
    with _testnet(word) as testnet:
        chosen = _chosen(testnet.topology.checks, words)
        outcomes = checked(testnet, chosen, quiet=as_json)
        name = testnet.topology.name
    if junit is not None:
        from ...testnets.checks.junit import junit as written

        junit.write_text(written(outcomes, name))
    if as_json:
        print_json("testnet.check/2", {"lab": name, "checks": documents(outcomes)})
    if failures(outcomes):
        ctx.exit(1)


@contextmanager
def _testnet(word: str) -> Iterator[Testnet]:
    from ...testnets.live.testnet import Testnet

    if found := standing(word):
        with Testnet.attach(found.state) as testnet:
            yield testnet
        return
    from ...testnets.live.naming import resolve_names

    read = source(word)
    with Progress() as progress:
        testnet = Testnet.up(read.topology, progress=progress)
    with testnet:
        resolve_names(testnet)
        yield testnet


def _chosen(checks: Sequence[Check], words: str) -> list[Check]:
    """Those with all the words in their titles. Raises `click.UsageError` where that is none."""
    chosen = [check for check in checks if all(word in _about(check) for word in words.split())]
    if checks and not chosen:
        from ...testnets.checks.checking import title

        known = "; ".join(title(check) for check in checks)
        raise click.UsageError(f"no check has {words!r} in it; there is: {known}")
    return chosen


def _about(check: Check) -> str:
    """Its title, and those of what a fault lets expect."""
    from ...testnets.checks.checking import title
    from ...testnets.spec.topology import Fault

    inner = (*check.expect, *check.heals) if isinstance(check, Fault) else ()
    return " ".join(title(each) for each in (check, *inner))


def checked(testnet: Testnet, checks: Sequence[Check], *, quiet: bool) -> list[Outcome]:
    """Run them; unless `quiet`, say of each at once what became of it."""
    from ...testnets.checks.checking import run_checks, title

    outcomes: list[Outcome] = []
    for check in checks:
        with Progress() as progress:
            progress(title(check))
            done = run_checks(testnet, [check])
        outcomes += done
        for outcome in () if quiet else done:
            _show(outcome)
    if not quiet:
        failed = len(failures(outcomes)) or "none"
        say(f"{counted(len(outcomes), 'check')}, {failed} failed")
    return outcomes


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that count against the lab."""
    return [outcome for outcome in outcomes if not (outcome.passed or outcome.skipped)]


def documents(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Outcomes, for a program; `message` is null where there is nothing to say."""
    return [{**vars(outcome), "message": outcome.message or None} for outcome in outcomes]


def _show(outcome: Outcome) -> None:
    how = "skipped" if outcome.skipped else "passed" if outcome.passed else "FAILED"
    say(f"{how:8}{outcome.name} ({outcome.seconds:.2f} s)")
    for line in outcome.message.splitlines():
        say(f"        {line}")
