"""Where pynet keeps its state and its configuration, and where its daemon listens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..model.errors import StoreError

CONFIGURATION = Path("/etc/pynet")
"""Reservations and networks: what outlives the boot."""


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """PYNET_STATE_DIR, else /run/pynet for root, else $XDG_RUNTIME_DIR/pynet.

    State dies with the boot, so all three lie where the boot's other state does. Raises
    `StoreError` for a user without any of them: a directory under /tmp could be somebody
    else's by the time we look.
    """
    environ = os.environ if environ is None else environ
    if given := environ.get("PYNET_STATE_DIR"):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/run/pynet")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "pynet"
    raise StoreError(
        "no place for pynet's state: XDG_RUNTIME_DIR is not set; "
        "set PYNET_STATE_DIR to a directory of your own"
    )


def socket_path(environ: Mapping[str, str] | None = None) -> Path:
    """PYNET_SOCKET, else pynetd.sock in the state directory."""
    environ = os.environ if environ is None else environ
    if given := environ.get("PYNET_SOCKET"):
        return Path(given).absolute()
    return state_directory(environ) / "pynetd.sock"
