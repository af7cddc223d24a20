"""What `pynet install` and `pynet uninstall` share: options, and how changes are made and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ..output import say
from .file_changes import Change
from .installation import BIN_DIR, CantInstall
from .systemd import UNIT_DIR

Command = TypeVar("Command", bound=Callable[..., Any])

_SHOWN = 5
"""How many of a long list of findings an error shows."""


def place_options(command: Command) -> Command:
    """--bin-dir, --unit-dir and --dry-run, as `bin_dirs`, `unit_dir` and `dry_run`."""
    for option in (_dry_run, _unit_dir, _bin_dirs):
        command = option(command)
    return command


_bin_dirs = click.option(
    "--bin-dir",
    "bin_dirs",
    type=click.Path(path_type=Path, resolve_path=False),
    multiple=True,
    default=(BIN_DIR,),
    show_default=True,
    help="Directory the runtime looks for plugins in; may be given several times.",
)
_unit_dir = click.option(
    "--unit-dir",
    type=click.Path(path_type=Path),
    default=UNIT_DIR,
    show_default=True,
    help="Where systemd's units are.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


def some(items: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return ", ".join([*items[:_SHOWN], *more])


@contextmanager
def said_to_people() -> Iterator[None]:
    """Refusals as one line each, with what to do."""
    try:
        yield
    except CantInstall as error:
        raise click.ClickException(str(error)) from None
    except PermissionError as error:
        raise click.ClickException(
            f"{error.filename}: {error.strerror}; run it as root, "
            "or choose a directory of your own with --bin-dir"
        ) from None


def apply(changes: Sequence[Change]) -> None:
    for change in changes:
        change.apply()


def show(path: Path, changes: Sequence[Change], dry_run: bool, done: str) -> None:
    if not changes:
        say(f"{path}: nothing to do")
    elif dry_run:
        say(f"{path}: would")
        for change in changes:
            say(f"  {change.describe()}")
    else:
        say(f"{path}: {done}")
        for change in changes:
            if change.action in ("keep", "put back"):
                say(f"  {change.describe()}")


def change_documents(
    plans: dict[Path, list[Change]], unit_changes: Sequence[Change]
) -> dict[str, Any]:
    """What becomes of each directory, and of the units."""
    directories = [
        {"path": str(path), "changes": [change.to_json() for change in changes]}
        for path, changes in plans.items()
    ]
    return {"directories": directories, "units": [change.to_json() for change in unit_changes]}
