"""Who could change what root is about to run: an interpreter, a package, and the way to them.

What a plugin's launcher starts, it starts as root. Whoever may write the interpreter, a
module, or any directory on the way to one is root as well.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Writable:
    """A path that somebody else than root can write, and who."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


def writable_by_others(
    interpreter: Path, package: Path, searched: Iterable[Path] = ()
) -> list[Writable]:
    """What of these, of the ways to them, and of the package's files isn't root's alone.

    `searched` is where the interpreter looks for modules: who may write there can put one of
    any name before the right one.
    """
    trusted = frozenset({0, *_unmapped()})
    found: dict[Path, Writable] = {}
    for path in _everything(interpreter, package, searched):
        reason = _why(path, trusted)
        if reason:
            found.setdefault(path, Writable(path, reason))
    return list(found.values())


def places_open_to_others(places: Iterable[Path]) -> list[Writable]:
    """What of these directories, and of the ways to them, others can put something else in.

    On the way a sticky directory (as /tmp) is as good as another: what is root's in there,
    nobody else can move away. What does not exist yet will be made by root.
    """
    trusted = frozenset({0, *_unmapped()})
    found: dict[Path, Writable] = {}
    for place in places:
        for path in way_to(place, set()):
            if _is_sticky(path) and path != place.resolve():
                continue
            if reason := _why(path, trusted):
                found.setdefault(path, Writable(path, reason))
    return list(found.values())


def _is_sticky(path: Path) -> bool:
    try:
        return bool(path.lstat().st_mode & stat.S_ISVTX)
    except OSError:
        return False


def _everything(interpreter: Path, package: Path, searched: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in (interpreter, package, *searched):
        yield from way_to(path, seen)
    for folder, folders, files in os.walk(package, followlinks=True):
        if Path(folder).name == "__pycache__":
            continue
        for name in folders:
            # A development tree's package is links to folders elsewhere.
            yield from way_to(Path(folder, name), seen)
        for name in files:
            yield from way_to(Path(folder, name), seen)


def way_to(path: Path, seen: set[Path]) -> Iterator[Path]:
    """Each component from the root to `path`, through links; what is in `seen` not again."""
    at = Path("/")
    if at not in seen:
        seen.add(at)
        yield at
    for part in path.absolute().parts[1:]:
        at = at.parent if part == ".." else at / part
        if at not in seen:
            seen.add(at)
            yield at
            if at.is_symlink():
                yield from way_to(at.parent / at.readlink(), seen)
        try:
            at = at.resolve()
        except (OSError, RuntimeError):
            return  # links that lead round: nobody gets any further


def _why(path: Path, trusted: frozenset[int]) -> str:
    try:
        status = path.lstat()
    except OSError:
        return ""  # it can't be run either
    if status.st_uid not in trusted:
        return f"belongs to {_user(status.st_uid)}"
    if stat.S_ISLNK(status.st_mode):
        return ""  # its mode means nothing
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    if status.st_mode & stat.S_IWOTH:
        return f"can be written by everybody ({mode})"
    if status.st_mode & stat.S_IWGRP and (members := _members(status.st_gid)):
        return f"can be written by {members} ({mode})"
    return ""


@cache
def _members(gid: int) -> str:
    """The group's name if anybody but root is in it: Debian's `staff` is empty, mostly."""
    if gid == 0:
        return ""
    import grp
    import pwd

    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return f"group {gid}"
    everybody = pwd.getpwall()
    others = {name for name in group.gr_mem if name != "root"}
    others |= {user.pw_name for user in everybody if user.pw_gid == gid and user.pw_uid != 0}
    return f"group {group.gr_name}" if others else ""


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _unmapped() -> frozenset[int]:
    """The uid that stands for all that a user namespace does not know, such as the real root."""
    mapped = Path("/proc/self/uid_map").read_text().split()
    if mapped == ["0", "0", "4294967295"]:
        return frozenset()
    return frozenset({int(Path("/proc/sys/kernel/overflowuid").read_text())})
