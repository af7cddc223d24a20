"""Whether the package that this process was loaded from is still the one that is installed.

Rules that hold here:
- An installer writes the list of its files last (`RECORD`, in a folder beside the package that
  bears the version): where that is another than it was, or stands in another folder, the new
  package is whole, and nobody need be served by the old one any more.
- While there is none, the old package goes on from memory: a one-shot could not be imported.
  If none comes, the package was removed.
- A package without such a folder is a tree that is worked on. There its `__init__.py` tells, so
  that only a new version is a new package.
"""

from __future__ import annotations

from pathlib import Path

from .. import __file__ as _init
from ..model.errors import Declined
from .call import Call, Handler, Reply

_FOLDERS = "pynet_cni-*.dist-info"
_FILES = ("RECORD", "METADATA")  # Debian's packages come without the first

Identity = tuple[int, int, int, int]


class Replaced(Declined):
    """There is another package than the one this process runs, for others to be served by."""


class Installed:
    """`package` is its folder, as it was imported."""

    def __init__(self, package: Path) -> None:
        self._package = package
        self._marker = _marker(package) or package / "__init__.py"
        self._was = _identity(self._marker)

    def is_replaced(self) -> bool:
        """Whether another is there. One `stat` where nothing has changed."""
        now = _identity(self._marker)
        return now != self._was if now else _marker(self._package) is not None

    def is_as_it_was(self) -> bool:
        return _identity(self._marker) == self._was


def installed() -> Installed:
    """The package this process was loaded from."""
    return Installed(Path(str(_init)).parent)


def watched(handler: Handler, package: Installed) -> Handler:
    """`handler`, which raises `Replaced` before anything else once there is another package."""

    def answer(call: Call) -> Reply:
        if package.is_replaced():
            raise Replaced("another version of its package has been installed")
        return handler(call)

    return answer


def _marker(package: Path) -> Path | None:
    for name in _FILES:
        for found in sorted(package.parent.glob(f"{_FOLDERS}/{name}")):
            return found
    return None


def _identity(path: Path) -> Identity | None:
    """None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
