"""What is to be lent and is not there: the dead give it back, and who lives with it is named."""

from __future__ import annotations

from ..model.errors import Away
from ..store.records import Record
from . import collecting
from .journal import Taken
from .site import Site


def bring_back(site: Site, away: Away) -> None:
    """Undo what nobody lives with any more of those who may have it.

    Raises `Taken` where somebody lives with it, and `away` where nobody has given anything back.
    """
    before = _holders(site, away)
    collecting.undo_abandoned(site, before)
    left = _holders(site, away)
    if left and away.key:
        raise _taken(site, away, left) from None
    if len(left) == len(before):
        raise away


def is_lent(site: Site, away: Away, network: str) -> bool:
    """Whether somebody has it; where it is not known by its key, somebody on `network`."""
    return any(away.key or record.network == network for record in _holders(site, away))


def _holders(site: Site, away: Away) -> list[Record]:
    """Where it is not known by its key, those of anything of its kind."""
    host = site.world.host
    with site.store.read() as tx:
        keys = [away.key] if away.key else [each.key for each in tx.resources(host, (away.kind,))]
        found = tx.holders(host, keys, but=0) if keys else {}
    return [record for records in found.values() for record in records]


def _taken(site: Site, away: Away, holders: list[Record]) -> Taken:
    with site.store.read() as tx:
        steps = tx.steps(holders[0])
    resource = next(step.resource for step in steps if step.resource.key == away.key)
    return Taken(resource, holders)
