"""`pynet uninstall`: the plugins' place in a runtime's directory, given back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import installation, systemd
from .file_changes import Change
from .install_output import apply, place_options, said_to_people, show, show_json, some
from .installation import CantInstall, Found
from .output import json_option

if TYPE_CHECKING:
    from ..store.records import Record
    from ..store.store import Store


@click.command()
@place_options
@click.option("--force", is_flag=True, help="Although containers are attached; they stay so.")
@click.option("--state-dir", type=click.Path(path_type=Path), envvar="PYNET_STATE_DIR", hidden=True)
@json_option
def uninstall(
    bin_dirs: Sequence[Path],
    force: bool,
    state_dir: Path | None,
    unit_dir: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take pynet's plugins away, its units too, and put back what they replaced.

    Only what `pynet install` put there is removed. While containers are attached it
    refuses: nothing could take their networks down any more.

    \b
    Examples:
      pynet uninstall                            from /opt/cni/bin
      pynet uninstall --bin-dir /opt/pynet/bin   from beside it
    """
    with said_to_people():
        directories = [path.absolute() for path in bin_dirs]
        plans: dict[Path, list[Change]] = {}
        for path in directories:
            found = installation.look(path)
            plans[path] = installation.to_uninstall(found)
            if found.is_installed and not force:
                _refuse_while_attached(found, state_dir)
        unit_changes = (
            [] if _is_elsewhere(directories) else systemd.to_uninstall(unit_dir.absolute())
        )
        if not dry_run:
            apply(unit_changes)
            for path in directories:
                with installation.exclusively(path):
                    found = installation.look(path)
                    plans[path] = installation.to_uninstall(found)
                    apply(plans[path])
                    _hand_back(found, state_dir)
    if as_json:
        show_json("uninstall/1", dry_run, plans, unit_changes)
        return
    if unit_changes:
        show(unit_dir, unit_changes, dry_run, "the daemon's units are removed")
    for path, changes in plans.items():
        show(path, changes, dry_run, "pynet's plugins are removed")
        for kept in installation.stays(installation.look(path)):
            click.echo(f"  {kept} stays: {path / kept.name} is somebody else's by now")


def _is_elsewhere(directories: Sequence[Path]) -> bool:
    """Whether plugins of ours are left in another of the usual directories: for the daemon."""
    from .readiness import DIRECTORIES

    others = (path for path in DIRECTORIES if path not in directories and path.is_dir())
    return any(installation.look(path).is_installed for path in others)


def _refuse_while_attached(found: Found, state_dir: Path | None) -> None:
    """Raises `CantInstall` that names who is attached, `CniError`."""
    records = _attached(found, state_dir)
    if records:
        names = sorted({f"{r.container} to {r.network} as {r.interface}" for r in records})
        raise CantInstall(
            f"{_counted(len(names), 'container')} attached, and without {found.path} nothing "
            f"would take it down again: {some(names)}; stop them first, or use --force"
        )


def _counted(number: int, noun: str) -> str:
    return f"1 {noun} is" if number == 1 else f"{number} {noun}s are"


def _attached(found: Found, state_dir: Path | None) -> list[Record]:
    store = _store(found, state_dir)
    if store is None:
        return []
    with store.read() as tx:
        return tx.records()


def _hand_back(found: Found, state_dir: Path | None) -> None:
    """Who comes back gives out addresses by files again: what these say may not be remembered."""
    store = _store(found, state_dir) if found.is_installed else None
    if store is not None:
        with store.write() as tx:
            tx.hand_back()


def _store(found: Found, state_dir: Path | None) -> Store | None:
    """The store of the plugins in this directory, if they have made one."""
    from ..store.location import state_directory
    from ..store.store import FILE, Store

    said = installation.read_settings(found.configuration or "").get("state")
    state = state_dir or (Path(said) if said else state_directory())
    return Store.open(state) if (state / FILE).exists() else None
