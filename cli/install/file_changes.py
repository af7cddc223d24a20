"""Changes to files, as values: described for a dry run, and applied one by one.

Rules that hold here:
- A change leaves the old state or the new one, whenever it is interrupted; what is put in
  place is written beside it first and renamed, so a running executable stays as it is.
- What is written beside it has a name that nobody reads. Runtimes read every *.conflist, also one
  that begins with a dot. It goes when anything fails.
- Applying a change a second time is no error: a half-done list is simply begun again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...launcher import plain

TEMPORARY = ".pynet-new-"
"""How the names begin of what is not in place yet; a crash may leave one."""
_LONGEST_NAME = 254


def content(path: Path) -> bytes | None:
    """Of a file, or of one that a link leads to; None where there is none.

    Raises OSError, also for a pipe or a device, which may never end.
    """
    try:
        return plain.read(str(path))
    except (FileNotFoundError, IsADirectoryError):
        return None


@dataclass(frozen=True)
class Change:
    """`path` is what is different afterwards."""

    action: ClassVar[str]
    path: Path

    def apply(self) -> None:
        """Raises OSError."""
        raise NotImplementedError

    def describe(self) -> str:
        return f"{self.action} {self.path}"

    def to_json(self) -> dict[str, str]:
        return {"action": self.action, "path": str(self.path)}


@dataclass(frozen=True)
class MakeDirectory(Change):
    """`mkdir -p PATH`"""

    action = "make directory"

    def apply(self) -> None:
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)


@dataclass(frozen=True)
class WriteFile(Change):
    """`install -m MODE ... PATH`"""

    action = "write"
    content: bytes
    mode: int

    def apply(self) -> None:
        with _beside(self.path) as fresh:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(self.content)
                file.flush()
                os.fchmod(fd, self.mode)  # whatever the umask
                os.fsync(fd)
            fresh.rename(self.path)


@dataclass(frozen=True)
class MakeLink(Change):
    """`ln -sfn TARGET PATH`"""

    action = "link"
    target: str

    def apply(self) -> None:
        with _beside(self.path) as fresh:
            fresh.symlink_to(self.target)
            fresh.rename(self.path)

    def describe(self) -> str:
        return f"{self.action} {self.path} -> {self.target}"

    def to_json(self) -> dict[str, str]:
        return {**super().to_json(), "target": self.target}


@dataclass(frozen=True)
class Keep(Change):
    """`ln -f OF PATH`: a second name for what is about to be replaced, under which it stays."""

    action = "keep"
    of: Path

    def apply(self) -> None:
        self.path.parent.mkdir(mode=0o755, exist_ok=True)
        with _beside(self.path) as fresh:
            if self.of.is_symlink():
                fresh.symlink_to(_seen_from_below(str(self.of.readlink())))
            else:
                _second_name(self.of, fresh)
            fresh.replace(self.path)
            # Two names of one file: rename leaves both, and says nothing.
            fresh.unlink(missing_ok=True)

    def describe(self) -> str:
        return f"{self.action} {self.of} as {self.path}"

    def to_json(self) -> dict[str, str]:
        return {**super().to_json(), "of": str(self.of)}


@dataclass(frozen=True)
class PutBack(Change):
    """`mv -f KEPT PATH`"""

    action = "put back"
    kept: Path

    def apply(self) -> None:
        if self.kept.is_symlink():
            target = str(self.kept.readlink())
            MakeLink(self.path, _seen_from_above(target)).apply()
            self.kept.unlink()
        else:
            with suppress(FileNotFoundError):
                self.kept.rename(self.path)

    def to_json(self) -> dict[str, str]:
        return {**super().to_json(), "from": str(self.kept)}


@dataclass(frozen=True)
class Remove(Change):
    """`rm -f PATH`"""

    action = "remove"

    def apply(self) -> None:
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class RemoveDirectory(Change):
    """`rmdir PATH`, if nothing is in it."""

    action = "remove directory"

    def apply(self) -> None:
        with suppress(OSError):
            self.path.rmdir()


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name for `path`'s successor, free: what stands there was left by a crash.

    After an error it is free again, and the error names `path`.
    """
    fresh = path.with_name(f"{TEMPORARY}{path.name}"[:_LONGEST_NAME] + "~")
    fresh.unlink(missing_ok=True)
    try:
        yield fresh
    except BaseException as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def _second_name(of: Path, path: Path) -> None:
    try:
        path.hardlink_to(of)
    except OSError:  # fs.protected_hardlinks, or a file system without links
        shutil.copy2(of, path)


def _seen_from_below(target: str) -> str:
    """A relative link's target, for the same link one directory deeper."""
    return target if target.startswith("/") else f"../{target}"


def _seen_from_above(target: str) -> str:
    return target.removeprefix("../")
