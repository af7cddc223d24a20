"""What GC may remove: attachments whose namespace is gone, and only those.

Who counts as living: every attachment, in the cache of results or in pynet's own records,
whose namespace path still leads to a namespace (and, where pynet recorded which one it was,
to that one: paths and inodes are reused).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..cni.conflist import NetworkList
from ..kernel import namespaces
from ..model.errors import CniError, NamespaceError
from ..store.records import Record
from .execution import Target
from .interfaces import is_alive
from .result_cache import Cached
from .runtime import Runtime

Pair = tuple[str, str]
"""(container, interface)."""


@dataclass(frozen=True)
class Survey:
    """One network's attachments: `stale` are those of the cache, `forgotten` recorded only."""

    living: frozenset[Pair]
    stale: tuple[Cached, ...]
    forgotten: tuple[Record, ...]

    @property
    def gone(self) -> tuple[Target | Record, ...]:
        """All that may be removed."""
        return (*(entry.target for entry in self.stale), *self.forgotten)

    def lines(self) -> list[str]:
        """One line for each that may be removed."""
        return [
            f"{one.container} {one.interface} ({one.netns or 'its namespace'} is gone)"
            for one in self.gone
        ]

    def to_json(self) -> dict[str, Any]:
        """In CNI's own words."""
        return {
            "stale": [
                {"containerID": one.container, "ifname": one.interface, "netns": one.netns}
                for one in self.gone
            ],
            "kept": [
                {"containerID": container, "ifname": interface}
                for container, interface in sorted(self.living)
            ],
        }


def survey(cached: Iterable[Cached], records: Iterable[Record]) -> Survey:
    """`cached` and `records` are of one network, the records of this host namespace alone."""
    recorded = list(records)
    dead = {_pair(record) for record in recorded if not _lives(record)}
    living = {_pair(record) for record in recorded} - dead
    stale = []
    for entry in cached:
        pair = (entry.target.container, entry.target.interface)
        # A record knows which namespace it was; the path of a cache entry may be another's.
        if pair in living or (pair not in dead and is_alive(entry.target.netns)):
            living.add(pair)
        else:
            stale.append(entry)
    in_cache = {(entry.target.container, entry.target.interface) for entry in stale}
    forgotten = {_pair(record): record for record in recorded if _pair(record) not in living}
    left = tuple(record for pair, record in forgotten.items() if pair not in in_cache)
    return Survey(frozenset(living), tuple(stale), left)


def collect(runtime: Runtime, network: NetworkList, found: Survey) -> bool:
    """DEL what is stale, then GC with those that live; whether GC was sent.

    A path that another namespace has taken since is not given to DEL. Goes on past errors and
    raises them as one group.
    """
    failures: list[Exception] = []
    for entry in found.stale:
        try:
            taken = is_alive(entry.target.netns)
            runtime.delete(network, replace(entry.target, netns="") if taken else entry.target)
        except (CniError, OSError) as error:
            failures.append(error)
    sent = False
    try:
        sent = runtime.collect(network, found.living)
    except* CniError as group:
        failures += group.exceptions
    if failures:
        raise ExceptionGroup("GC could not remove everything; it can be tried again", failures)
    return sent


def _pair(record: Record) -> Pair:
    return record.container, record.interface


def _lives(record: Record) -> bool:
    """Without a recorded namespace, or where it can't be opened, nothing proves it dead."""
    if not record.sandbox:
        return not record.netns or is_alive(record.netns)
    try:
        fd = namespaces.open_namespace(record.netns)
    except FileNotFoundError:
        return False
    except NamespaceError:
        return is_alive(record.netns)
    try:
        with namespaces.entered(fd), socket.socket(socket.AF_UNIX) as probe:
            return str(namespaces.cookie(probe)) == record.sandbox
    except (OSError, NamespaceError):
        return True
    finally:
        os.close(fd)
