"""Who is connected here and on no record of the store that was looked at: why, and what helps.

Rules that hold here:
- That a store was lost is said only where no other has them. Whose they are the nftables tables
  tell, to who may read them.
- A record that was made up tells of an attachment, and not of its network.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...engine.claiming import living_others
from ...engine.strangers import unrecorded
from ...kernel.world import KernelWorld
from ...model.errors import CniError, KernelError
from ...model.owner import Owner
from ...model.query import HostEnds, LinkNamed
from ...store.database import this_boot
from ...store.records import NOT_ON_RECORD
from ...store.store import Store
from ..site import is_there, own_host


@dataclass(frozen=True)
class Strangers:
    """`ends` are the host's ends of their pairs. `kept_by` is the directory of the store that has
    them, "" where none does, and `way` says how to get at it. `hidden` is whether this user may not
    know that.
    """

    ends: tuple[str, ...] = ()
    kept_by: str = ""
    way: str = ""
    hidden: bool = False
    damaged: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ends)

    def __str__(self) -> str:
        """What is so, and what helps."""
        if self.hidden:
            return (
                f"{len(self.ends)} connected, and on record where this user can't see it:"
                " run this as root"
            )
        named = ", ".join(self.ends)
        if self.kept_by:
            return (
                f"connected, and not on record here ({len(self.ends)}): {named}; they are on record"
                f" in {self.kept_by}{self.way}"
            )
        why = "the store was lost"
        if self.damaged:
            why = f"the store was damaged (it is kept as {self.damaged[0]})"
        return (
            f"connected, and not on record ({len(self.ends)}): {named}; {why}: `pynet reload` puts"
            " them on record"
        )


def strangers(state: Path, world: KernelWorld, ends: Sequence[str]) -> Strangers:
    """What is to be said of `ends`, of whom the store in directory `state` does not know."""
    if not ends:
        return Strangers()
    kept_by, way, hidden = "", "", False
    try:
        mine = own(state)
        kept_by = next((each.directory for each in living_others(world.tables(), mine)), "")
    except KernelError as error:
        hidden = error.errno in (errno.EPERM, errno.EACCES)
    except CniError:
        pass  # it is said by who needs it
    if kept_by:
        way = f": `pynet --state-dir {kept_by} inspect`"
        if kept_by == mine.directory:
            way = ", on a file system that is not mounted here"
    return Strangers(tuple(ends), kept_by, way, hidden, damaged(state))


def damaged(state: Path) -> tuple[Path, ...]:
    """What is kept of a store there that could not be read."""
    try:
        return tuple(sorted(state.glob("pynet.db.damaged")))
    except OSError:
        return ()


def own(state: Path) -> Owner:
    """The store in directory `state` as its tables would name it; without an id before it is made.

    Raises `CniError`.
    """
    if is_there(state):
        return Store.open(state).owner()
    return Owner(this_boot().replace("-", ""), "", str(state), 0)


@dataclass(frozen=True)
class Unplaced:
    """Who is connected to nobody knows which network: by the bridges they are ports of, "" for
    none. `strangers` are those of whom there is not even a record."""

    bridges: dict[str, str] = field(default_factory=dict)
    strangers: Strangers = field(default_factory=Strangers)

    def __bool__(self) -> bool:
        return bool(self.bridges)

    def on(self, bridges: Sequence[str]) -> list[str]:
        """The host's ends of who may be on a network with these bridges, or with none."""
        return [end for end, bridge in self.bridges.items() if bridge in (*bridges, "")]


def unplaced(state: Path) -> Unplaced:
    """Raises `CniError`, OSError."""
    with own_host() as (_, world):
        ends: Sequence[str] = world.look(HostEnds()) or ()
        made_up: list[str] = []
        if ends and is_there(state):
            with Store.open(state).read() as tx:
                made_up = [
                    record.container
                    for record in tx.records(host=world.host, network=NOT_ON_RECORD)
                ]
                ends = unrecorded(tx, world.host, ends)
        found = dict(_masters(world, [*ends, *made_up]))
        return Unplaced(found, strangers(state, world, ends))


def _masters(world: KernelWorld, ends: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The bridge of each that stands, "" for none."""
    for name in dict.fromkeys(ends):
        link = world.look(LinkNamed(name))
        if link is not None:
            try:
                yield name, socket.if_indextoname(link.master) if link.master else ""
            except OSError:
                yield name, ""  # it went meanwhile
