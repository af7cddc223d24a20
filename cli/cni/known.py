"""Every attachment that is known here: of the cache of results and of pynet's own records alike.

A runtime's cache may be elsewhere, and an older libcni does not write down where a container's
namespace is. What pynet's plugins have made is on record in any case.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from ...model.errors import CniError
from ...store.records import Record
from ..interfaces import Sandbox
from ..recorded import records
from .execution import Target
from .result_cache import Cached, ResultCache


def attachments(cache: ResultCache) -> list[Cached]:
    """Each once, those of the cache first."""
    known = {_key(cached): cached for cached in cache.attachments()}
    recorded: list[Record] = []
    with suppress(CniError):  # who needs the store will be told why it can't be read
        recorded = records()
    for record in recorded:
        found = _of_record(record)
        cached = known.setdefault(_key(found), found)
        if not cached.target.netns or not cached.sandbox.cookie:
            target = replace(cached.target, netns=cached.target.netns or record.netns)
            known[_key(found)] = replace(cached, target=target, sandbox=found.sandbox)
    return list(known.values())


def _of_record(record: Record) -> Cached:
    target = Target(record.container, record.netns, record.interface)
    sandbox = Sandbox(record.host, record.sandbox, record.nsid)
    return Cached(record.network, target, sandbox=sandbox)


def _key(cached: Cached) -> tuple[str, str, str]:
    return cached.network, cached.target.container, cached.target.interface
