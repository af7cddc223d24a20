"""All checks of a plugin, each in a fresh host of a lab of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from random import Random
from subprocess import CalledProcessError
from typing import TypeVar

from ..cni.version import SUPPORTED, parse, supported_by
from ..model.errors import CniError
from ..testnets.lab import syscalls
from ..testnets.lab.features import lacking
from ..testnets.lab.lab import Lab
from ..testnets.lab.mounts import PRIVATE
from . import families
from .calls import Call
from .checks import Check, Outcome
from .scene import Scene
from .subject import Subject, find
from .verdicts import FAILED, NOT_APPLICABLE, PASSED, Failed, NotApplicable

Progress = Callable[[str], object]
"""Is told what begins: a plugin and a check."""


def chosen(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
    """The checks whose full names match one of `only` (all, where that is none) and none of `skip`.

    They are patterns as the shell's: `deleting.*`. Raises ValueError for one that matches nothing.
    """
    for pattern in (*only, *skip):
        if not any(_matches(check, [pattern]) for check in families.ALL):
            raise ValueError(f"no check is called {pattern!r}; `pynet conformance --list` has all")
    wanted = [check for check in families.ALL if not only or _matches(check, only)]
    return [check for check in wanted if not _matches(check, skip)]


def _matches(check: Check, patterns: Sequence[str]) -> bool:
    names = (check.full_name, check.family)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def run(
    subject: Subject,
    folders: Sequence[Path],
    checks: Sequence[Check],
    *,
    seed: int,
    progress: Progress = lambda _: None,
) -> Iterator[Outcome]:
    """What comes of each check; `seed` decides where plugins are killed.

    Raises `LabError` where this machine allows no namespaces.
    """
    if reason := _missing(subject, folders):
        yield from (Outcome(subject.plugin, check, NOT_APPLICABLE, reason) for check in checks)
        return
    with Lab() as lab:
        progress(f"{subject.plugin}: versions")
        versions = _in_a_host(lab, partial(_versions, subject, folders))
        for check in checks:
            progress(f"{subject.plugin}: {check.full_name}")
            if reason := check.reason_against(subject.role, versions):
                yield Outcome(subject.plugin, check, NOT_APPLICABLE, reason)
                continue
            begun = time.monotonic()
            scene = Scene(subject, folders, versions, random_of(seed, subject.plugin, check))
            verdict, message, calls, shown = _in_a_host(lab, partial(_asked, scene, check))
            seconds = time.monotonic() - begun
            yield Outcome(subject.plugin, check, verdict, message, calls, shown, seconds)


def random_of(seed: int, plugin: str, check: Check) -> Random:
    """Of each check its own, so that it is the same with other checks left out."""
    return Random(f"{seed} {plugin} {check.full_name}")


def _missing(subject: Subject, folders: Sequence[Path]) -> str:
    """What the plugin's network can't be made without, and is not here; or ""."""
    if absent := [name for name in subject.types if find(name, folders) is None]:
        where = ", ".join(map(str, folders))
        return f"its network needs {', '.join(absent)}, which is not in {where}"
    return next((why for feature in subject.needs if (why := lacking(feature))), "")


Verdict = tuple[str, str, tuple[Call, ...], int]
T = TypeVar("T")


def _in_a_host(lab: Lab, work: Callable[[], T]) -> T:
    host = lab.host("host")
    try:
        return host.call(work)
    finally:
        lab.remove_host("host")


def _asked(scene: Scene, check: Check) -> Verdict:
    """In the host: its verdict, the message, and on failure the evidence."""
    show(scene.folders)
    try:
        scene.wire()
        check.ask(scene)
    except NotApplicable as error:
        return NOT_APPLICABLE, str(error), (), -1
    except Failed as error:
        calls = tuple(scene.calls)
        shown = calls.index(error.call) if error.call in calls else len(calls) - 1
        return FAILED, error.message, calls, shown
    except CalledProcessError as error:
        said = str(error.stderr or error.stdout or "").strip()
        return NOT_APPLICABLE, f"`{' '.join(error.cmd)}`: {said}", (), -1
    return PASSED, "", (), -1


def show(folders: Sequence[Path]) -> None:
    """A host has directories of its own where plugins are installed: show it the machine's there.

    `mount --bind /run/machine/opt/cni/bin /opt/cni/bin`
    """
    for folder in folders:
        if any(folder.is_relative_to(private) for private in PRIVATE):
            for parent in (Path("/etc"), Path("/opt"), Path("/var/lib")):
                hidden = Path("/run/machine", parent.name)
                if folder.is_relative_to(parent):
                    folder.mkdir(parents=True, exist_ok=True)
                    source = str(hidden / folder.relative_to(parent))
                    syscalls.mount(source, str(folder), flags=syscalls.MS_BIND)


def _versions(subject: Subject, folders: Sequence[Path]) -> tuple[str, ...]:
    """Those that the plugin says it speaks and we know; our oldest where it says nothing usable.

    The checks of versions say what is wrong with the answer.
    """
    show(folders)
    scene = Scene(subject, folders, SUPPORTED, Random())
    stdin = json.dumps({"cniVersion": SUPPORTED[-1]}).encode()
    try:
        call = scene.call("VERSION", stdin=stdin)
        named = supported_by(json.loads(call.stdout))
    except (CniError, Failed, NotApplicable, ValueError, AttributeError):
        named = ()
    known = sorted((version for version in named if version in SUPPORTED), key=parse)
    return tuple(known) or SUPPORTED[:1]
