"""Where pynet keeps its state and its configuration, and where its daemon listens."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ..model.errors import StoreError

CONFIGURATION = Path("/etc/pynet")
"""Reservations and networks: what outlives the boot."""
ROOTS = Path("/run/pynet")
"""Root's state directory, where nobody names another."""


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
        return ROOTS
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "pynet"
    raise StoreError(
        "no place for pynet's state: XDG_RUNTIME_DIR is not set; run this as root, or, in a "
        "network namespace of your own, set PYNET_STATE_DIR to a directory of your own"
    )


def socket_path(environ: Mapping[str, str] | None = None) -> Path:
    """PYNET_SOCKET, else pynetd.sock in the state directory."""
    environ = os.environ if environ is None else environ
    if given := environ.get("PYNET_SOCKET"):
        return Path(given).absolute()
    return state_directory(environ) / "pynetd.sock"


def prepare(state: Path) -> None:
    """`mkdir -p -m 700 STATE`, which must then be this user's alone. Raises `StoreError`, OSError.

    What is recorded there is acted on, programs that it names are run: a record that somebody
    else has planted would be run as this user.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_open(state)


def refuse_open(state: Path) -> None:
    """Raises `StoreError` where it is not this user's alone, OSError."""
    status = state.stat()
    if status.st_uid != os.geteuid():
        raise StoreError(
            f"state directory {state} belongs to uid {status.st_uid}, and this is uid"
            f" {os.geteuid()}: choose another one (PYNET_STATE_DIR), or remove it:"
            f" rm -r {state}"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(f"others can write to state directory {state}: chmod 700 {state}")
