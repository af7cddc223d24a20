"""Answers to a plan's questions.

`os.path` and no `pathlib`: an ADD looks for its IPAM plugin each time.
"""
# ruff: noqa: PTH113, PTH118, PTH119

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model.errors import CniError, Code
from ..model.forwarding import Blocker, ForwardBlockers
from ..model.query import (
    REPLACED,
    AddressesOn,
    DirectRoute,
    FileText,
    Link,
    LinkNamed,
    Listener,
    ListenersOn,
    PluginBinary,
    Query,
    ReplacedBinary,
    SysctlValue,
)
from . import addresses, links, listeners, routes
from .places import Places

_LAUNCHER = "pynet-launcher"


@dataclass(frozen=True)
class Looker:
    at: Places
    our_plugins: frozenset[str]

    def look(self, query: Query[Any]) -> Any:
        """Raises `CniError`. Paths are this process's: callers in another mount namespace are
        declined before.
        """
        return _LOOKS[type(query)](self, query)

    def link(self, query: LinkNamed) -> Link | None:
        if not self.at.has(query.place):
            return None
        return links.by_name(self.at.socket(query.place), query.name)

    def addresses(self, query: AddressesOn) -> tuple[str, ...]:
        if not self.at.has(query.place):
            return ()
        sock = self.at.socket(query.place)
        index = links.index(sock, query.name)
        if not index:
            return ()
        found = addresses.on(sock, index)
        return tuple(each.address for each in found if not each.link_local)

    def sysctl(self, query: SysctlValue) -> str | None:
        if not self.at.has(query.place):
            return None
        return self.at.sysctl(query.place, query.key)

    def direct_route(self, query: DirectRoute) -> str:
        sock = self.at.socket("host")
        index = routes.direct(sock, query.address)
        return links.name_of(sock, index) if index else ""

    def listeners(self, query: ListenersOn) -> tuple[Listener, ...]:
        return listeners.on(self.at.namespace("host"), query.ports)

    def forward_blockers(self, query: ForwardBlockers) -> tuple[Blocker, ...]:
        return self.at.table().foreign.blockers()

    def file(self, query: FileText) -> str | None:
        try:
            return Path(query.path).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CniError(
                f"{query.path} can't be read: {error.strerror}", code=Code.IO_FAILURE
            ) from error

    def binary(self, query: PluginBinary) -> str | None:
        """The first regular file counts, executable or not, as in the reference."""
        ours = "" if query.type in self.our_plugins else None
        for directory in query.path:
            path = os.path.join(directory, query.type)
            if os.path.isfile(path):
                return "" if _is_ours(path) else path
        return ours

    def replaced(self, query: ReplacedBinary) -> str:
        for directory in query.path:
            path = os.path.join(directory, query.type)
            if os.path.isfile(path):
                kept = os.path.join(directory, REPLACED, query.type)
                # What was a link to another name of ours leads back to us.
                is_theirs = os.path.isfile(kept) and not _is_ours(kept)
                return kept if _is_ours(path) and is_theirs else ""
        return ""


def _is_ours(path: str) -> bool:
    return os.path.basename(os.path.realpath(path)) == _LAUNCHER


_LOOKS: dict[type[Query[Any]], Callable[[Looker, Any], Any]] = {
    LinkNamed: Looker.link,
    AddressesOn: Looker.addresses,
    SysctlValue: Looker.sysctl,
    DirectRoute: Looker.direct_route,
    ListenersOn: Looker.listeners,
    FileText: Looker.file,
    PluginBinary: Looker.binary,
    ReplacedBinary: Looker.replaced,
    ForwardBlockers: Looker.forward_blockers,
}
