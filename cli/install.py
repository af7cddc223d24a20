"""`pynet install`, `pynet uninstall`: the plugins' place in a runtime's directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import installation
from .file_changes import Change
from .installation import BESIDE, BIN_DIR, CantInstall, Found, NotOurs, Wanted
from .output import json_option, print_json

if TYPE_CHECKING:
    from ..store.records import Record
    from ..store.store import Store

_SHOWN = 5
"""How many of a long list of findings an error shows."""

_bin_dirs = click.option(
    "--bin-dir",
    "bin_dirs",
    type=click.Path(path_type=Path, resolve_path=False),
    multiple=True,
    default=(BIN_DIR,),
    show_default=True,
    help="Directory the runtime looks for plugins in; may be given several times.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


@click.command()
@_bin_dirs
@click.option(
    "--replace",
    is_flag=True,
    help="Take the place of other plugins of the same names; they are kept, "
    "and `pynet uninstall` puts them back.",
)
@click.option(
    "--allow-writable-interpreter",
    is_flag=True,
    help="Install although others than root can change what root will run "
    "(for a development checkout on a machine of your own).",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    envvar="PYNET_STATE_DIR",
    help="Where the plugins keep their state. [default: /run/pynet]",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    envvar="PYNET_SOCKET",
    help="Where they find the daemon. [default: pynetd.sock in the state directory]",
)
@_dry_run
@json_option
def install(
    bin_dirs: Sequence[Path],
    replace: bool,
    allow_writable_interpreter: bool,
    state_dir: Path | None,
    socket: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put pynet's plugins where a container runtime looks for them.

    One launcher is copied, and each plugin's name is a link to it. A second run changes
    nothing; one after an upgrade brings all up to date. Other plugins are not touched
    without --replace.

    \b
    Examples:
      pynet install                              into /opt/cni/bin
      pynet install --bin-dir /opt/pynet/bin     beside what is there
      pynet install --replace --dry-run          what it would take the place of
    """
    with _said_to_people():
        _check_interpreter(allow_writable_interpreter)
        launcher, compiled = _launcher()
        settings = {"python": sys.executable}
        settings |= {"state": str(state_dir.absolute())} if state_dir else {}
        settings |= {"socket": str(socket.absolute())} if socket else {}
        wanted = Wanted(launcher, settings, _plugins())
        directories = [path.absolute() for path in bin_dirs]
        # All of them first: a refusal for the second directory must leave the first alone.
        plans = {path: _plan_install(path, wanted, replace) for path in directories}
        if not dry_run:
            for path in directories:
                with installation.exclusively(path):
                    plans[path] = _plan_install(path, wanted, replace)
                    _apply(plans[path])
    if as_json:
        kind = "compiled" if compiled else "python"
        _show_json("install/1", dry_run, plans, launcher=kind, plugins=sorted(wanted.plugins))
        return
    for path, changes in plans.items():
        done = f"{len(wanted.plugins)} plugins installed: {', '.join(sorted(wanted.plugins))}"
        _show(path, changes, dry_run, done)
    if not compiled:
        click.echo(
            "This package has no compiled launcher (there was no C compiler when it was built): "
            "each call of a plugin starts a Python interpreter first, about 30 ms more."
        )


