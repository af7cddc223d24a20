"""What a directory of CNI plugins holds, and which changes make it ours or somebody else's again.

Rules that hold here:
- Ours is a symbolic link to `pynet-launcher` beside it, and nothing else.
- A name of ours appears only once launcher and configuration are in place; what it
  replaces has a second name, in `.pynet-replaced/`, before that. So an interrupted
  installation works as far as it came, and the next run completes it.
- Looking changes nothing, and every change is decided before the first is made.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...launcher import CONFIGURATION
from ...model.query import REPLACED
from .file_changes import (
    TEMPORARY,
    Change,
    Keep,
    MakeDirectory,
    MakeLink,
    PutBack,
    Remove,
    RemoveDirectory,
    WriteFile,
    content,
)

LAUNCHER = "pynet-launcher"
KEPT = REPLACED
BIN_DIR = Path("/opt/cni/bin")
"""Where runtimes look for plugins if nobody tells them otherwise."""
BESIDE = Path("/opt/pynet/bin")

_MADE = "# made by install, which takes it away again once it is empty: "
"""How the line of the configuration begins that tells the topmost directory that was not there."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CantInstall(Exception):
    """What stands in the way, where, and what to do."""


class NotOurs(CantInstall):
    """Files that are somebody else's bear names of our plugins."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        super().__init__(f"{len(files)} files are not pynet's")
        self.files = files


@dataclass(frozen=True)
class Wanted:
    """What is to stand in a directory: `settings` go to the launcher's configuration."""

    launcher: bytes
    settings: Mapping[str, str]
    plugins: frozenset[str]


@dataclass(frozen=True)
class Found:
    """One directory as it is. `ours`, `others` and `kept` are names of files in it.

    `others` are all that is neither ours nor part of the installation; `unfinished` what a
    crash left. `launcher`, `configuration` and `keeps` (of `.pynet-replaced`) tell whether
    these are there.
    """

    path: Path
    exists: bool
    ours: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    keeps: bool = False
    kept: frozenset[str] = frozenset()
    unfinished: tuple[Path, ...] = ()
    launcher: bytes | None = None
    launcher_mode: int = 0
    configuration: str | None = None

    @property
    def made(self) -> Path | None:
        """The topmost directory that was made for it, and is to go with it."""
        for line in (self.configuration or "").splitlines():
            if line.startswith(_MADE):
                topmost = Path(line.removeprefix(_MADE))
                return topmost if topmost in (self.path, *self.path.parents) else None
        return None

    @property
    def is_installed(self) -> bool:
        return bool(self.ours) or self.launcher is not None


def look(path: Path) -> Found:
    """What is in the directory. Raises `CantInstall` where it is no directory, OSError."""
    if not path.exists():
        return Found(path, exists=False)
    if not path.is_dir():
        raise CantInstall(f"{path} is not a directory")
    names = _names(path)
    kept = _names(path / KEPT) if (path / KEPT).is_dir() else set()
    ours = {name for name in names if is_ours(path / name)}
    unfinished = [path / name for name in _unfinished(names)]
    unfinished += [path / KEPT / name for name in _unfinished(kept)]
    launcher = path / LAUNCHER
    settings = content(path / CONFIGURATION)
    return Found(
        path,
        exists=True,
        ours=frozenset(ours),
        others=frozenset(names - ours - _unfinished(names) - {LAUNCHER, CONFIGURATION, KEPT}),
        keeps=KEPT in names,
        kept=frozenset(kept - _unfinished(kept)),
        unfinished=tuple(sorted(unfinished)),
        launcher=content(launcher),
        launcher_mode=_mode(launcher),
        configuration=None if settings is None else settings.decode(),
    )


