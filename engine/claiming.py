"""Whether this store may work on this host: its tables name the one whose records they hold.

Rules that hold here:
- It is asked before any effect. A second store would take down with its last container what the
  first one's need; so it is refused, and both are named.
- A table whose store is gone, or that names none (somebody has put it back from a saved ruleset),
  goes over to who comes; what no record has is removed from it.
- Whoever comes first brings an older table up to date; a newer one is left to who made it, and
  so is a record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from ..model.errors import AnotherStore, KernelError, NewerLayout
from ..model.exhaustion import is_exhaustion
from ..model.owner import Owner, TableFound
from ..store.failure import newer_record
from ..store.others import is_gone
from ..store.records import FORMAT, Record
from . import strangers
from .site import Site

_COMMAND = "nft delete table inet pynet; nft delete table bridge pynet"


class Unsettled(NamedTuple):
    """What is to be seen to before a host is worked on: its tables, and who lives on it."""

    tables: bool
    strangers: bool


def refuse_newer(site: Site) -> Unsettled:
    """What is to be seen to first. Raises `NewerLayout`."""
    mine = site.store.owner()
    return _unsettled(site, _found(site), mine)


def refuse_others(site: Site) -> Unsettled:
    """The same; raises `AnotherStore` where the tables are another's, too."""
    mine = site.store.owner()
    found = _found(site)
    refuse_owners(found, mine)
    unsettled = _unsettled(site, found, mine)
    # Whoever comes to add wakes a table that sleeps; who only looks is to say that it does.
    asleep = any(map(attrgetter("asleep"), found))
    return unsettled._replace(tables=unsettled.tables or asleep)


def refuse_owners(found: Iterable[TableFound], mine: Owner) -> None:
    """Raises `AnotherStore` where one of these tables is a store's that lives, and not `mine`."""
    for owner in living_others(found, mine):
        raise _is_kept_by(owner, mine)


def kept_by(site: Site) -> Owner | None:
    """Whose the containers that run here are, where that is another store's that is still there."""
    return next(iter(living_others(_found(site), site.store.owner())), None)


def leave_newer(site: Site, records: Iterable[Record]) -> None:
    """Raises `NewerRecord` for one of theirs, where a newer pynet may come for it."""
    for record in records:
        if site.leaves_newer and record.format > FORMAT:
            raise newer_record(record.plugin, record.container, record.format, FORMAT)


def _found(site: Site) -> list[TableFound]:
    """Nothing where the kernel won't say: who needs the tables will be told why."""
    try:
        return site.world.tables()
    except NewerLayout:
        raise
    except KernelError as error:
        if is_exhaustion(error):
            raise  # it is not the kernel that says so
        return []


def _unsettled(site: Site, found: list[TableFound], mine: Owner) -> Unsettled:
    return Unsettled(_to_be_seen_to(found, mine), strangers.are_unknown(site, mine.store))


def living_others(found: Iterable[TableFound], mine: Owner) -> list[Owner]:
    """The stores that these tables are kept by, and that are still there, other than `mine`."""
    owners = [table.owner for table in found if table.owner]
    return [owner for owner in owners if owner.store != mine.store and not is_gone(owner, mine)]


def _to_be_seen_to(found: list[TableFound], mine: Owner) -> bool:
    return not all(map(partial(_is_settled, mine), found))


def _is_settled(mine: Owner, table: TableFound) -> bool:
    return not (table.is_older or table.owner is None or _is_stale(table.owner, mine))


def _is_stale(owner: Owner, mine: Owner) -> bool:
    """Whether the table says something of its owner that no longer holds."""
    if owner.store == mine.store:
        return owner.boot != mine.boot
    return is_gone(owner, mine)


def _is_kept_by(owner: Owner, mine: Owner) -> AnotherStore:
    way = f"use --state-dir {owner.directory}"
    if owner.directory == mine.directory:
        way = "that one is on a file system that is not mounted here: mount it, or work where it is"
    return AnotherStore(
        f"this host's containers are kept by {owner}, and this is {mine}: two of them on one"
        f" host would undo each other's work; {way}, or, if it is in nobody's use, `{_COMMAND}`",
        details=json.dumps({one.store: one.directory for one in (owner, mine)}),
    )
