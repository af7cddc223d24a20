"""`pynet install`: the plugins' place in a runtime's directory, and the daemon's in systemd."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from . import installation, systemd
from .file_changes import Change
from .install_output import apply, place_options, said_to_people, show, show_json, some
from .installation import BESIDE, CantInstall, NotOurs, Wanted
from .output import json_option


@click.command()
@place_options
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
@click.option(
    "--systemd",
    "units",
    is_flag=True,
    help="Have systemd start the daemon for its first caller, and keep it.",
)
@click.option("--no-start", is_flag=True, help="Write the units, and do not have them started.")
@json_option
def install(
    bin_dirs: Sequence[Path],
    replace: bool,
    allow_writable_interpreter: bool,
    state_dir: Path | None,
    socket: Path | None,
    units: bool,
    unit_dir: Path,
    no_start: bool,
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
      pynet install --systemd                    and a daemon that is always there
    """
    if no_start and not units:
        raise click.UsageError("--no-start is about the units that --systemd writes")
    with said_to_people():
        _check_interpreter(allow_writable_interpreter)
        launcher, compiled = _launcher()
        settings = {"python": sys.executable}
        settings |= {"state": str(state_dir.absolute())} if state_dir else {}
        settings |= {"socket": str(socket.absolute())} if socket else {}
        wanted = Wanted(launcher, settings, _plugins())
        directories = [path.absolute() for path in bin_dirs]
        # All of them first: a refusal for the second directory must leave the first alone.
        plans = {path: _plan_install(path, wanted, replace) for path in directories}
        unit_changes: list[Change] = []
        if units:
            unit_changes = systemd.to_install(
                unit_dir.absolute(),
                _told(directories[0], wanted),
                start=not no_start,
                renewed=any(plans.values()),
            )
        if not dry_run:
            for path in directories:
                with installation.exclusively(path):
                    plans[path] = _plan_install(path, wanted, replace)
                    apply(plans[path])
            apply(unit_changes)
    if as_json:
        kind = "compiled" if compiled else "python"
        names = sorted(wanted.plugins)
        show_json("install/1", dry_run, plans, unit_changes, launcher=kind, plugins=names)
        return
    for path, changes in plans.items():
        done = f"{len(wanted.plugins)} plugins installed: {', '.join(sorted(wanted.plugins))}"
        show(path, changes, dry_run, done)
    if units:
        show(unit_dir, unit_changes, dry_run, f"{systemd.SERVICE} and {systemd.SOCKET} installed")
        if not systemd.is_running():
            click.echo(
                f"  systemd does not run here; there: systemctl enable --now {systemd.SOCKET}"
            )
    if not compiled:
        click.echo(
            "This package has no compiled launcher (there was no C compiler when it was built): "
            "each call of a plugin starts a Python interpreter first, about 30 ms more."
        )


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
    found, searched = _package_of(python)
    if found != package:
        sees = f"finds another one, {found}" if found else "finds none"
        raise CantInstall(
            f"plugins will run `{python} -I`, which looks for pynet without PYTHONPATH and the "
            f"current directory, and {sees}; this one is {package}: "
            f"install it first (`{python} -m pip install {package}`)"
        )
    if os.geteuid() != 0 or allow_writable:
        return
    findings = trusted.writable_by_others(Path(python), package, searched)
    if findings:
        raise CantInstall(
            "root would run, with each container, what others can change: "
            f"{some([str(finding) for finding in findings])}; install pynet where only root can "
            "write (`python3 -m venv /opt/pynet/venv`), or use --allow-writable-interpreter"
        )


def _package_of(python: str) -> tuple[Path | None, list[Path]]:
    """Where the isolated interpreter finds pynet (None where it doesn't), and where it looks."""
    from subprocess import DEVNULL, run

    ask = "import os, sys, pynet; print(os.path.realpath(pynet.__file__), *sys.path, sep='\\0')"
    done = run(
        [python, "-I", "-c", ask], stdin=DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None, []
    package, *searched = done.stdout.rstrip("\n").split("\0")
    return Path(package).parent, [Path(path) for path in searched if path]


def _told(path: Path, wanted: Wanted) -> dict[str, str]:
    """The launcher's settings there, once this is installed."""
    found = installation.look(path)
    return installation.read_settings(
        installation.configured(found.configuration or "", wanted.settings)
    )


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
        f"{len(files)} of the names are somebody else's: {some(named)}; install beside them with "
        f"`pynet install --bin-dir {beside}`, or in their place with --replace "
        f"(then they are kept in {path / installation.KEPT})"
    )


def _package_in_words(package: str | None) -> str:
    return f"of package {package}" if package else "of no package"
