"""`pynet install`: the plugins' place in a runtime's directory, and the daemon's in systemd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from .. import values
from ..output import counted, json_option, print_json, say
from . import installation, systemd
from .file_changes import Change, Remove
from .installation import BESIDE, CantInstall, NotOurs, Wanted
from .leaving import to_end
from .output import apply, change_documents, place_options, said_to_people, show, some


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
    callback=values.socket,
    help="Where they find the daemon. [default: pynetd.sock in the state directory]",
)
@click.option(
    "--systemd",
    "units",
    is_flag=True,
    help="Have systemd start daemon and agent for their first caller, and keep them.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Although containers are attached by another state directory: they stay on record there.",
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
    force: bool,
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
        wanted = Wanted(launcher, _settings(state_dir, socket), _plugins())
        directories = [path.absolute() for path in bin_dirs]
        if not allow_writable_interpreter:
            _check_places([*directories, *([state_dir.absolute()] if state_dir else [])])
        _check_states(directories, wanted)
        if not force:
            for path in directories:
                _refuse_to_forget(path, wanted)
        before = {path: _told(path) for path in directories}
        # All of them first: a refusal for the second directory must leave the first alone.
        needed = {path: _needed(path, wanted) for path in directories}
        plans = {path: _plan_install(path, wanted, replace, needed[path]) for path in directories}
        unit_changes: list[Change] = []
        if units:
            unit_changes = systemd.to_install(
                unit_dir.absolute(),
                _told(directories[0], wanted.settings),
                start=not no_start,
                renewed=any(plans.values()),
            )
        if not dry_run:
            for path in directories:
                with installation.exclusively(path):
                    plans[path] = _plan_install(path, wanted, replace, needed[path])
                    apply(plans[path])
            apply(unit_changes)
    if as_json:
        kind = "compiled" if compiled else "python"
        names = sorted(wanted.plugins)
        kept = {str(path): dict(who) for path, who in needed.items() if who}
        more = {
            "launcher": kind,
            "plugins": names,
            "kept": kept,
            "settings": _placed(wanted, before),
        }
        documents = change_documents(plans, unit_changes)
        print_json("install/1", {"dry_run": dry_run, **more, **documents})
        return
    for path, changes in plans.items():
        done = f"{len(wanted.plugins)} plugins installed: {', '.join(sorted(wanted.plugins))}"
        show(path, changes, dry_run, done)
        for change in changes:
            if isinstance(change, Remove) and change.path.parent == path and not dry_run:
                say(f"  {change.path.name} removed: {sys.executable} has no such plugin")
        for line in _about_settings(before[path], wanted):
            say(f"  {line}")
        for plugin, who in needed[path].items():
            say(
                f"  {plugin} stays, though {sys.executable} has no such plugin any more: attached"
                f" by it is {some(who)}; once that is detached, install again"
            )
    if units:
        show(unit_dir, unit_changes, dry_run, "the units of daemon and agent installed")
    _advise(units=units, done=not dry_run, compiled=compiled)


def _settings(state_dir: Path | None, socket: Path | None) -> dict[str, str]:
    settings = {"python": sys.executable}
    settings |= {"state": str(state_dir.absolute())} if state_dir else {}
    settings |= {"socket": str(socket.absolute())} if socket else {}
    return settings


def _advise(*, units: bool, done: bool, compiled: bool) -> None:
    """What is to be done next, and what could be better."""
    if units and not systemd.is_running():
        say(
            "  systemd does not run here; on a host where it does: systemctl enable --now "
            + " ".join(systemd.SOCKETS)
        )
    if done:
        say("next: pynet network create NAME, then pynet attach CONTAINER NAME")
    if not compiled:
        say(
            "This package has no compiled launcher (there was no C compiler when it was built): "
            "each call of a plugin starts a Python interpreter first, about 30 ms more."
        )


# --- the pieces of an installation -------------------------------------------------------


def _launcher() -> tuple[bytes, bool]:
    """The launcher, and whether it is the compiled one. Raises OSError, `CantInstall`."""
    from ...launcher import executable
    from ...launcher.fallback import script

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
    from ...plugins import registry

    return registry.names()


def _check_interpreter(allow_writable: bool) -> None:
    """The one-shot runs isolated, as root: it must find this package, and nobody may change it.

    Raises `CantInstall`.
    """
    from . import trusted

    package = Path(__file__).resolve().parents[2]
    from ...model.shown import command

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
            f"install it first ({command(python, '-m', 'pip', 'install', str(package))})"
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


def _check_places(places: Sequence[Path]) -> None:
    """Whoever may write where root's plugins, or their records, are runs them as root.

    Raises `CantInstall`.
    """
    from . import trusted

    findings = trusted.places_open_to_others(places) if os.geteuid() == 0 else []
    if findings:
        raise CantInstall(
            "root would run, or believe, what others can change there: "
            f"{some([str(finding) for finding in findings])}; choose a directory that only root "
            "can write, or use --allow-writable-interpreter"
        )


def _check_states(directories: Iterable[Path], wanted: Wanted) -> None:
    """The plugins take no state directory that others can write, or own: nor does who installs.

    Raises `StoreError`, OSError.
    """
    from ...model.errors import StoreError
    from ...store.location import refuse_open
    from .attached import state_told

    for path in directories:
        try:
            state = state_told(_told(path, wanted.settings))
        except StoreError:
            continue  # a user who has none: the environment of the plugins' caller will tell
        with suppress(FileNotFoundError):
            refuse_open(state)


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


_NO_SETTINGS: Mapping[str, str] = {}


def _told(path: Path, settings: Mapping[str, str] = _NO_SETTINGS) -> dict[str, str]:
    """The launcher's settings there, once `settings` are added to those it has."""
    found = installation.look(path)
    return installation.read_settings(installation.configured(found.configuration or "", settings))


