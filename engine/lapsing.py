"""What a record wants of a lease that lapses: by its answer now, not by the one that ADD was given.

Rules that hold here:
- The agent keeps the answer up to date, and the container's address with it. What it has taken
  away is wanted no more, and what it has given instead is.
- A lease whose time is over is lost, whatever is on record: nobody may have been there to note it.
- Such an answer is JSON: `address` (CIDR), `routes` ((destination, gateway) each), `lost` (why, ""
  while it is held), and `lease` with `since` and `lifetime` in seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..model.plan import Drift
from ..model.resource import Resource
from ..model.resources import InterfaceAddress, InterfaceRoute, KeptLease
from ..model.shown import moment
from ..model.value import Value
from ..store.records import Step
from .world import World

_FOREVER = 0xFFFFFFFF
"""A lifetime that never ends."""
_VERSIONS = {"ipv4": 4, "ipv6": 6}
"""By the name of a lease."""


class Lapsing(Value):
    """One lease of a record: `before` are the addresses of its family that ADD gave.

    `address` is "" where it has none now. `until` is in seconds since 1970, 0 where it never ends.
    """

    what: str
    version: int
    before: tuple[str, ...]
    address: str
    routes: tuple[tuple[str, str], ...]
    until: float
    lost: str

    @property
    def has_changed(self) -> bool:
        """Whether what ADD gave is not what there is to be now."""
        return bool(self.lost or (self.before and self.address not in self.before))

    def drifts(self) -> Iterator[Drift]:
        if self.lost:
            why = f"{self.lost}; another is asked for until a server answers"
            yield Drift(self.what, "state", "held", f"lost ({why})")
        elif self.has_changed:
            had = ", ".join(self.before)
            yield Drift(self.what, "address", f"{had}, as ADD answered", self.address or "none")


def lapsing(steps: Iterable[Step]) -> list[Lapsing]:
    """The leases among a record's `steps` that lapse, as far as they are given."""
    known = list(steps)
    found = []
    for step in known:
        lease = step.resource
        if isinstance(lease, KeptLease) and lease.lapses and step.answer:
            version = _VERSIONS.get(lease.name, 0)
            before = tuple(
                one.address
                for one in (each.resource for each in known)
                if isinstance(one, InterfaceAddress) and _is_of(one, version)
            )
            found.append(_read(lease.describe(), version, before, json.loads(step.answer)))
    return found


def end_of(lease: Mapping[str, Any]) -> float:
    """When the `lease` of an answer is over, in seconds since 1970; 0 where it never is."""
    return lease["since"] + lease["lifetime"] if lease["lifetime"] < _FOREVER else 0.0


def _read(what: str, version: int, before: tuple[str, ...], answer: dict[str, Any]) -> Lapsing:
    lost = answer["lost"]
    until = end_of(answer["lease"]) if answer["address"] else 0.0
    if until and not lost and time.time() > until:
        lost = f"it ran out at {moment(until)}, and nobody has renewed it"
    address = "" if lost else answer["address"]
    routes = tuple((dst, gw) for dst, gw in answer["routes"])
    return Lapsing(what, version, before, address, () if lost else routes, until, lost)


def current(resources: Iterable[Resource], leases: Iterable[Lapsing]) -> list[Resource]:
    """`resources` with the addresses and routes that the `leases` have now, where those changed."""
    wanted = list(resources)
    for lease in leases:
        if lease.has_changed:
            wanted = list(_replaced(wanted, lease))
    return wanted


def _replaced(resources: list[Resource], lease: Lapsing) -> Iterator[Resource]:
    """In their places: an address comes after its link, a route after the address."""
    given: set[str] = set()
    for one in resources:
        if not _is_of(one, lease.version):
            yield one
        elif one.kind not in given:
            given.add(one.kind)
            if isinstance(one, InterfaceAddress) and lease.address:
                yield InterfaceAddress(name=one.name, place=one.place, address=lease.address)
            elif isinstance(one, InterfaceRoute):
                for dst, gw in lease.routes:
                    yield InterfaceRoute(
                        name=one.name, place=one.place, dst=dst, gw=gw, priority=one.priority
                    )


def limit(world: World, resources: Iterable[Resource], leases: Iterable[Lapsing]) -> None:
    """Addresses that were put back stay for as long as they are leased. Raises `KernelError`."""
    for lease in leases:
        for one in resources:
            if lease.until and isinstance(one, InterfaceAddress) and one.address == lease.address:
                left = max(1, int(lease.until - time.time()))
                world.limit(one, left, left)


def _is_of(resource: Resource, version: int) -> bool:
    """Whether it is the container's, of that family: one IPAM plugin gives all of a record."""
    if resource.place != "sandbox":
        return False
    if isinstance(resource, InterfaceAddress):
        return version_of(resource.address) == version
    return isinstance(resource, InterfaceRoute) and version_of(resource.dst) == version


def version_of(text: str) -> int:
    return 6 if ":" in text else 4
