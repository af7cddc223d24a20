"""Who is attached by the plugins of a directory: their launcher's settings tell where that is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...model.shown import short_id
from ..site import is_there
from . import installation
from .installation import Found

if TYPE_CHECKING:
    from ...store.records import Record
    from ...store.store import Store


def state_of(found: Found, state_dir: Path | None) -> Path:
    """The state directory of the plugins there, unless the command line names one.

    A runtime that runs them does not have this command's environment. Raises `StoreError`.
    """
    return state_dir or state_told(installation.read_settings(found.configuration or ""))


def state_told(told: Mapping[str, str]) -> Path:
    """That of plugins whose launcher is `told` this. Raises `StoreError`."""
    from ...store.location import state_directory

    ours = {name: value for name, value in os.environ.items() if name != "PYNET_STATE_DIR"}
    said = told.get("state")
    return Path(said) if said else state_directory(ours)


def store_of(found: Found, state_dir: Path | None) -> Store | None:
    """Their store, if they have made one. Raises `CniError`."""
    from ...store.store import Store

    state = state_of(found, state_dir)
    return Store.open(state) if is_there(state) else None


def records_of(found: Found, state_dir: Path | None) -> list[Record]:
    """What is on record there, of all host namespaces. Raises `CniError`."""
    store = store_of(found, state_dir)
    if store is None:
        return []
    with store.read() as tx:
        return tx.records()


def named(records: Iterable[Record]) -> list[str]:
    """Each attachment once, for people."""
    return sorted({f"{short_id(r.container)} to {r.network} as {r.interface}" for r in records})
