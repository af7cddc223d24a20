"""`pynet uninstall`: the plugins' places, given back; and what stays, or goes with --purge."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..failure import line
from ..install import installation, systemd
from ..install.attached import named, records_of, state_of, store_of
from ..install.file_changes import Change
from ..install.installation import CantInstall, Found
from ..install.output import apply, change_documents, place_options, said_to_people, show, some
from ..output import json_option, print_json, say

if TYPE_CHECKING:
    from ...daemon.settings import Settings
    from .remains import Remain


@click.command()
@place_options
@click.option("--purge", is_flag=True, help="All that pynet has made on this host goes, too.")
@click.option(
    "--force",
    is_flag=True,
    help="Although containers are attached: they stay so, or, with --purge, are cut off.",
)
@click.option("--state-dir", type=click.Path(path_type=Path), envvar="PYNET_STATE_DIR", hidden=True)
@json_option
@click.pass_context
def uninstall(
    ctx: click.Context,
    bin_dirs: Sequence[Path],
    purge: bool,
    force: bool,
    state_dir: Path | None,
    unit_dir: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take pynet's plugins away, its units and agent too, and put back what they replaced.

    Only what `pynet install` put there is removed; what stays is named, and why. --purge ends
    the daemon, and removes what containers have left on this host: pynet's nftables tables, its
    rules in others' chains, its bridges and state, and forwarding that it has switched on.

    While containers are attached it refuses: nothing could take their networks down any more.

    \b
    Examples:
      pynet uninstall                            from /opt/cni/bin
      pynet uninstall --bin-dir /opt/pynet/bin   from beside it
      pynet uninstall --purge --dry-run          what would go
    """
    with said_to_people():
        directories = [path.absolute() for path in bin_dirs]
        work = _planned(directories, unit_dir.absolute(), state_dir, purge=purge, force=force)
        if work.refusal and not dry_run:
            raise work.refusal
        if not dry_run:
            _carry_out(work, directories, state_dir, purge=purge)
    if as_json:
        _print_json(work, dry_run, purge)
    else:
        _show(work, dry_run, purge)
    if work.left or work.refusal:
        ctx.exit(1)


@dataclass
class _Work:
    """`host` is what is, or would be, left on the host; `left` what could not be taken away."""

    plans: dict[Path, list[Change]]
    units: list[Change]
    unit_dir: Path
    settings: list[Settings]
    host: list[Remain] = field(default_factory=list)
    hidden: str = ""
    left: list[str] = field(default_factory=list)
    refusal: CantInstall | None = None
    """Why it is not done; a dry run shows what would be done with --force, too."""


def _planned(
    directories: Sequence[Path], unit_dir: Path, state_dir: Path | None, *, purge: bool, force: bool
) -> _Work:
    """Raises `CantInstall`, `CniError`, OSError."""
    found = [installation.look(path) for path in directories]
    elsewhere = _elsewhere(directories)
    if purge and elsewhere:
        raise CantInstall(
            f"plugins of pynet's are in {elsewhere} too, and need what --purge removes: add"
            f" --bin-dir {elsewhere}"
        )
    work = _Work(
        {each.path: installation.to_uninstall(each) for each in found},
        [] if elsewhere else systemd.to_uninstall(unit_dir),
        unit_dir,
        _settings(found, state_dir),
    )
    _look_at_host(work, must=purge)
    if not force:
        installed = [each for each in found if each.is_installed]
        refusals = [_cutting(work)] if purge else [_attached(each, state_dir) for each in installed]
        work.refusal = next(filter(None, refusals), None)
    return work


def _look_at_host(work: _Work, *, must: bool) -> None:
    """What is left there; where that can't be seen, why: what it `must` see it raises for."""
    from ...model.errors import CniError
    from .remains import remains

    try:
        work.host = [remain for settings in work.settings for remain in remains(settings)]
    except (CniError, OSError) as error:
        if must:
            raise
        work.host, work.hidden = [], line(error)


def _settings(found: Sequence[Found], state_dir: Path | None) -> list[Settings]:
    """Of the plugins there, each state directory once; without plugins the usual one."""
    from ...daemon.settings import settings

    chosen: dict[Path, Settings] = {}
    for each in [one for one in found if one.is_installed] or found[:1]:
        socket = installation.read_settings(each.configuration or "").get("socket")
        place = Path(socket) if socket else None
        one = settings(os.environ, state=state_of(each, state_dir), socket=place)
        chosen.setdefault(one.state, one)
    return list(chosen.values())