@click.command()
@_bin_dirs
@click.option("--force", is_flag=True, help="Although containers are attached; they stay so.")
@click.option("--state-dir", type=click.Path(path_type=Path), envvar="PYNET_STATE_DIR", hidden=True)
@_dry_run
@json_option
def uninstall(
    bin_dirs: Sequence[Path], force: bool, state_dir: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Take pynet's plugins away, and put back what they replaced.

    Only what `pynet install` put there is removed. While containers are attached it
    refuses: nothing could take their networks down any more.

    \b
    Examples:
      pynet uninstall                            from /opt/cni/bin
      pynet uninstall --bin-dir /opt/pynet/bin   from beside it
    """
    with _said_to_people():
        directories = [path.absolute() for path in bin_dirs]
        plans: dict[Path, list[Change]] = {}
        for path in directories:
            found = installation.look(path)
            plans[path] = installation.to_uninstall(found)
            if found.is_installed and not force:
                _refuse_while_attached(found, state_dir)
        if not dry_run:
            for path in directories:
                with installation.exclusively(path):
                    found = installation.look(path)
                    plans[path] = installation.to_uninstall(found)
                    _apply(plans[path])
                    _hand_back(found, state_dir)
    if as_json:
        _show_json("uninstall/1", dry_run, plans)
        return
    for path, changes in plans.items():
        _show(path, changes, dry_run, "pynet's plugins are removed")
        for kept in installation.stays(installation.look(path)):
            click.echo(f"  {kept} stays: {path / kept.name} is somebody else's by now")


# --- the pieces of an installation -------------------------------------------------------


def _launcher() -> tuple[bytes, bool]:
    """The launcher, and whether it is the compiled one. Raises OSError, `CantInstall`."""
    from ..launcher import executable
    from ..launcher.fallback import script

    binary = executable()
    if binary is not None:
        return binary.read_bytes(), True
    # The kernel reads 256 bytes of a script's first line, and splits it at blanks.
    if len(os.fsencode(sys.executable)) > 240 or " " in sys.executable:
        raise CantInstall(
            f"without a compiled launcher the interpreter's path must be short and have no "
            f"blanks, and {sys.executable} isn't; install a C compiler, then pynet again"
        )
    return script(sys.executable).encode(), False


def _plugins() -> frozenset[str]:
    from ..plugins import registry

    return registry.names()


def _check_interpreter(allow_writable: bool) -> None:
    """The one-shot runs isolated, as root: it must find this package, and nobody may change it.

    Raises `CantInstall`.
    """
    from . import trusted

    package = Path(__file__).resolve().parent.parent
    python = sys.executable
    if not python or not Path(python).is_absolute():
        raise CantInstall(
            "which Python interpreter runs this can't be told: start pynet by its path"
        )
    found = _package_of(python)
    if found != package:
        sees = f"finds another one, {found}" if found else "finds none"
        raise CantInstall(
            f"plugins will run `{python} -I`, which looks for pynet without PYTHONPATH and the "
            f"current directory, and {sees}; this one is {package}: "
            f"install it first (`{python} -m pip install {package}`)"
        )
    if os.geteuid() != 0 or allow_writable:
        return
    findings = trusted.writable_by_others(Path(python), package)
    if findings:
        raise CantInstall(
            "root would run, with each container, what others can change: "
            f"{_some([str(finding) for finding in findings])}; install pynet where only root can "
            "write (`python3 -m venv /opt/pynet/venv`), or use --allow-writable-interpreter"
        )


def _package_of(python: str) -> Path | None:
    """Where the isolated interpreter finds pynet; None where it doesn't."""
    from subprocess import DEVNULL, run

    ask = "import pynet, os; print(os.path.dirname(os.path.realpath(pynet.__file__)))"
    done = run(
        [python, "-I", "-c", ask], stdin=DEVNULL, capture_output=True, text=True, check=False
    )
    return Path(done.stdout.rstrip("\n")) if done.returncode == 0 else None


def _plan_install(path: Path, wanted: Wanted, replace: bool) -> list[Change]:
    try:
        return installation.to_install(installation.look(path), wanted, replace=replace)
    except NotOurs as error:
        raise CantInstall(_in_the_way(path, error.files)) from None


def _in_the_way(path: Path, files: Sequence[Path]) -> str:
    packages = installation.owners(files)
    named = [f"{file} ({_package_in_words(packages.get(file))})" for file in files]
    beside = BESIDE if path != BESIDE else path.with_name("pynet-bin")
    return (
        f"{len(files)} of the names are somebody else's: {_some(named)}; install beside them with "
        f"`pynet install --bin-dir {beside}`, or in their place with --replace "
        f"(then they are kept in {path / installation.KEPT})"
    )


def _package_in_words(package: str | None) -> str:
    return f"of package {package}" if package else "of no package"


def _some(items: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return ", ".join([*items[:_SHOWN], *more])


def _refuse_while_attached(found: Found, state_dir: Path | None) -> None:
    """Raises `CantInstall` that names who is attached, `CniError`."""
    records = _attached(found, state_dir)
    if records:
        names = sorted({f"{r.container} to {r.network} as {r.interface}" for r in records})
        raise CantInstall(
            f"{_counted(len(names), 'container')} attached, and without {found.path} nothing "
            f"would take it down again: {_some(names)}; stop them first, or use --force"
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


# --- doing and showing --------------------------------------------------------------------


@contextmanager
def _said_to_people() -> Iterator[None]:
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


def _apply(changes: Sequence[Change]) -> None:
    for change in changes:
        change.apply()


def _show(path: Path, changes: Sequence[Change], dry_run: bool, done: str) -> None:
    if not changes:
        click.echo(f"{path}: nothing to do")
    elif dry_run:
        click.echo(f"{path}: would")
        for change in changes:
            click.echo(f"  {change.describe()}")
    else:
        click.echo(f"{path}: {done}")
        for change in changes:
            if change.action in ("keep", "put back"):
                click.echo(f"  {change.describe()}")


def _show_json(schema: str, dry_run: bool, plans: dict[Path, list[Change]], **more: object) -> None:
    directories = [
        {"path": str(path), "changes": [change.to_json() for change in changes]}
        for path, changes in plans.items()
    ]
    print_json(schema, {"dry_run": dry_run, **more, "directories": directories})
