"""Rules by source address, and routes that are moved to the tables these ask."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from ...model.place import Place
from ...model.plan import Drift
from ...model.routing import MAIN_TABLE, MovedRoute, SourceRule
from ..netlink import links, routes, source_rules
from ..netlink.refusals import GONE, THERE
from ..netlink.rtnl import Operation, address_bytes, family_of
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .handler import Handler, missing

_NOT_NOW = (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES)
"""The link is down, the gateway or the source is there no more, or IPv6 is off: the kernel would
have taken the route away by itself.
"""


class SourceRuleHandler(Handler[SourceRule]):
    """Looked for before it is made: some kernels take the same rule twice."""

    def exists(self, at: Places, resource: SourceRule) -> bool:
        return bool(_rules(at.socket(resource.place), resource))

    def create(self, at: Places, resource: SourceRule) -> None:
        sock = at.socket(resource.place)
        if not _rules(sock, resource):
            sock.transact(source_rules.added(resource.address, resource.table), tolerated=THERE)

    def verify(self, at: Places, resource: SourceRule) -> list[Drift]:
        return [] if self.exists(at, resource) else [missing(resource.text)]

    def delete(self, at: Places, resource: SourceRule, previous: str | None) -> None:
        sock = at.socket(resource.place)
        sock.transact(*map(source_rules.removed, _rules(sock, resource)), tolerated=GONE)


def _rules(sock: Socket, wanted: SourceRule) -> list[source_rules.Rule]:
    """Those that are there: there may be more than one."""
    family = 0
    if wanted.address:
        family, sources = family_of(wanted.address), {address_bytes(wanted.address)}
    else:
        index = links.index(sock, wanted.name)
        sources = source_rules.of_link(sock, index) if index else set()
    return [
        rule
        for rule in source_rules.listed(sock, family)
        if rule.source in sources and wanted.table in (0, rule.table)
    ]


class MovedRouteHandler(Handler[MovedRoute]):
    """All of an interface go out together, and are compared by one look at each table."""

    def exists(self, at: Places, resource: MovedRoute) -> bool:
        return not self.verify(at, resource)

    def create(self, at: Places, resource: MovedRoute) -> None:
        self.create_all(at, [resource])

    def create_all(self, at: Places, resources: Sequence[MovedRoute]) -> None:
        for sock, name, listed in _by_link(at, resources):
            index = links.required_index(sock, name)
            operations = (each for one in listed for each in _move(one, index))
            sock.transact(*operations, tolerated=(*THERE, *GONE))

    def verify(self, at: Places, resource: MovedRoute) -> list[Drift]:
        return self.verify_all(at, [resource])

    def verify_all(self, at: Places, resources: Sequence[MovedRoute]) -> list[Drift]:
        drifts: list[Drift] = []
        for sock, name, listed in _by_link(at, resources):
            index = links.index(sock, name)
            there = _Tables(sock, index)
            for one in listed:
                if one.table and not (index and there.has(_route(one, index, one.table))):
                    drifts.append(missing(f"route {one.text} table {one.table}"))
                if index and not one.stays and there.has(_route(one, index), exactly=True):
                    wanted = str(one.table or "none")
                    drifts.append(Drift(f"route {one.text}", "table", wanted, "main"))
        return drifts

    def delete(self, at: Places, resource: MovedRoute, previous: str | None) -> None:
        self.delete_all(at, [(resource, previous)])

    def delete_all(self, at: Places, doomed: Sequence[tuple[MovedRoute, str | None]]) -> None:
        """What of it went with its interface, or with its addresses, is not put back.

        What ends on the link first: without, the kernel takes no route by a gateway.
        """
        for sock, name, listed in _by_link(at, (resource for resource, _ in doomed)):
            if index := links.index(sock, name):
                back = (
                    routes.prepended(_route(one, index), one.text, last=True)
                    for one in sorted(listed, key=lambda one: bool(one.gw))
                    if not one.stays
                )
                sock.transact(*back, tolerated=(*THERE, *GONE, *_NOT_NOW))
                taken = (_taken(one, index, one.table) for one in listed if one.table)
                sock.transact(*taken, tolerated=GONE)


def _by_link(
    at: Places, resources: Iterable[MovedRoute]
) -> Iterator[tuple[Socket, str, list[MovedRoute]]]:
    def where(one: MovedRoute) -> tuple[Place, str]:
        return one.place, one.name

    for (place, name), group in groupby(resources, where):
        yield at.socket(place), name, list(group)


def _move(one: MovedRoute, index: int) -> Iterator[Operation]:
    if one.table:
        yield routes.prepended(_route(one, index, one.table), f"{one.text} table {one.table}")
    if not one.stays:
        yield _taken(one, index, MAIN_TABLE)


def _taken(one: MovedRoute, index: int, table: int) -> Operation:
    return routes.removed(_route(one, index, table), f"{one.text} table {table}")


def _route(one: MovedRoute, index: int, table: int = MAIN_TABLE) -> routes.Route:
    return routes.route(
        index,
        one.dst,
        one.gw,
        priority=one.priority,
        table=table,
        scope=one.scope,
        mtu=one.mtu,
        advmss=one.advmss,
        source=one.source,
        protocol=one.protocol,
        onlink=one.onlink,
    )


class _Tables:
    """The routes of one link, each table listed when it is first asked for."""

    def __init__(self, sock: Socket, index: int) -> None:
        self._sock = sock
        self._index = index
        self._listed: dict[tuple[int, int], dict[tuple[bytes, int], list[routes.Route]]] = {}

    def has(self, wanted: routes.Route, *, exactly: bool = False) -> bool:
        """Whether it is there; `exactly` so, or with more than was asked for."""
        place = (wanted.family, wanted.table)
        if place not in self._listed:
            self._listed[place] = {}
            for route in routes.on(self._sock, self._index, *place):
                destination = (route.destination, route.length)
                self._listed[place].setdefault(destination, []).append(route)
        found = self._listed[place].get((wanted.destination, wanted.length), ())
        return any(
            wanted.satisfied_by(each) and not (exactly and each.source != wanted.source)
            for each in found
        )


HANDLERS: dict[str, Handler[Any]] = {
    MovedRoute.kind: MovedRouteHandler(),
    SourceRule.kind: SourceRuleHandler(),
}
