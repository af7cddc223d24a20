"""Whether this host is ready to connect containers: what is there, and what is in the way."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...daemon.asking import socket_of
from ...daemon.settings import Mode, Settings
from ...model.errors import CniError
from ...model.shown import command
from ..agent_probe import Agent
from ..agent_probe import probe as probe_agent
from ..daemon_probe import Daemon, probe
from ..features import Feature, features
from ..output import timestamp
from . import installation
from .attached import state_of
from .installation import CantInstall, Found, look

RUNTIMES = {
    "containerd": (("containerd",), ("/run/containerd/containerd.sock",)),
    "CRI-O": (("crio",), ("/run/crio/crio.sock", "/var/run/crio/crio.sock")),
    "Podman": (("podman",), ("/run/podman/podman.sock",)),
    "Docker": (("dockerd",), ("/run/docker.sock", "/var/run/docker.sock")),
    "LXC": (("lxc-start",), ()),
    "Nomad": (("nomad",), ()),
}
"""Name -> executables, sockets."""


@dataclass(frozen=True)
class StoreState:
    """`trouble` says why it can't be read. `size` is in bytes, with its write-ahead log."""

    path: Path
    exists: bool
    size: int = 0
    schema: int = 0
    boot: str = ""
    attachments: int = 0
    kept: int = 0
    states: dict[str, int] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    trouble: str = ""
    damaged: list[str] = field(default_factory=list)
    """What is kept of one that could not be read."""


@dataclass(frozen=True)
class Plugins:
    """One directory. `launcher` is "current", "other" (than this package's) or ""; `state` is where
    they keep it."""

    path: Path
    ours: list[str]
    foreign: list[str]
    replaced: list[str]
    missing: list[str]
    launcher: str = ""
    python: str = ""
    state: str = ""


@dataclass(frozen=True)
class Runtime:
    name: str
    executable: str
    socket: str
    note: str = ""


@dataclass
class Readiness:
    """`findings` are what is in the way, each with what to do."""

    settings: Settings
    daemon: Daemon
    agent: Agent
    store: StoreState
    plugins: list[Plugins]
    runtimes: list[Runtime]
    features: list[Feature]
    findings: list[str] = field(default_factory=list)


def survey(settings: Settings, directories: Iterable[Path]) -> Readiness:
    """All of it. Raises nothing that a person can't do something about: `CantInstall`, OSError."""
    from ...plugins import registry

    names = registry.names()
    ready = Readiness(
        settings,
        probe(settings),
        probe_agent(settings.state),
        _store(settings),
        [_plugins(path, names) for path in directories if path.is_dir()],
        _runtimes(),
        features(),
    )
    ready.findings = [
        *_about_daemon(ready),
        *_about_agent(ready),
        *([f"store: {ready.store.trouble}"] if ready.store.trouble else []),
        *_about_half_done(ready.store),
        *_about_plugins(ready),
        *(
            f"{each.name}: {each.missing}"
            for each in ready.features
            if each.required and each.missing
        ),
    ]
    return ready


def to_json(ready: Readiness) -> dict[str, Any]:
    """As it stands in schema pynet.status/2; null is what is not known, or not there."""
    daemon, agent, store = ready.daemon, ready.agent, ready.store
    known = store.exists and not store.trouble
    return {
        "ready": not ready.findings,
        "daemon": {
            **_nulls(vars(daemon)),
            "pid": daemon.pid or None,
            "started": timestamp(daemon.started),
            "socket": str(ready.settings.socket),
            "mode": str(ready.settings.mode),
        },
        "agent": {
            **_nulls(vars(agent)),
            "pid": agent.pid or None,
            "started": timestamp(agent.started),
            "services": [
                {**_nulls(vars(each)), "since": timestamp(each.since)} for each in agent.services
            ],
            "socket": str(socket_of(ready.settings.state)),
        },
        "store": {
            **{key: value if known else None for key, value in _nulls(vars(store)).items()},
            "path": str(store.path),
            "exists": store.exists,
            "trouble": store.trouble or None,
        },
        "plugins": [{**_nulls(vars(each)), "path": str(each.path)} for each in ready.plugins],
        "runtimes": [_nulls(vars(each)) for each in ready.runtimes],
        "features": [_nulls(vars(each)) for each in ready.features],
        "findings": ready.findings,
    }


