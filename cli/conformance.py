"""`pynet conformance`: what the CNI specification asks of plugins, asked of anybody's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from .lazy import did_you_mean
from .output import counted, json_option, print_json, print_table, print_text, say
from .progress import Progress

if TYPE_CHECKING:
    from ..conformance.checks import Check, Outcome
    from ..conformance.subject import Subject

_USUAL = Path("/opt/cni/bin")
_UNASKED = {"dhcp": "a DHCP server on the network", "tap": "/dev/net/tun on the host"}
"""Plugins of ours that have no network in the catalogue, and what that would need."""
_LARGEST_SEED = 999_999


def _plugins(ctx: click.Context, param: click.Parameter, begin: str) -> list[CompletionItem]:
    from ..conformance.catalogue import SAMPLES

    return [CompletionItem(name) for name in SAMPLES if name.startswith(begin)]


def _checks(ctx: click.Context, param: click.Parameter, begin: str) -> list[CompletionItem]:
    from ..conformance.families import ALL

    return [
        CompletionItem(check.full_name, help=check.title)
        for check in ALL
        if check.full_name.startswith(begin)
    ]


@click.command(
    epilog="""\
\b
Examples:
  pynet conformance                                   all plugins where pynet is installed
  pynet conformance bridge portmap --bin-dir /usr/lib/cni
  pynet conformance --bin-dir ./bin --config mine.conflist --junit results.xml
  pynet conformance bridge --only 'deleting.*' --skip documents.error-names-its-version
  pynet conformance bridge --json | jq '.outcomes[] | select(.verdict == "failed")'
  pynet conformance --list                            what is asked, and by which clause
"""
)
@click.argument("plugins", metavar="[PLUGIN]...", nargs=-1, shell_complete=_plugins)
@click.option(
    "--bin-dir",
    "folders",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Where the plugins are; may be given several times, as CNI_PATH has several directories. "
    "[default: where pynet is installed, else /opt/cni/bin]",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A network of your own, as *.conflist or *.conf: each plugin in it is asked, behind those "
    "that stand before it.",
)
@click.option(
    "--only", metavar="CHECK", multiple=True, shell_complete=_checks,
    help="Only these checks, or families: names, or patterns as the shell's.",
)  # fmt: skip
@click.option(
    "--skip", metavar="CHECK", multiple=True, shell_complete=_checks,
    help="All but these: what is known, and not to be mended.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, _LARGEST_SEED),
    help="When plugins are killed; a run prints the one that it has chosen.",
)  # fmt: skip
@click.option("--junit", type=click.Path(path_type=Path), help="Write the outcomes to this file.")
@click.option("--tap", is_flag=True, help="Print TAP, version 13.")
@click.option("--list", "listing", is_flag=True, help="List the checks, and run none.")
@click.option("-v", "--verbose", is_flag=True, help="Show what passed, and what was not asked.")
@json_option
@click.pass_context
def conformance(
    ctx: click.Context,
    plugins: tuple[str, ...],
    folders: tuple[Path, ...],
    config: Path | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    seed: int | None,
    junit: Path | None,
    tap: bool,
    listing: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Ask CNI plugins, pynet's or anybody's, what the CNI specification asks of them.

    Each check runs in namespaces of its own: nothing of this machine's network is touched, and root
    is not needed. A plugin that is not known by its name needs --config. Without PLUGIN, all that
    are known, and there, are asked.

    Exit status: 0 all passed, 1 findings, 2 wrong usage. What can't be asked of a plugin (its
    version is too old, the kernel lacks something) is not applicable, and no finding.
    """
    from ..conformance import running

    if tap and as_json:
        raise click.UsageError("--tap and --json both want stdout; take one")
    try:
        checks = running.chosen(only, skip)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if listing:
        _list(checks, as_json=as_json)
        return
    folders = folders or (_installed(),)
    subjects = _of_file(config, plugins) if config else _known(plugins, folders)
    seed = random.randint(0, _LARGEST_SEED) if seed is None else seed
    outcomes = _run(subjects, folders, checks, seed)
    if junit is not None:
        from ..conformance.reports import junit_xml

        junit.write_text(junit_xml(outcomes))
    if as_json:
        print_json("conformance/1", _document(outcomes, folders, seed))
    elif tap:
        from ..conformance.reports import tap as written

        print_text(written(outcomes, seed))
    else:
        _show(outcomes, seed, verbose=verbose)
    if any(outcome.failed for outcome in outcomes):
        ctx.exit(1)


# --- what is asked of whom ----------------------------------------------------------------------


def _installed() -> Path:
    """Where pynet's plugins are; /opt/cni/bin where they are nowhere. Raises `click.UsageError`."""
    from .install.in_force import DIRECTORIES
    from .install.installation import CantInstall, look

    for folder in DIRECTORIES:
        try:
            if look(folder).ours:
                return folder
        except (CantInstall, OSError):
            continue
    if not _USUAL.is_dir():
        raise click.UsageError(f"there is no {_USUAL}; name the plugins' directory: --bin-dir DIR")
    return _USUAL


