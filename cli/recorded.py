"""What pynet's own records say, for commands that only look: no store is made for it."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model.errors import CniError, StoreError
from ..store.records import Record, State
from .site import is_there, own_host

if TYPE_CHECKING:
    from ..engine.witness import Fate
    from ..store.leases import HeldLease
    from ..store.store import Reader


def out_of_sight() -> str:
    """Who may be attached here that this user can't see, and what helps; "" where nobody is."""
    from ..store.location import ROOTS

    if os.geteuid() == 0 or os.environ.get("PYNET_STATE_DIR") or not ROOTS.is_dir():
        return ""
    return (
        f"what root has attached is recorded in {ROOTS}, which only root may read: run this as root"
    )


def refuse_blind() -> None:
    """Raises `StoreError` for a user who has no records of his own, and can't see root's."""
    hidden = out_of_sight()
    if hidden and not os.environ.get("XDG_RUNTIME_DIR"):
        raise StoreError(hidden)


def records(network: str | None = None) -> list[Record]:
    """Those of this host namespace, oldest first; [] where there is no store.

    Raises `CniError`: the store can't be read, or there is another that this user can't see.
    """
    from ..kernel import namespaces

    with socket.socket(socket.AF_UNIX) as probe:
        host = str(namespaces.cookie(probe))
    with _reading() as reader:
        return reader.records(host=host, network=network) if reader else []


def unclaimed(network: str) -> list[HeldLease]:
    """What was taken over from the reference's host-local for this network, and is no record's.

    Raises as `records` does.
    """
    with _reading() as reader:
        leases = reader.unclaimed() if reader else []
    # A pool is called by its network, behind the directory it was given, if any.
    return [one for one in leases if one.pool.rpartition(":")[2] == network]


@contextmanager
def _reading() -> Iterator[Reader | None]:
    """None where there is no store. Raises `CniError`."""
    from ..daemon.settings import settings
    from ..store.store import Store

    if hidden := out_of_sight():
        raise StoreError(hidden)
    directory = settings(os.environ).state
    if not is_there(directory):
        yield None
        return
    with Store.open(directory).read() as reader:
        yield reader


@dataclass(frozen=True)
class Judges:
    """What the engine says of a record, seen from here.

    Whether its container lives; and whether it is half done, with nobody at work on it.
    """

    fate: Callable[[Record], Fate]
    is_half_done: Callable[[Record], bool]


@contextmanager
def judging() -> Iterator[Judges]:
    """Raises `CniError`: the store can't be read."""
    from ..daemon.settings import settings
    from ..engine.judging import is_worked_on
    from ..engine.witness import fate
    from ..store.store import Store

    directory = settings(os.environ).state
    store = Store.open(directory) if is_there(directory) else None

    def is_half_done(record: Record) -> bool:
        if store is None or record.state is State.READY:
            return False
        return not is_worked_on(store, record)

    try:
        with own_host() as (_, world):
            yield Judges(lambda record: fate(store, world, record), is_half_done)
    finally:
        if store is not None:
            store.close()


def attachments() -> Counter[str] | None:
    """How many attachments each network has; None where the store can't be read."""
    try:
        found = {r.attachment for r in records() if r.state is State.READY}
    except CniError:
        return None
    return Counter(attachment.network for attachment in found)