def _nulls(facts: Mapping[str, Any]) -> dict[str, Any]:
    """None for what is empty text."""
    return {key: None if value == "" else value for key, value in facts.items()}


# --- the store ----------------------------------------------------------------------------------


def _store(settings: Settings) -> StoreState:
    from ...store.store import FILE, Store

    path = settings.state / FILE
    try:
        if not path.exists():
            return StoreState(path, exists=False, trouble=_unusable(settings.state))
        store = Store.open(settings.state)
        with store.read() as tx:
            version, counts = tx.schema(), tx.counts()
            attachments = len({(record.host, record.attachment) for record in tx.records()})
            kept = sum(len(tx.kept(keeper)) for keeper in tx.keepers())
    except PermissionError:
        return StoreState(path, True, trouble=f"{path} is another user's: ask as root")
    except CniError as error:
        return StoreState(path, True, trouble=error.msg)
    return StoreState(
        path,
        True,
        _size(path) + _size(path.with_name(path.name + "-wal")),
        version,
        store.boot,
        attachments,
        kept,
        {str(state): number for state, number in counts.records.items()},
        counts.leases,
        damaged=[str(kept) for kept in sorted(settings.state.glob(f"{FILE}.damaged"))],
    )


def _size(file: Path) -> int:
    """In bytes; 0 of what is not there (any more: SQLite's last user takes the log away)."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _unusable(state: Path) -> str:
    """Why no store could be made in there; "" where it can, or where there is no directory yet."""
    from ...store.location import refuse_open

    try:
        if state.exists():
            refuse_open(state)
    except CniError as error:
        return error.msg
    return ""


def _about_half_done(store: StoreState) -> list[str]:
    number = sum(count for state, count in store.states.items() if state != "ready")
    if not number:
        return []
    are = "record is" if number == 1 else "records are"
    return [f"store: {number} {are} not ready: `pynet inspect` shows which"]


# --- the plugins -----------------------------------------------------------------------------


def _plugins(path: Path, names: frozenset[str]) -> Plugins:
    try:
        found = look(path)
    except (CantInstall, OSError):
        found = Found(path, exists=False)  # unreadable: nobody's
    installed = found.is_installed
    return Plugins(
        path,
        ours=sorted(found.ours),
        foreign=sorted(found.others & names),
        replaced=sorted(found.kept),
        missing=sorted(names - found.ours - found.others) if installed else [],
        launcher=_launcher_state(found),
        python=installation.read_settings(found.configuration or "").get("python", ""),
        state=_state(found) if installed else "",
    )


def _state(found: Found) -> str:
    try:
        return str(state_of(found, None))
    except CniError:
        return ""


def _launcher_state(found: Found) -> str:
    from ...launcher import executable
    from ...launcher.fallback import script

    if found.launcher is None:
        return "missing" if found.ours else ""
    binary = executable()
    ours = [script(sys.executable).encode()] + ([binary.read_bytes()] if binary else [])
    return "current" if found.launcher in ours else "other"


def _about_plugins(ready: Readiness) -> list[str]:
    installed = [each for each in ready.plugins if each.ours]
    if not installed:
        return ["plugins: none of pynet's are installed; `pynet install` puts them there"]
    findings = [
        *_about_places(each.path for each in installed),
        *_about_states(installed, str(ready.settings.state)),
    ]
    for each in installed:
        install = ["pynet", "install", "--bin-dir", str(each.path)]
        # A name of ours that is somebody else's file by now is taken on request only.
        again = f"{command(*install, *['--replace'][: len(each.foreign)])} brings it up to date"
        if each.launcher == "other":
            findings.append(f"{each.path}: its launcher is not this package's; {again}")
        if each.launcher == "missing":
            findings.append(f"{each.path}: its launcher is missing; {again}")
        if each.missing:
            findings.append(f"{each.path}: {', '.join(each.missing)} not installed; {again}")
        if taken := set(each.foreign) & set(each.replaced):
            names = ", ".join(sorted(taken))
            findings.append(
                f"{each.path}: {names} was replaced, and is somebody else's again; "
                f"{command(*install, '--replace')} takes the place"
            )
        if each.launcher and not os.access(each.python, os.X_OK):
            findings.append(f"{each.path}: there is no interpreter at {each.python!r}; {again}")
    return findings


def _about_states(installed: list[Plugins], used: str) -> list[str]:
    """Two that keep state apart refuse each other's host; `used` is where we look."""
    first = next((each for each in installed if each.state == used), installed[0])
    return [
        f"plugins: those in {each.path} keep their state in {each.state}, and those in {first.path}"
        f" in {first.state}; have one of both: `pynet install --bin-dir {each.path} --state-dir"
        f" {first.state}`"
        for each in installed
        if each.state != first.state
    ]


