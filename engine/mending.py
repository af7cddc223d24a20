"""What is not as recorded, made again in place: the container keeps its address and its name.

Rules that hold here:
- It is done with the attachment's lock held, and only while its records are as they were judged.
- What was there is not taken away first: each thing is made as it was, in the order of the plan.
  But the links with their MTU come first, whichever record has it: the kernel keeps no IPv6
  address on a link whose MTU is below 1280, and no route with a larger one than the link's.
- What containers share on the host, and what is in our tables and other people's chains, is made
  before, for all of them (`reconciling`).
- Killed at any point, it leaves no more than there was to be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..model.container_link import ContainerLink
from ..model.errors import CniError
from ..model.link_attributes import LinkMtu
from ..model.resource import Resource
from ..model.resources import Bridge, GatewayAddress, HostLeg, LinkPair, VlanGateway
from ..store.records import Record, State
from . import checking, faults
from .judging import LastWords
from .lapsing import limit
from .last_word import heard
from .reconciling import IN_TABLE, SHARED, WAYS
from .site import Site
from .world import World

_LINKS = (LinkPair, ContainerLink, LinkMtu)


def mend(site: Site, records: Sequence[Record], last_words: LastWords) -> list[Exception]:
    """Make what is not as `records` of one attachment say; what of it failed.

    Nothing is done where somebody is at work on it, or its namespace can't be entered.
    """
    first = records[0]
    lock = site.lock(first.attachment)
    if not lock.try_acquire():
        return []
    with lock:
        if not _are_as_judged(site, records):
            return []
        with site.world.visiting(first.netns, first.sandbox, first.nsid) as inside:
            if first.sandbox not in ("", inside.sandbox):
                return []
            return [
                failure
                for links in (True, False)
                for each in records
                for failure in _mend(site, inside, each, last_words, links=links)
            ]


def _are_as_judged(site: Site, records: Sequence[Record]) -> bool:
    with site.store.read() as tx:
        now = [tx.record(record.id) for record in records]
    return all(
        new is not None and new.state is State.READY and new.claim == old.claim
        for new, old in zip(now, records, strict=True)
    )


def _mend(
    site: Site, world: World, record: Record, last_words: LastWords, *, links: bool
) -> list[Exception]:
    """In the order of the plan: an address needs its link, a route the address and the link up.

    What is a link or its MTU, or all else.
    """
    failures: list[Exception] = []
    with site.store.read() as tx:
        wanted = checking.expected(tx, record)
    word = heard(site.store, record, last_words(record))
    dropped = word.dropped(record)
    mine = [
        one
        for one in wanted.resources
        if one not in dropped and not _is_made_for_all(one) and isinstance(one, _LINKS) is links
    ]
    for _, group in groupby(mine, lambda one: (one.kind, one.place)):
        neighbours = list(group)
        try:
            # What is missing under its name tells nothing of its MAC until it has it back.
            for _ in range(2):
                found = checking.judged(world.verify_all(neighbours), wanted, word)
                if not found:
                    break
                world.mend(neighbours, found)
                limit(world, neighbours, wanted.lapsing)
                faults.point()
        except (CniError, OSError) as error:
            failures.append(error)
    return failures


def _is_made_for_all(resource: Resource) -> bool:
    """Whether reconciling sees to all of it.

    Of a bridge, its leg in a VLAN, the host's on a master, and of their addresses it sees only that
    they are there. MAC and MTU are on record with whose container was the first.
    """
    if resource.kind in (*IN_TABLE, *WAYS):
        return True
    shared = resource.place == "host" and resource.kind in SHARED and not resource.inside
    return shared and not isinstance(resource, Bridge | VlanGateway | HostLeg | GatewayAddress)
