"""Where the state is, where the daemon listens, and whether there is to be one.

The launcher's own reading of the same variables stands in launcher/settings.c. What the file
beside it says it puts into the environment, so that nobody else need read that.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ..model.errors import InvalidEnvironment
from ..model.value import Value
from ..store import location

IDLE_EXIT = 300.0
"""Seconds without a request after which a daemon that nobody asked for leaves."""


class Mode(StrEnum):
    """PYNET_DAEMON."""

    AUTO = "auto"
    NEVER = "never"
    REQUIRE = "require"


class Settings(Value):
    state: Path
    socket: Path
    mode: Mode = Mode.AUTO


def settings(
    environ: Mapping[str, str], *, state: Path | None = None, socket: Path | None = None
) -> Settings:
    """What flags (`state`, `socket`) or else the environment say.

    Raises `InvalidEnvironment`; `StoreError` for a user without a place for the state.
    """
    if state is None:
        state = location.state_directory(environ)
    if socket is None:
        given = environ.get("PYNET_SOCKET")
        socket = Path(given) if given else state / "pynetd.sock"
    return Settings(state.absolute(), socket.absolute(), mode_of(environ))


def mode_of(environ: Mapping[str, str]) -> Mode:
    """Whether a daemon may be used, and a process of ours left behind. Raises as `settings`."""
    mode = environ.get("PYNET_DAEMON") or Mode.AUTO
    try:
        return Mode(mode)
    except ValueError:
        raise InvalidEnvironment(
            f"PYNET_DAEMON={mode} is not known: it is auto, never or require"
        ) from None