def _mode(path: Path) -> int:
    """Of a file: its permissions, 0 where there is none. Raises OSError."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return 0
    return stat.S_IMODE(found) if stat.S_ISREG(found) else 0


def _names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def _unfinished(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith(TEMPORARY)}


def is_ours(path: Path) -> bool:
    try:
        return path.readlink() == Path(LAUNCHER)
    except OSError:
        return False  # no link, or gone by now


def to_install(
    found: Found, wanted: Wanted, *, replace: bool, needed: Collection[str] = ()
) -> list[Change]:
    """The changes that are missing to an installation, in their order.

    Names of ours that are not `wanted` any more go, but for those that are `needed`.

    Raises `NotOurs` where files of others stand in the way and `replace` doesn't allow it,
    `CantInstall` where something does that can't be replaced.
    """
    _check_names(wanted.plugins)
    in_the_way = tuple(found.path / name for name in sorted(wanted.plugins & found.others))
    for path in in_the_way:
        if path.is_dir():
            raise CantInstall(f"{path} is a directory: move it away, then install again")
    if in_the_way and not replace:
        raise NotOurs(in_the_way)
    changes: list[Change] = [Remove(path) for path in found.unfinished]
    if not found.exists:
        changes.append(MakeDirectory(found.path))
    if found.launcher != wanted.launcher or found.launcher_mode != 0o755:
        changes.append(WriteFile(found.path / LAUNCHER, wanted.launcher, 0o755))
    text = configured(found.configuration or _opening(found), wanted.settings)
    if text != found.configuration:
        changes.append(WriteFile(found.path / CONFIGURATION, text.encode(), 0o644))
    for name in sorted(wanted.plugins - found.ours):
        if name in found.others:
            changes.append(Keep(found.path / KEPT / name, found.path / name))
        changes.append(MakeLink(found.path / name, LAUNCHER))
    changes += _given_up(found, found.ours - wanted.plugins - set(needed))
    return changes


def to_uninstall(found: Found) -> list[Change]:
    """The changes that take an installation away, in their order: names first, launcher last."""
    changes = _given_up(found, found.ours | found.kept)
    changes += [Remove(path) for path in found.unfinished]
    if found.configuration is not None:
        changes.append(Remove(found.path / CONFIGURATION))
    if found.launcher is not None:
        changes.append(Remove(found.path / LAUNCHER))
    if found.keeps and not stays(found):
        changes.append(RemoveDirectory(found.path / KEPT))
    if found.made and not (found.others or found.kept):
        changes += [RemoveDirectory(path) for path in _emptied(found.path, found.made)]
    return changes


def _emptied(path: Path, topmost: Path) -> Iterator[Path]:
    """`path`, and of what is above it, as far as `topmost`, what holds nothing else."""
    yield path
    while path != topmost and _names(path.parent) == {path.name}:
        path = path.parent
        yield path


def _given_up(found: Found, names: Iterable[str]) -> list[Change]:
    """Names that are ours no longer; what was there before us comes back."""
    changes: list[Change] = []
    for name in sorted(names):
        path, kept = found.path / name, found.path / KEPT / name
        if name not in found.kept:
            changes.append(Remove(path))
        elif name not in found.others:
            changes.append(PutBack(path, kept))
        elif _same(path, kept):
            changes.append(Remove(kept))
    return changes


def stays(found: Found) -> tuple[Path, ...]:
    """What is kept and can't be put back: somebody has put another file in its place since."""
    pairs = ((found.path / name, found.path / KEPT / name) for name in found.kept & found.others)
    return tuple(sorted(kept for path, kept in pairs if not _same(path, kept)))


def _same(path: Path, kept: Path) -> bool:
    if path.is_symlink() or kept.is_symlink():
        return path.resolve() == kept.resolve()
    return path.samefile(kept)


_ABOUT = "# Read by pynet-launcher each time it starts; PYNET_* in the environment wins."


def _opening(found: Found) -> str:
    """What a new configuration begins with."""
    if found.exists:
        return ""
    above = [path for path in found.path.parents if not path.exists()]
    return f"{_ABOUT}\n{_MADE}{[found.path, *above][-1]}\n"


def configured(text: str, settings: Mapping[str, str]) -> str:
    """The launcher's configuration `text` with `settings` in it; its other lines stay.

    Raises `CantInstall` for a value that a line can't hold.
    """
    for key, value in settings.items():
        if "\n" in value:
            raise CantInstall(f"{key}={value!r}: a line break can't stand in {CONFIGURATION}")
    lines = text.splitlines() or [_ABOUT]
    done = set()
    for number, line in enumerate(lines):
        key, equals, _ = line.partition("=")
        if equals and key in settings:
            lines[number] = f"{key}={settings[key]}"
            done.add(key)
    lines += [f"{key}={value}" for key, value in settings.items() if key not in done]
    return "\n".join(lines) + "\n"


def read_settings(text: str) -> dict[str, str]:
    """What a launcher's configuration says."""
    pairs = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    return {key: value for key, equals, value in pairs if equals and value}


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or name == LAUNCHER:
            raise CantInstall(
                f"a package offers a plugin called {name!r} (entry point group pynet.plugins): "
                "that can't be the name of an executable; remove the package, or rename it"
            )


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Nobody else installs into `path` meanwhile; a directory that isn't there is nobody's."""
    if not path.is_dir():
        yield
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def owners(files: Iterable[Path]) -> dict[Path, str]:
    """The distribution's package each file belongs to, as far as dpkg or rpm knows: `dpkg -S`."""
    import shutil

    for tool, ask in (("dpkg", _dpkg), ("rpm", _rpm)):
        if shutil.which(tool):
            found = ask(list(files))
            if found:
                return found
    return {}


def _dpkg(files: list[Path]) -> dict[Path, str]:
    found = {}
    for line in _output(["dpkg", "-S", *map(str, files)]).splitlines():
        package, _, path = line.partition(": ")
        found[Path(path)] = package
    return found


def _rpm(files: list[Path]) -> dict[Path, str]:
    found = {}
    for file in files:
        name = _output(["rpm", "-qf", "--queryformat", "%{NAME}\n", str(file)]).strip()
        if name and " " not in name:  # else it says that the file is nobody's
            found[file] = name.splitlines()[0]
    return found


def _output(command: list[str]) -> str:
    from subprocess import DEVNULL, run

    done = run(
        command,
        stdin=DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.stdout
