"""This host as the engine works on it, for commands that undo what is on record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.errors import CniError, StoreError, TryLater

if TYPE_CHECKING:
    from ..engine.site import Site
    from ..kernel.world import KernelWorld
    from ..store.records import Record


def is_there(state: Path) -> bool:
    """Whether there is a store in directory `state`. Raises `StoreError` where nobody can tell."""
    from ..store.store import FILE

    store = state / FILE
    try:
        store.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise StoreError(
            f"store {store} is another user's: run this as root, "
            "or name a store of yours by PYNET_STATE_DIR"
        ) from error
    return True


@contextmanager
def own_host() -> Iterator[tuple[int, KernelWorld]]:
    """This network namespace, as a descriptor and as a world. Raises `CniError`, OSError."""
    from ..kernel import namespaces
    from ..kernel.world import KernelWorld

    host = namespaces.own()
    try:
        with KernelWorld(host, None, netns="", our_plugins=frozenset()) as world:
            yield host, world
    finally:
        os.close(host)


@contextmanager
def site(state: Path) -> Iterator[Site | None]:
    """The store of `state` and this network namespace; None where there is no store.

    Raises `CniError`, OSError.
    """
    from ..daemon.call import Call
    from ..daemon.serve import Services, site_for
    from ..kernel.roots import OWN

    if not is_there(state):
        yield None
        return
    services = Services(state)
    with own_host() as (host, world):
        call = Call("", dict(os.environ), b"", host, None, 2, OWN, lambda: None, lambda: False)
        try:
            yield site_for(call, services, world)
        finally:
            services.store.close()


def undo_all(site: Site, records: Iterable[Record]) -> tuple[list[Exception], list[Exception]]:
    """Undo them, the latest first; what failed, and what is left to somebody else.

    Whatever failed is still on record.
    """
    from ..engine.collecting import undo_if_idle

    failures: list[Exception] = []
    left: list[Exception] = []
    for record in sorted(records, key=lambda record: record.id, reverse=True):
        try:
            outcome = undo_if_idle(site, record, lambda record: True, left)
        except (CniError, OSError) as error:
            outcome = [error]
        failures += [_busy(record)] if outcome is None else outcome
    return failures, left


def _busy(record: Record) -> TryLater:
    return TryLater(
        f"{record.container} on {record.network}: another call is at work on it; try again later"
    )
