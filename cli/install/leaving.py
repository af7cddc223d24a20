"""The daemon that the plugins of an earlier installation use: it makes room for one of this."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...daemon.settings import settings
from ...model.errors import CniError
from ..daemon_probe import probe
from .file_changes import Change


@dataclass(frozen=True)
class EndDaemon(Change):
    """`kill PID`, of who listens at `path`: it answers what it has accepted first.

    The next plugin leaves another behind, of its own package; systemd and its like start one.
    """

    action = "end the daemon at"
    pid: int

    def apply(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGTERM)


def to_end(told: Mapping[str, str]) -> list[Change]:
    """The change that ends the daemon of plugins that are `told` this; none where there is none."""
    state, socket = told.get("state"), told.get("socket")
    try:
        config = settings(
            os.environ,
            state=Path(state) if state else None,
            socket=Path(socket) if socket else None,
        )
    except CniError:
        return []  # no place for a daemon
    found = probe(config)
    return [EndDaemon(config.socket, found.pid)] if found.running and found.pid else []
