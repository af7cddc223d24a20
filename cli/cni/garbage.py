"""What GC may remove: attachments whose namespace is gone, and what an ADD or DEL left halfway.

Who is dead the engine's witness says, of what pynet has on record and of what the cache of
results knows alike. Who may live is kept, and told of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...cni.conflist import NetworkList
from ...engine.witness import Fate
from ...ipam.takeover import owns
from ...model.errors import CniError
from ...model.shown import short_id
from ...store.leases import HeldLease
from ...store.records import Record
from ..interfaces import is_alive
from ..site import site
from . import forcing
from .execution import Target
from .result_cache import Cached
from .runtime import Runtime

Pair = tuple[str, str]
"""(container, interface)."""


@dataclass(frozen=True)
class Survey:
    """One network's attachments: `stale` are those of the cache, `forgotten` recorded only.

    `half_done` are the records with nobody at work on them whose ADD or DEL was not finished, and
    all others of their attachments, unless the cache has a result of that: then the ADD was whole,
    and the attachment is kept.
    `kept` are all others; `unseen`, those among them that may be dead and are not proved to be,
    each with the path of its namespace. `leases` were taken over from the reference's host-local,
    and are of none of `kept`.
    """

    kept: frozenset[Pair]
    unseen: dict[Pair, str]
    stale: tuple[Cached, ...]
    forgotten: tuple[Record, ...]
    half_done: tuple[Record, ...] = ()
    leases: tuple[HeldLease, ...] = ()

    @property
    def gone(self) -> tuple[Target | Record, ...]:
        """Whose namespace is gone, each once."""
        recorded = {_pair(record): record for record in self.forgotten}
        return (*(entry.target for entry in self.stale), *recorded.values())

    def lines(self) -> list[str]:
        """One line for each that may be removed."""
        gone = [
            f"{short_id(one.container)} {one.interface} ({one.netns or 'its namespace'} is gone)"
            for one in self.gone
        ]
        halfway = [
            f"{short_id(container)} {interface} (its ADD or DEL ended halfway)"
            for container, interface in self._halves()
        ]
        leased = [
            f"{short_id(one.container)} {one.interface} (the reference's host-local leased it"
            f" {one.address})"
            for one in self.leases
        ]
        return gone + halfway + leased

    def _halves(self) -> list[Pair]:
        gone = {(one.container, one.interface) for one in self.gone}
        return [pair for pair in dict.fromkeys(map(_pair, self.half_done)) if pair not in gone]

    @property
    def count(self) -> int:
        """How many of `lines` are about attachments that are not `kept`."""
        return len(self.lines()) - sum(pair in self.kept for pair in self._halves())

    def doubts(self, network: str) -> list[str]:
        """One line for each that is kept for want of a proof."""
        return [
            f"kept {short_id(container)} {interface}: no path leads to its namespace, and it may be"
            f" in use. If it is not: `{forcing.detaching(network, container, interface)}`"
            for container, interface in sorted(self.unseen)
        ]

    def to_json(self) -> dict[str, Any]:
        """In CNI's own words."""
        return {
            "stale": [
                {"containerID": one.container, "ifname": one.interface, "netns": one.netns or None}
                for one in self.gone
            ],
            "half_done": [
                {"containerID": one.container, "ifname": one.interface, "plugin": one.plugin}
                for one in self.half_done
            ],
            "kept": [
                {
                    "containerID": container,
                    "ifname": interface,
                    "seen": (container, interface) not in self.unseen,
                }
                for container, interface in sorted(self.kept)
            ],
            "leases": [
                {
                    "containerID": one.container,
                    "ifname": one.interface or None,
                    "address": one.address,
                }
                for one in self.leases
            ],
        }