def _elsewhere(directories: Sequence[Path]) -> Path | None:
    """Where else in the usual directories plugins of ours are: for them daemon and agent stay."""
    from ..install.in_force import DIRECTORIES

    others = (path for path in DIRECTORIES if path not in directories and path.is_dir())
    return next((path for path in others if installation.look(path).is_installed), None)


def _attached(found: Found, state_dir: Path | None) -> CantInstall | None:
    """A refusal that names who is attached. Raises `CniError`.

    Whoever is on no record here is attached all the same.
    """
    from ..findings.strangers import unplaced

    if names := named(records_of(found, state_dir)):
        them = "it" if len(names) == 1 else "them"
        return CantInstall(
            f"{_counted(len(names), 'container')} attached, and without {found.path} nothing "
            f"detaches {them} again: {some(names)}; stop {them} first, or use --force"
        )
    if lost := unplaced(state_of(found, state_dir)).strangers:
        return CantInstall(f"{lost}; stop them first, or use --force")
    return None


def _cutting(work: _Work) -> CantInstall | None:
    """A refusal that names who would be cut off."""
    cut = [remain.what for remain in work.host if remain.lives]
    if not cut:
        return None
    them = "it" if len(cut) == 1 else "them"
    return CantInstall(
        f"{_counted(len(cut), 'container')} attached, and would be cut off: {some(cut)}; stop"
        f" {them} first, or cut {them} off with --force (--dry-run shows all)"
    )


def _counted(number: int, noun: str) -> str:
    return f"1 {noun} is" if number == 1 else f"{number} {noun}s are"


# --- it is done -----------------------------------------------------------------------------


def _carry_out(
    work: _Work, directories: Sequence[Path], state_dir: Path | None, *, purge: bool
) -> None:
    """Raises `CantInstall`, `CniError`, OSError."""
    from ..agent_probe import stop

    apply(work.units)
    for path in directories:
        with installation.exclusively(path):
            found = installation.look(path)
            if found.is_installed and not (purge or _elsewhere(directories)):
                stop(state_of(found, state_dir))
            work.plans[path] = installation.to_uninstall(found)
            apply(work.plans[path])
            _hand_back(found, state_dir)
    if not purge:
        _look_at_host(work, must=False)
        return
    for remain in work.host:
        work.left += remain.undo()


def _hand_back(found: Found, state_dir: Path | None) -> None:
    """Who comes back gives out addresses by files again: what these say may not be remembered."""
    store = store_of(found, state_dir) if found.is_installed else None
    if store is not None:
        with store.write() as tx:
            tx.hand_back()


# --- what is said ---------------------------------------------------------------------------


def _print_json(work: _Work, dry_run: bool, purge: bool) -> None:
    host = [remain.to_json() for remain in work.host]
    print_json(
        "uninstall/1",
        {
            "dry_run": dry_run,
            **change_documents(work.plans, work.units),
            "purged": host if purge else [],
            "stays": [] if purge else host,
            "hidden": work.hidden or None,
            "left": work.left,
            "refusal": str(work.refusal) if work.refusal else None,
        },
    )


def _show(work: _Work, dry_run: bool, purge: bool) -> None:
    if work.units:
        show(work.unit_dir, work.units, dry_run, "the units of daemon and agent are removed")
    for path, changes in work.plans.items():
        show(path, changes, dry_run, "pynet's plugins are removed")
        for kept in installation.stays(installation.look(path)):
            say(f"  {kept} stays: {path / kept.name} is somebody else's by now")
    if purge:
        _show_purged(work, dry_run)
    else:
        _show_what_stays(work)
    if work.refusal:
        say(f"refused without --force: {work.refusal}")


def _show_what_stays(work: _Work) -> None:
    for remain in work.host:
        say(f"stays: {remain.what} ({remain.why})")
    if work.host:
        lives = any(remain.lives for remain in work.host)
        cuts = ", and cuts off who is attached" if lives else ""
        say(f"`pynet uninstall --purge{' --force' if lives else ''}` takes that away, too{cuts}")
    if work.hidden:
        say(f"what stays on this host can't be seen: {work.hidden}")


def _show_purged(work: _Work, dry_run: bool) -> None:
    say(f"this host: {'would' if dry_run else 'done'}" if work.host else "this host: clean")
    for remain in work.host:
        say(f"  {remain.describe()}")
    for line_ in work.left:
        say(f"left: {line_}")
    for networks in _networks():
        say(networks)


def _networks() -> list[str]:
    """Configurations are the user's own."""
    from ..cni.conf_dir import directory, networks

    names = [found.network.name for found in networks(directory()) if found.network]
    if not names:
        return []
    return [
        f"stays: the configuration of {some(names)} in {directory()} (it is yours);"
        " `pynet network rm NAME` removes it"
    ]
