"""Our nftables tables anew, from what the records say belongs there.

Rules that hold here:
- Others go on meanwhile. Whoever undoes a record marks it first and takes its elements out
  after, so what is put back although its record has been marked is seen by reading again.
- What several share is made and removed inside the store's write transaction, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..model.forwarding import ForwardAccept, ForwardBlockers, ForwardJump, ZoneInterface
from ..model.plan import Drift
from ..model.resource import Resource, Undo
from ..model.resources import Forwarding
from ..store.store import Reader
from .site import Site

IN_TABLE = (
    "masquerade-prefix",
    "nft-element",
    "nft-shared-element",
    "publish-condition",
    "published-port",
)
"""The kinds of resource that stand in our nftables tables."""
BESIDE = (Forwarding.kind, ForwardJump.kind, ForwardAccept.kind, ZoneInterface.kind)
"""The kinds that let traffic through the host, and that others may have taken back."""


@dataclass(frozen=True)
class Reloaded:
    """`wrong` is what was not as recorded, `left` what still is not; of `count` resources."""

    count: int
    wrong: tuple[Drift, ...]
    left: tuple[Drift, ...]


def rebuild_tables(site: Site, where: Callable[[Resource], bool] = lambda resource: True) -> None:
    """Make what is missing of our tables, and put in what the records say belongs there.

    Nothing is done unless `where` holds of any of it.
    """
    put = _recorded(site, IN_TABLE)
    if not any(map(where, put)):
        return
    site.world.rebuild(put)
    with site.store.read() as tx:
        if not _strays(tx, site, put):
            return
    with site.store.write() as tx:
        site.world.delete([(stray, None) for stray in _strays(tx, site, put)])


def reload(site: Site) -> Reloaded:
    """The same by hand: also what stands beside our tables, and it says what it found.

    Raises `CniError` where it can't be done, OSError.
    """
    recorded = _wanted(site)
    wrong = _drifts(site, recorded)
    rebuild_tables(site)
    with site.store.write() as tx:
        beside = list(tx.resources(site.world.host, BESIDE))
        for resource in beside:
            if resource in recorded and site.world.verify(resource):
                site.world.create([resource])
    return Reloaded(len(recorded), wrong, _drifts(site, _wanted(site)) if wrong else ())


def _recorded(site: Site, kinds: Iterable[str]) -> list[Resource]:
    with site.store.read() as tx:
        return list(tx.resources(site.world.host, kinds))


def _strays(tx: Reader, site: Site, put: Iterable[Resource]) -> list[Resource]:
    """Those of `put` that no record needs any more."""
    needed = {resource.key for resource in tx.resources(site.world.host, IN_TABLE)}
    return [one for one in put if one.key not in needed and one.undo is not Undo.KEEP]


def _wanted(site: Site) -> list[Resource]:
    """All that is recorded, but for ways through a chain whose owner is gone or drops nothing."""
    beside = _recorded(site, BESIDE)
    if any(resource.kind != Forwarding.kind for resource in beside):
        programs = {blocker.program for blocker in site.look(ForwardBlockers())}
        beside = [one for one in beside if _program(one) in ("", *programs)]
    return [*_recorded(site, IN_TABLE), *beside]


def _program(resource: Resource) -> str:
    """Who provides for it: "" for what needs nobody."""
    if isinstance(resource, ZoneInterface):
        return "firewalld"
    return resource.program if isinstance(resource, ForwardJump | ForwardAccept) else ""


def _drifts(site: Site, resources: Iterable[Resource]) -> tuple[Drift, ...]:
    found = (drift for resource in resources for drift in site.world.verify(resource))
    return tuple(dict.fromkeys(found))