def survey(
    cached: Iterable[Cached],
    records: Iterable[Record],
    judge: Callable[[Record], Fate],
    is_half_done: Callable[[Record], bool] = lambda record: False,
    leases: Iterable[HeldLease] = (),
) -> Survey:
    """`cached` and `records` are of one network, the records of this host namespace alone.

    `leases` are those taken over that no record has, if a GC is to be sent.
    """
    entries, recorded = list(cached), list(records)
    fates: dict[Pair, set[Fate]] = {}
    for record in recorded:
        fates.setdefault(_pair(record), set()).add(_fate(record, judge))
    for entry in entries:
        remembered = entry.remembered()
        # A record knows which namespace it was; the path of a cache entry may be another's.
        if _pair(remembered) not in fates:
            fates[_pair(remembered)] = {_fate(remembered, judge)}
    dead = {pair for pair, found in fates.items() if found == {Fate.DEAD}}
    stale = tuple(entry for entry in entries if _pair(entry.remembered()) in dead)
    in_cache = {_pair(entry.remembered()) for entry in stale}
    forgotten = tuple(record for record in recorded if _pair(record) in dead - in_cache)
    halves = [record for record in recorded if is_half_done(record)]
    of_no_use = {_pair(record) for record in halves}
    of_no_use -= {_pair(entry.remembered()) for entry in entries}
    kept = frozenset(fates) - dead - of_no_use
    unseen = {
        _pair(record): record.netns
        for record in (*recorded, *(entry.remembered() for entry in entries))
        if _pair(record) in kept
        and Fate.UNKNOWN in (found := fates[_pair(record)])
        and Fate.ALIVE not in found
    }
    halves = [one for one in recorded if one in halves or _pair(one) in of_no_use]
    nobodys = tuple(one for one in leases if not any(owns(pair, one) for pair in kept))
    return Survey(kept, unseen, stale, forgotten, tuple(halves), nobodys)


def _fate(record: Record, judge: Callable[[Record], Fate]) -> Fate:
    """Of what is known by its path alone, one that leads to a namespace is believed."""
    if record.sandbox:
        return judge(record)
    return Fate.ALIVE if not record.netns or is_alive(record.netns) else Fate.UNKNOWN


def force(runtime: Runtime, network: NetworkList | None, name: str, found: Survey) -> list[str]:
    """The same past every plugin that fails; a line for each thing that may be left.

    Raises `CniError`, OSError, where what is ours can't be undone.
    """
    left: list[str] = []
    for one in found.gone:
        target = one if isinstance(one, Target) else _target(one)
        left += forcing.detach(runtime, network, name, _elsewhere(target))
    failures = _undo_abandoned(found.half_done)
    if failures:
        raise ExceptionGroup("not all of it could be undone; it can be tried again", failures)
    try:
        if network is not None:
            runtime.collect(network, found.kept)
    except* CniError as group:
        left += [str(error) for error in group.exceptions]
    return list(dict.fromkeys(left))


def _target(record: Record) -> Target:
    return Target(record.container, record.netns, record.interface)


def _elsewhere(target: Target) -> Target:
    """Its namespace is gone: what its path leads to is another."""
    return replace(target, netns="") if is_alive(target.netns) else target


def collect(runtime: Runtime, network: NetworkList | None, found: Survey) -> bool:
    """DEL what is stale, undo what is on record of it, then GC with those that live.

    Whether GC was sent: not for a `network` that is no longer configured. A path that another
    namespace has taken since is not given to DEL. Goes on past errors and raises them as one group.
    """
    failures: list[Exception] = []
    for entry in found.stale:
        try:
            known = network or entry.network_list()
            if known is not None:
                runtime.delete(known, _elsewhere(entry.target))
        except (CniError, OSError) as error:
            failures.append(error)
    failures += _undo_abandoned((*found.forgotten, *found.half_done))
    sent = False
    try:
        sent = network is not None and runtime.collect(network, found.kept)
    except* CniError as group:
        failures += group.exceptions
    if failures:
        raise ExceptionGroup("GC could not remove everything; it can be tried again", failures)
    return sent


def _undo_abandoned(records: Iterable[Record]) -> list[Exception]:
    """What of them failed. Unlike GC it needs no configured network, nor one of CNI 1.1.0."""
    from ...daemon.settings import settings
    from ...engine.collecting import is_abandoned, is_left_halfway, undo_if_idle

    failures: list[Exception] = []
    with site(settings(os.environ).state) as here:

        def doomed(record: Record) -> bool:
            assert here is not None
            return is_abandoned(here, record) or is_left_halfway(here, record)

        # What owns the interface first: with it goes the rest, under one lock.
        for record in sorted(records, key=lambda each: each.id):
            try:
                outcome = here and undo_if_idle(here, record, doomed)
                failures += outcome or []
            except (CniError, OSError) as error:
                failures.append(error)
    return failures


def _pair(record: Record) -> Pair:
    return record.container, record.interface
