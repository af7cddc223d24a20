"""Whether this host is ready to connect containers: what is there, and what is in the way."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..daemon.settings import Mode, Settings
from ..model.errors import CniError
from . import installation
from .daemon_probe import Daemon, probe
from .features import Feature, features
from .installation import BESIDE, BIN_DIR, CantInstall, Found, look

DIRECTORIES = (BIN_DIR, BESIDE, Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
"""Where runtimes and distributions have their plugins."""

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
    states: dict[str, int] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True)
class Plugins:
    """One directory. `launcher` is "current", "other" (than this package's) or ""."""

    path: Path
    ours: list[str]
    foreign: list[str]
    replaced: list[str]
    missing: list[str]
    launcher: str = ""
    python: str = ""


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
    store: StoreState
    plugins: list[Plugins]
    runtimes: list[Runtime]
    features: list[Feature]
    findings: list[str] = field(default_factory=list)


def survey(settings: Settings, directories: Iterable[Path]) -> Readiness:
    """All of it. Raises nothing that a person can't do something about: `CantInstall`, OSError."""
    from ..plugins import registry

    names = registry.names()
    ready = Readiness(
        settings,
        probe(settings),
        _store(settings),
        [_plugins(path, names) for path in directories if path.is_dir()],
        _runtimes(),
        features(),
    )
    ready.findings = [
        *_about_daemon(ready),
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
    """As it stands in schema pynet.status/1."""
    return {
        "ready": not ready.findings,
        "daemon": {
            **vars(ready.daemon),
            "socket": str(ready.settings.socket),
            "mode": str(ready.settings.mode),
        },
        "store": {**vars(ready.store), "path": str(ready.store.path)},
        "plugins": [{**vars(each), "path": str(each.path)} for each in ready.plugins],
        "runtimes": [vars(each) for each in ready.runtimes],
        "features": [vars(each) for each in ready.features],
        "findings": ready.findings,
    }


# --- the store ----------------------------------------------------------------------------------


def _store(settings: Settings) -> StoreState:
    from ..store import schema
    from ..store.store import FILE, Store

    path = settings.state / FILE
    try:
        if not path.exists():
            return StoreState(path, exists=False)
        store = Store.open(settings.state)
        with store.read() as tx:
            counts = tx.counts()
            attachments = len({(record.host, record.attachment) for record in tx.records()})
    except PermissionError:
        return StoreState(path, True, trouble=f"{path} is another user's: ask as root")
    except CniError as error:
        return StoreState(path, True, trouble=error.msg)
    size = sum(
        file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists()
    )
    return StoreState(
        path,
        True,
        size,
        schema.VERSION,
        store.boot,
        attachments,
        {str(state): number for state, number in counts.records.items()},
        counts.leases,
    )


def _about_half_done(store: StoreState) -> list[str]:
    number = sum(count for state, count in store.states.items() if state != "ready")
    if not number:
        return []
    return [f"store: {number} records are not ready: `pynet inspect` shows which"]


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
    )


def _launcher_state(found: Found) -> str:
    from ..launcher import executable
    from ..launcher.fallback import script

    if found.launcher is None:
        return "missing" if found.ours else ""
    binary = executable()
    ours = [script(sys.executable).encode()] + ([binary.read_bytes()] if binary else [])
    return "current" if found.launcher in ours else "other"


def _about_plugins(ready: Readiness) -> list[str]:
    installed = [each for each in ready.plugins if each.ours]
    if not installed:
        return ["plugins: none of pynet's are installed; `pynet install` puts them there"]
    findings = []
    for each in installed:
        again = f"`pynet install --bin-dir {each.path}` brings it up to date"
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
                f"`pynet install --bin-dir {each.path} --replace` takes the place"
            )
        if each.launcher and not os.access(each.python, os.X_OK):
            findings.append(f"{each.path}: there is no interpreter at {each.python!r}; {again}")
    return findings


# --- daemon and runtimes --------------------------------------------------------------------------


def _about_daemon(ready: Readiness) -> list[str]:
    from .. import __version__

    daemon = ready.daemon
    if daemon.trouble:
        return [f"daemon: {daemon.trouble}"]
    if daemon.running and daemon.version != __version__:
        return [f"daemon: it is {daemon.version}, this is {__version__}: restart it"]
    if not daemon.running and ready.settings.mode is Mode.REQUIRE:
        return ["daemon: PYNET_DAEMON=require, and none is running; `pynet daemon` starts one"]
    return []


def uptime(daemon: Daemon) -> float:
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

    try:
        done = run(
            [executable, "--version"],
            stdin=DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, SubprocessError):
        return ""
    version = done.stdout.strip().rpartition(" ")[2]
    major = version.partition(".")[0]
    if major.isdigit() and int(major) >= 5:
        return f"{version} has no CNI backend: it can't use any CNI plugin"
    return version
