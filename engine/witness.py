"""Whether a record's container still has its network namespace: the one rule for death.

Rules that hold here:
- Dead is only what is proved to be: the host's end is missing, where there was one, and the
  recorded namespace is reached neither by path and cookie nor by its number (nsid).
- A missing path proves nothing: it may be seen from another mount namespace, or a process may
  keep the namespace. Nor does an interface that was renamed, moved, or given another MAC.
- Who may not look does not know. Nobody is collected for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from ..model.link_attributes import LinkAddress
from ..model.link_pair import PAIRS
from ..model.place import own_number
from ..model.query import LinkNamed
from ..model.resource import Resource
from ..model.resources import LinkPair
from ..model.value import Value
from ..model.witness import AddressesNumbered, LinksNumbered, NumberKnown, PairStands
from ..store.records import Record
from ..store.store import Store
from .request_record import Call
from .world import World


class Fate(StrEnum):
    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


def fate(store: Store | None, world: World, record: Record) -> Fate:
    """What has become of the namespace that `record` was made for. Raises `CniError`.

    It need not be in the store, which may be none: what it says itself counts, too.
    """
    if not record.sandbox or record.host != world.host:
        return Fate.UNKNOWN
    if record.sandbox in (world.sandbox, world.host):
        return Fate.ALIVE  # whoever calls has it open
    known = world.look(NumberKnown(record.nsid)) if record.nsid >= 0 else None
    if known and _is_ours_alone(record):
        return Fate.ALIVE
    if world.reaches(record.netns, record.sandbox):
        return Fate.ALIVE
    traces = _traces(store, record)
    if any(_is_named(world, name, mac) for name, mac in traces.ends):
        return Fate.UNKNOWN  # it lives out of reach, or is being dissolved this moment
    if known is False or (known and _is_anothers(store, world, record)):
        return Fate.DEAD
    if known:
        return _behind(world, record.nsid, traces)
    return _by_its_pairs(world, traces) if traces.pairs else Fate.UNKNOWN


def _is_ours_alone(record: Record) -> bool:
    """Whether its number is the one that was made for it: no other namespace gets that."""
    return record.nsid == own_number(record.sandbox)


def _is_anothers(store: Store | None, world: World, record: Record) -> bool:
    """Whether the number has been given to another namespace since, so that its own is gone.

    That is on record, or the very namespace that somebody asks for now has it.
    """
    if record.is_made_up:
        return False  # its namespace has no other name than that number
    if world.sandbox and world.number() == record.nsid:
        return True
    if store is None:
        return False
    with store.read() as tx:
        return any(
            other.nsid == record.nsid and other.sandbox != record.sandbox and other.id > record.id
            for other in tx.records(host=record.host)
            if not other.is_made_up
        )


def _behind(world: World, number: int, traces: _Traces) -> Fate:
    """By what is in the namespace that has the number now, which may be another by now."""
    links = world.look(LinksNumbered(number))
    if links is None or not (traces.macs or traces.addresses):
        return Fate.UNKNOWN
    if any(link.mac in traces.macs for link in links):
        return Fate.ALIVE
    addresses = world.look(AddressesNumbered(number))
    if addresses is None or traces.addresses & {_bare(address) for address in addresses}:
        return Fate.UNKNOWN
    if traces.pairs:
        return _by_its_pairs(world, traces)
    # What has no end on the host may have been moved, or given another MAC and address: that its
    # namespace is another by now only the end of a pair can tell, which was there and is not.
    return Fate.DEAD if any(_has_gone(world, name) for name, _ in traces.ends) else Fate.UNKNOWN


def _by_its_pairs(world: World, traces: _Traces) -> Fate:
    """A pair's two ends vanish together: dead where no end is found under any name."""
    if all(world.look(PairStands(pair.mac, pair.peer_mac)) is False for pair in traces.pairs):
        return Fate.DEAD
    return Fate.UNKNOWN


def _is_named(world: World, name: str, mac: str) -> bool:
    link = world.look(LinkNamed(name))
    return link is not None and link.kind in PAIRS and mac in ("", link.mac)


def _has_gone(world: World, name: str) -> bool:
    """Whether there is no link of the name any more but, by chance, another pair's end."""
    link = world.look(LinkNamed(name))
    return link is None or link.kind in PAIRS


# --- what is on record of it ----------------------------------------------------------------------


class _Traces(Value):
    """What was there of a container, whoever made it.

    `pairs` are ours, `ends` (name and MAC) what it has on the host, `macs` and `addresses` its own.
    """

    pairs: tuple[LinkPair, ...]
    ends: frozenset[tuple[str, str]]
    macs: frozenset[str]
    addresses: frozenset[str]


def _traces(store: Store | None, record: Record) -> _Traces:
    """From all records of the attachment: the pair may be that of another plugin."""
    records, resources = [record], list[Resource]()
    if store is not None:
        with store.read() as tx:
            records += [
                other
                for other in tx.records_of(record.host, record.attachment)
                if other.sandbox == record.sandbox and other.id != record.id
            ]
            resources += [step.resource for other in records for step in tx.steps(other)]
    pairs = tuple(each for each in resources if isinstance(each, LinkPair))
    documents = _results(records)
    interfaces = [each for document in documents for each in _listed(document, "interfaces")]
    inside = {_text(each, "mac").lower() for each in interfaces if each.get("sandbox")}
    outside = {
        (_text(each, "name"), _text(each, "mac").lower())
        for each in interfaces
        if not each.get("sandbox")
    }
    inside |= {each.container_end[1] for each in resources if each.container_end}
    inside |= {each.mac for each in resources if isinstance(each, LinkAddress)}
    outside |= {(pair.name, pair.mac) for pair in pairs}
    addresses = {_text(ip, "address") for document in documents for ip in _listed(document, "ips")}
    return _Traces(
        pairs,
        frozenset(outside),
        frozenset(inside - {""}),
        frozenset(map(_bare, addresses - {""})),
    )


def _results(records: Iterable[Record]) -> list[dict[str, Any]]:
    """What these plugins answered, and what they were told that those before them did."""
    found: list[Any] = []
    for record in records:
        found.append(json.loads(record.result or "{}"))
        if record.request:
            found.append(Call.load(record.request).config.get("prevResult"))
    return [document for document in found if isinstance(document, dict)]


def _listed(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    listed = document.get(name)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _text(document: dict[str, Any], name: str) -> str:
    return str(document.get(name) or "")


def _bare(address: str) -> str:
    return address.partition("/")[0]
