"""Which state directory and socket a command uses where nobody names one: the plugins' own.

Rules that hold here:
- The command line and the environment win, as they do in the launcher. A socket goes with its
  state: who names a directory gets the socket in there.
- What is taken from an installation is put into the environment, because the plugins that we
  execute, or that run in this process, must see the same.
- It is said on stderr where it is not the default: records are looked for there, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...launcher import CONFIGURATION
from ..output import say
from . import installation
from .file_changes import content
from .installation import BESIDE, BIN_DIR

DIRECTORIES = (BIN_DIR, BESIDE, Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
"""Where runtimes and distributions have their plugins."""

_VARIABLES = {"state": "PYNET_STATE_DIR", "socket": "PYNET_SOCKET"}
_taken: dict[str, str] = {}
"""What was put into this process's environment: not what a person has named."""


def take(directories: Iterable[Path] = (), *, quiet: bool = False) -> None:
    """Use what the first of `directories` that has plugins of pynet's says.

    Without any, they are those of CNI_PATH, else the usual ones. Raises nothing.
    """
    for variable, value in _taken.items():
        if os.environ.get(variable) == value:
            del os.environ[variable]
    _taken.clear()
    if os.environ.get(_VARIABLES["state"]):
        return
    named = [Path(each) for each in os.environ.get("CNI_PATH", "").split(":") if each]
    for directory in [*directories] or named or DIRECTORIES:
        if is_installed(directory):
            _take(directory, told(directory), quiet=quiet)
            return


def is_installed(directory: Path) -> bool:
    """Whether plugins of pynet's are there."""
    return (directory / installation.LAUNCHER).exists()


def told(directory: Path) -> dict[str, str]:
    """The launcher's settings there, {} where none can be read."""
    try:
        return installation.read_settings((content(directory / CONFIGURATION) or b"").decode())
    except (OSError, ValueError):
        return {}


def _take(directory: Path, says: Mapping[str, str], *, quiet: bool) -> None:
    found = {
        variable: value
        for key, variable in _VARIABLES.items()
        if (value := says.get(key)) and not os.environ.get(variable)
    }
    _taken.update(found)
    os.environ.update(found)
    if "PYNET_STATE_DIR" in found and not quiet:
        say(f"state: {found['PYNET_STATE_DIR']}, as the plugins in {directory} have it", err=True)