def _known(plugins: Sequence[str], folders: Sequence[Path]) -> list[Subject]:
    """Those of the catalogue that are named; without names, all that are there."""
    from ..conformance.catalogue import SAMPLES
    from ..conformance.subject import find

    where = ", ".join(map(str, folders))
    for name in plugins:
        if name in _UNASKED:
            raise click.UsageError(
                f"{name} is not asked by its name: it needs {_UNASKED[name]}; give a network where "
                f"there is one: --config FILE (asked by name are {', '.join(SAMPLES)})"
            )
        if name not in SAMPLES:
            near = did_you_mean(name, SAMPLES)
            raise click.UsageError(
                f"no plugin {name!r} is known{near}; give a network that has it: --config FILE "
                f"(known are {', '.join(SAMPLES)})"
            )
        if find(name, folders) is None:
            raise click.UsageError(f"there is no {name} in {where}; see --bin-dir")
    chosen = plugins or [name for name in SAMPLES if find(name, folders)]
    if not chosen:
        raise click.UsageError(f"none of the known plugins is in {where}; see --bin-dir")
    return [SAMPLES[name] for name in dict.fromkeys(chosen)]


def _of_file(path: Path, plugins: Sequence[str]) -> list[Subject]:
    from ..cni.conflist import read_file
    from ..conformance.subject import subjects_of
    from ..model.errors import CniError
    from .cni.conf_dir import document

    try:
        network = read_file(path.name, document(path))
    except CniError as error:
        raise click.UsageError(error.msg) from None
    there = [str(config["type"]) for config in network.plugins]
    for name in plugins:
        if name not in there:
            raise click.UsageError(f"{path} has no plugin {name!r}; it has {', '.join(there)}")
    return subjects_of(network, plugins)


def _run(
    subjects: Sequence[Subject], folders: Sequence[Path], checks: Sequence[Check], seed: int
) -> list[Outcome]:
    from ..conformance.running import run
    from ..conformance.traces import missing
    from ..testnets.lab.forked import LabError

    if absent := missing():
        raise click.ClickException(
            f"there is no {', '.join(absent)} here; "
            "on Debian: apt install iproute2 nftables procps util-linux"
        )
    outcomes: list[Outcome] = []
    for subject in subjects:
        with Progress() as progress:
            try:
                found = list(run(subject, folders, checks, seed=seed, progress=progress))
            except LabError as error:
                raise click.ClickException(str(error)) from None
        say(f"{subject.plugin}: {_counts(found)}", err=True)
        outcomes += found
    return outcomes


# --- what is shown ------------------------------------------------------------------------------


def _counts(outcomes: Sequence[Outcome]) -> str:
    passed, failed, other = _tallied(outcomes)
    return f"{passed} passed, {failed} failed, {other} not applicable"


def _tallied(outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    from ..conformance.verdicts import FAILED, NOT_APPLICABLE, PASSED

    verdicts = [outcome.verdict for outcome in outcomes]
    return verdicts.count(PASSED), verdicts.count(FAILED), verdicts.count(NOT_APPLICABLE)


def _document(outcomes: Sequence[Outcome], folders: Sequence[Path], seed: int) -> dict[str, object]:
    passed, failed, other = _tallied(outcomes)
    return {
        "specification": "1.1.0",
        "seed": seed,
        "bin_dirs": [str(folder) for folder in folders],
        "passed": passed,
        "failed": failed,
        "not_applicable": other,
        "outcomes": [outcome.to_json() for outcome in outcomes],
    }


def _show(outcomes: Sequence[Outcome], seed: int, *, verbose: bool) -> None:
    from ..conformance.reports import explained

    for outcome in outcomes:
        if not (outcome.failed or verbose):
            continue
        verdict = "FAILED" if outcome.failed else outcome.verdict
        said = f": {outcome.message}" if outcome.message else ""
        say(f"{verdict:15}{outcome.plugin} {outcome.check.full_name}{said}")
        for line in explained(outcome) if outcome.failed else ():
            say(f"    {line}")
    rows = [_row(name, outcomes) for name in dict.fromkeys(one.plugin for one in outcomes)]
    print_table(("plugin", "passed", "failed", "not applicable"), rows)
    failed = _tallied(outcomes)[1]
    say(f"{counted(failed, 'finding') if failed else 'no findings'}, seed {seed}")


def _row(plugin: str, outcomes: Sequence[Outcome]) -> list[str]:
    own = [outcome for outcome in outcomes if outcome.plugin == plugin]
    return [plugin, *map(str, _tallied(own))]


def _list(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        found = [
            {"check": one.full_name, "title": one.title, "clause": one.clause,
             "roles": sorted(one.roles), "since": one.since}
            for one in checks
        ]  # fmt: skip
        print_json("conformance.list/1", {"checks": found})
        return
    rows = [(one.full_name, one.title, one.clause) for one in checks]
    print_table(("check", "what is expected", "clause"), rows)
