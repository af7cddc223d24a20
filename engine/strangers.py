"""Containers whose records were lost: known again by what stands of them.

Rules that hold here:
- Each process compares a host's ends with the records before it first works there. Where one is
  on none, or nobody has looked yet, the host is looked through (`survey`); so it is before
  anything is removed as nobody's. Of the end of a damaged log SQLite says nothing: the store is
  an older one then, with the mark of who has looked.
- A record that was made up is like any other: nobody else is given its addresses, what it shares
  with others stays as long as it does, and all of it goes with it. It ends by a DEL of its
  attachment, which gives its pair that name, or once its container is dead (GC, `reload`).
"""

from __future__ import annotations

from collections.abc import Collection

from ..model.errors import AlreadyAttached, CniError, TryLater
from ..model.link_pair import PAIRS
from ..model.query import HostEnds
from ..model.request import Attachment, Request
from ..model.resource import Resource
from ..model.resources import Element, LinkPair, SharedElement, Sysctl, VlanGateway
from ..store.leases import EVERY_POOL
from ..store.records import NOT_ON_RECORD, Record
from ..store.store import Reader
from . import collecting
from .site import Site


def are_unknown(site: Site, store: str) -> bool:
    """Whether nobody has looked yet who lives on this host that `store` does not know."""
    if (store, site.world.host) in site.store.looked_through:
        return False
    ends = site.world.look(HostEnds()) or ()  # first: a pair is on record before it is made
    with site.store.read() as tx:
        if not tx.is_taken_over(EVERY_POOL, mark(site)) or unrecorded(tx, site.world.host, ends):
            return True
        found = tx.records(host=site.world.host, network=NOT_ON_RECORD)
    site.store.looked_through[store, site.world.host] = bool(found)
    return False


def unrecorded(tx: Reader, host: str, ends: Collection[str]) -> list[str]:
    """Those of `ends`, the host's, that no record tells of, not even one that is being undone."""
    if not ends:
        return []
    resources = tx.resources(host, (*PAIRS, VlanGateway.kind), undone=True)
    known = {
        getattr(each, "port", "") or each.name
        for each in resources
        if isinstance(each, LinkPair | VlanGateway)
    }
    return [name for name in ends if name not in known]


def mark(site: Site) -> str:
    """What is on record, as taken over into all pools, once the host was looked through."""
    return f"host {site.world.host}"


def guarded_by(element: Resource) -> Sysctl | None:
    """What lets 127.0.0.1 reach containers behind an interface, and nobody else as long as
    `element` stands; None for any other element.
    """
    if isinstance(element, Element | SharedElement) and element.set == "loopback_guarded":
        return Sysctl(setting=f"ipv4/conf/{element.item[0]}/route_localnet", value="1")
    return None


def made_up(tx: Reader, host: str, attachment: Attachment) -> Record | None:
    """The record that was made up for this very attachment, known by its pair's name."""
    found = tx.records(host=host, network=NOT_ON_RECORD, container=attachment.host_end)
    return found[0] if found else None


def _made_up(site: Site, request: Request) -> Record | None:
    if not any(site.store.looked_through.values()):
        return None  # as always but after a loss
    with site.store.read() as tx:
        return made_up(tx, site.world.host, request.attachment)


def refuse_unrecorded(site: Site, request: Request) -> None:
    """What is left of this very attachment is undone. Raises `AlreadyAttached` where it lives."""
    record = _made_up(site, request)
    if record is None:
        return
    failures = collecting.undo_if_idle(site, record, lambda one: collecting.is_dead(site, one))
    if failures is None:
        raise AlreadyAttached(
            f"container {request.container} is connected as {request.interface} already, by an ADD"
            " that is not on record (was the store lost?); DEL it first",
            details=f"host interface {record.container}",
        )
    if failures:
        raise ExceptionGroup("what stands without a record can't be undone", failures)


def delete_unrecorded(site: Site, request: Request) -> list[Exception]:
    """Undo what was made up for this attachment, and answer what failed."""
    record = _made_up(site, request)
    if record is None:
        return []
    failures = collecting.undo_if_idle(site, record, lambda one: True)
    if failures is None:
        return [TryLater(f"{record.container} is being worked on by another call; try again later")]
    return failures


def bury(site: Site) -> list[Exception]:
    """Undo those whose containers are dead, and answer what failed."""
    with site.store.read() as tx:
        records = tx.records(host=site.world.host, network=NOT_ON_RECORD)
    failures: list[Exception] = []
    for record in records:
        try:
            if collecting.is_abandoned(site, record):
                doomed = collecting.undo_if_idle(
                    site, record, lambda one: collecting.is_abandoned(site, one)
                )
                failures += doomed or []
        except (CniError, OSError) as error:
            failures.append(error)
    return failures
