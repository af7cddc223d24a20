"""Containers come and go, daemons and executables are killed; nothing may be left in the end.

Five parts: many containers at once, by daemon and one-shots mixed; the same while the daemon
is killed again and again; many callers at the same moment, of a daemon that was given little, or
while the ruleset is flushed; each plugin's cold executable killed at every fault point, by itself
and in a whole list; and mistakes made in a copy of the tree, each of which the tests must see.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "namespaces"))
sys.path.insert(0, str(Path(__file__).parent / "mutants"))

from chains import CHAIN
from churn import KINDS, Report, churn, lived_once
from cold_crashes import COMMANDS, PLUGINS, Crashes
from evidence import nothing_left, rest
from executables import Executables, again_and_again, daemon, daemon_pid
from mutants import known
from overload import WIDE, crowd, limited
from overload import Report as Crowd
from run import problems_of

from pynet.testnets.lab.lab import Host, Lab

_BETWEEN_KILLS = 1.5


def churned(plugins: Executables, kind: str, count: int, *, kills: bool) -> list[str]:
    """Beside one daemon, or where whichever there is gets killed."""
    with Lab() as lab:
        host = lab.host("churn")
        baseline = lived_once(host, kind)
        tell = partial(_progress, count)
        with _killing(host) if kills else daemon(host):
            report: Report = host.call(
                partial(churn, plugins, kind, count, kills=kills, progress=tell)
            )
        for what, number in sorted(report.counts.items()):
            say(f"  {number:7} {what}")
        left = nothing_left(baseline, host.call(rest))
        return report.failures + [f"left: {thing}" for thing in left]


def crowded(plugins: Executables, prefix: Sequence[str], count: int, flushed: float) -> list[str]:
    """All at once, of a daemon that `prefix` starts with less than it would have."""
    with Lab() as lab:
        host = lab.host("crowd")
        try:
            with limited(host, *prefix):
                crowd_all = partial(crowd, plugins, count, flushed, WIDE)
                report: Crowd = host.call(crowd_all)
        except AssertionError as error:
            return [str(error)]
    say(f"  {count} callers:{report.took}")
    return report.failures


def executables_killed(plugins: Executables, every: int) -> list[str]:
    """`every` point counts: 1 for all of them."""
    failures: list[str] = []
    doomed = [(plugin, plugin) for plugin in PLUGINS]
    doomed += [(config["type"], "chain") for config in CHAIN]
    for plugin, part in doomed:
        with Lab() as lab:
            host = lab.host("cold")
            for command in COMMANDS:
                crashes = Crashes(host, plugins, plugin, command, part)
                numbers = range(1, crashes.points["last"] + 1, every)
                where = "" if part == plugin else " in a whole list"
                say(f"  {plugin} {command}{where}: {len(numbers)} points")
                failures += crashes.at(numbers)
    return failures


@contextmanager
def _killing(host: Host) -> Iterator[None]:
    """Whatever daemon answers in the host is killed, until the block ends."""

    def kill() -> None:
        pid = daemon_pid(host)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with again_and_again(kill, _BETWEEN_KILLS):
        yield


def _progress(count: int, done: int) -> None:
    if done % max(1, count // 5) == 0:
        say(f"  {done} of {count} containers")


def say(text: str) -> None:
    print(text, flush=True)


def _parts(plugins: Executables, less: int) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    for name, kind in KINDS.items():
        yield f"many at once: {name}", partial(churned, plugins, name, 2000 // less, kills=False)
        # Most of what is called then is one-shots: as many for a long list as for a short one.
        count = 500 // len(kind.plugins(0)) // less
        yield f"the daemon killed: {name}", partial(churned, plugins, name, count, kills=True)
    for most in (64, 256, 1024):
        prefix = ("prlimit", f"--nofile={most}:{most}")
        # Most of these go one-shot, and all at once: what bounds them is this machine's memory.
        few = partial(crowded, plugins, prefix, 100 // less, 0.0)
        yield f"all at once: {most} descriptors", few
    many = partial(crowded, plugins, (), 500 // less, 0.1)
    yield "all at once: the ruleset is flushed all the time", many
    yield "executables killed", partial(executables_killed, plugins, less)
    yield "mistakes made", partial(problems_of, known()[::less])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where nothing failed and nothing was left, else 1."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    less = 10 if parser.parse_args(arguments).quick else 1
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pynet-soak-") as folder:
        plugins = Executables.install(Path(folder))
        for name, part in _parts(plugins, less):
            began = time.monotonic()
            say(name)
            failures += (found := part())
            say(f"  {len(found)} failures, {time.monotonic() - began:.0f} s")
    for failure in failures:
        say(f"failed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