def _refuse_to_forget(path: Path, wanted: Wanted) -> None:
    """Raises `CantInstall` where the plugins there would lose sight of who is attached by them."""
    from ...model.errors import StoreError
    from .attached import named, records_of, state_of, state_told

    found = installation.look(path)
    try:
        old, new = state_of(found, None), state_told(_told(path, wanted.settings))
    except StoreError:
        return  # a user who has no place for a state has attached nobody
    if old == new:
        return
    if who := named(records_of(found, None)):
        raise CantInstall(
            f"the plugins in {path} keep their state in {old}, and attached by it is {some(who)}:"
            f" with {new} they could not be detached any more; detach them first,"
            f" `pynet --state-dir {old} detach CONTAINER NETWORK`, or use --force"
        )


def _placed(wanted: Wanted, before: Mapping[Path, Mapping[str, str]]) -> dict[str, Any]:
    """Where state and socket are by now, of each directory; null is the default."""
    return {
        str(path): {key: {**old, **wanted.settings}.get(key) for key in ("state", "socket")}
        for path, old in before.items()
    }


def _about_settings(before: Mapping[str, str], wanted: Wanted) -> Iterator[str]:
    """What an earlier installation was told, and this one keeps or changes."""
    for key, option in (("state", "--state-dir"), ("socket", "--socket")):
        old, new = before.get(key), wanted.settings.get(key)
        if old and not new:
            yield f"{key} stays {old}, as it was told before ({option} changes that)"
        elif old and old != new:
            yield f"{key} is {new} now, and was {old}"


def _needed(path: Path, wanted: Wanted) -> dict[str, list[str]]:
    """Plugins there that this package does not have, and who is attached by them.

    Raises `CantInstall` where they would be run by an interpreter that does not have them.
    """
    from .attached import named, records_of

    found = installation.look(path)
    gone = found.ours - wanted.plugins
    records = records_of(found, None) if gone else []
    needed = {
        plugin: who
        for plugin in sorted(gone)
        if (who := named(record for record in records if record.plugin == plugin))
    }
    before = installation.read_settings(found.configuration or "").get("python", "")
    if needed and before != wanted.settings["python"]:
        plugin, who = next(iter(needed.items()))
        raise CantInstall(
            f"plugin {plugin} in {path} is run by {before}, and {sys.executable} does not have it:"
            f" attached by it is {some(who)}; install its package there"
            f" (`{sys.executable} -m pip install PACKAGE`), or detach that first:"
            " `pynet detach CONTAINER NETWORK`"
        )
    return needed


def _plan_install(
    path: Path, wanted: Wanted, replace: bool, needed: Mapping[str, list[str]]
) -> list[Change]:
    """What is to be done there; whoever serves the plugins as they were goes last."""
    try:
        found = installation.look(path)
        changes = installation.to_install(found, wanted, replace=replace, needed=needed.keys())
        told = [_told(path), _told(path, wanted.settings)]
        ends = dict.fromkeys(end for one in told for end in to_end(one))
        return [*changes, *ends] if changes else []
    except NotOurs as error:
        raise CantInstall(_in_the_way(path, error.files)) from None


def _in_the_way(path: Path, files: Sequence[Path]) -> str:
    from ...model.shown import command

    packages = installation.owners(files)
    named = [f"{file} ({_package_in_words(packages.get(file))})" for file in files]
    beside = BESIDE if path != BESIDE else path.with_name("pynet-bin")
    return (
        f"{counted(len(files), 'plugin')} there {'is' if len(files) == 1 else 'are'} somebody"
        f" else's: {some(named)}; install beside with"
        f" {command('pynet', 'install', '--bin-dir', str(beside))}, or replace with --replace"
        f" (what was there is kept in {path / installation.KEPT})"
    )


def _package_in_words(package: str | None) -> str:
    return f"of package {package}" if package else "of no package"