def _about_places(places: Iterable[Path]) -> list[str]:
    from .trusted import places_open_to_others

    return [
        f"plugins: {finding}, so that others choose what root runs: take that right away"
        for finding in (places_open_to_others(places) if os.geteuid() == 0 else ())
    ]


# --- daemon and runtimes --------------------------------------------------------------------------


def _about_daemon(ready: Readiness) -> list[str]:
    from ... import __version__

    daemon = ready.daemon
    if daemon.trouble:
        return [f"daemon: {daemon.trouble}"]
    if daemon.running and daemon.version != __version__:
        return [f"daemon: it is {daemon.version}, this is {__version__}: restart it"]
    if not daemon.running and ready.settings.mode is Mode.REQUIRE:
        return ["daemon: PYNET_DAEMON=require, and none is running; `pynet daemon` starts one"]
    return []


def _about_agent(ready: Readiness) -> list[str]:
    from ... import __version__

    agent = ready.agent
    if agent.trouble:
        return [f"agent: {agent.trouble}"]
    if not agent.running:
        if not (kept := ready.store.kept):
            return []
        need = "lease needs" if kept == 1 else "leases need"
        return [f"agent: none runs, and {kept} {need} one; `pynet agent` starts one"]
    if agent.version != __version__:
        return [f"agent: it is {agent.version}, this is {__version__}: restart it"]
    return [
        f"agent: the service {each.name} has failed {each.failures} times: {each.failure}"
        for each in agent.services
        if each.state == "failed"
    ]


def uptime(daemon: Daemon | Agent) -> float:
    """In seconds."""
    return max(0.0, time.time() - daemon.started)


def _runtimes() -> list[Runtime]:
    found = []
    for name, (executables, sockets) in RUNTIMES.items():
        executable = next(filter(None, map(shutil.which, executables)), None) or ""
        socket = next((path for path in sockets if Path(path).exists()), "")
        if executable or socket:
            found.append(Runtime(name, executable, socket, _note(name, executable)))
    return found


def _note(name: str, executable: str) -> str:
    if name != "Podman" or not executable:
        return ""
    from subprocess import DEVNULL, SubprocessError, run
    from tempfile import TemporaryDirectory

    try:
        # Whatever it is asked, it makes places for its state.
        with TemporaryDirectory(prefix="pynet-") as place:
            elsewhere = dict.fromkeys(("HOME", "TMPDIR", "XDG_RUNTIME_DIR"), place)
            done = run(
                [executable, "--version"],
                stdin=DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=5,
                env=os.environ | elsewhere,
            )
    except (OSError, SubprocessError):
        return ""
    version = done.stdout.strip().rpartition(" ")[2]
    major = version.partition(".")[0]
    if major.isdigit() and int(major) >= 5:
        return f"{version} has no CNI backend: it can't use any CNI plugin"
    return version
