"""CHECK: the recorded plan against the kernel, then prevResult against the kernel."""

from __future__ import annotations

import json
from collections.abc import Container

from ..ipam import lessor
from ..model.errors import ConfigError
from ..model.plan import Drift
from ..model.query import LinkNamed
from ..model.request import Attachment, Request
from ..model.resource import Resource
from ..model.resources import (
    AddressLease,
    DelegatedLease,
    InterfaceAddress,
    InterfaceRoute,
    Leased,
)
from ..store.records import Record, State
from ..store.store import Reader
from .world import World


def recorded(tx: Reader, world: World, record: Record) -> list[Drift]:
    """Where the kernel differs from what `record` made.

    A property is judged by the last record of the attachment that sets it: a chained
    plugin may change the MAC that the main plugin gave.
    """
    later = decided(tx, record.host, record.attachment, after=record.id)
    drifts: list[Drift] = []
    for step in tx.steps(record):
        resource = step.resource
        if isinstance(resource, AddressLease):
            answer = Leased(**json.loads(step.answer or "{}"))
            drifts += lessor.held(tx, resource, record, answer)
        elif not isinstance(resource, DelegatedLease):
            drifts += [
                drift
                for drift in world.verify(resource)
                if (drift.subject, drift.property) not in later
            ]
    return drifts


def decided(
    tx: Reader, host: str, attachment: Attachment, *, after: int = 0
) -> set[tuple[str, str]]:
    """The properties that records of the attachment set, those made since record `after`."""
    found: set[tuple[str, str]] = set()
    for other in tx.records_of(host, attachment):
        if other.id > after and other.state is State.READY:
            for step in tx.steps(other):
                found |= step.resource.properties()
    return found


def against_result(
    world: World, request: Request, known: Container[tuple[str, str]] = ()
) -> list[Drift]:
    """Where the container's interface differs from prevResult.

    What is `known` from the records is left to them: prevResult may be from an earlier place
    in the chain. Raises `ConfigError` where prevResult is missing or is another namespace's.
    """
    result = request.prev_result
    if result is None:
        raise ConfigError("CHECK needs prevResult, and the configuration has none")
    index, mine = next(
        (
            (index, interface)
            for index, interface in enumerate(result.interfaces)
            if interface.name == request.interface and interface.sandbox == request.netns
        ),
        (None, None),
    )
    if mine is None:
        raise ConfigError(
            f"prevResult has no interface {request.interface} in sandbox {request.netns}"
        )
    link = world.look(LinkNamed(mine.name, "sandbox"))
    if link is None:
        return [Drift(mine.name, "presence", "there", "missing")]
    drifts = []
    if mine.mac and link.mac != mine.mac.lower() and (mine.name, "MAC") not in known:
        drifts.append(Drift(mine.name, "MAC", mine.mac, link.mac))
    for resource in _of_result(request, index):
        drifts += world.verify(resource)
    return drifts


def _of_result(request: Request, index: int | None) -> list[Resource]:
    result = request.prev_result
    assert result is not None
    found: list[Resource] = [
        InterfaceAddress(name=request.interface, place="sandbox", address=ip.address)
        for ip in result.ips
        if ip.interface in (index, None, -1)
    ]
    if not found:
        return found
    for route in result.routes:
        # The reference checks destination and gateway; a later plugin may move the rest.
        found.append(
            InterfaceRoute(
                name=request.interface,
                place="sandbox",
                dst=route.dst,
                gw=result.next_hop(route),
                table=route.table,
            )
        )
    return found
