"""Giving out addresses: which one an attachment gets, and why not.

Never-used addresses go first, then released ones in the order of their release, so that
no address is given to another while somebody may still be talking to its last holder.
Nothing here gives an address back: `Writer.forget` does, with the record.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..model import ranges
from ..model.errors import AddressInUse, AlreadyAttached, RangeFull
from ..model.plan import Drift
from ..model.resources import AddressLease, Leased, Range
from ..store.leases import NO_POSITION, HeldLease
from ..store.records import Record
from ..store.store import Reader, Writer


@dataclass(frozen=True)
class _Holder:
    """Who asks; `record` is None for a question that takes nothing."""

    container: str
    interface: str
    record: int | None = None

    def __str__(self) -> str:
        return f"container {self.container}, interface {self.interface}"


def peek(reader: Reader, lease: AddressLease, container: str, interface: str) -> Leased:
    """What `take` would answer now; nothing is taken. Raises as `take` does.

    With container and interface "" it tells whether anything is left (STATUS).
    """
    holder = _Holder(container, interface)
    if standing := _standing(reader, lease, holder):
        return _leased(lease, standing.address)
    if lease.requested:
        return _leased(lease, _requested(reader, lease))
    avoided = ranges.gateways(lease.ranges)
    for range in lease.ranges:
        if address := reader.never_used(lease.pool, range[:2], avoided):
            return _leased(lease, address)
    return _leased(lease, _freed(reader, lease, avoided))


def take(writer: Writer, lease: AddressLease, record: Record) -> Leased:
    """An address for `record`: the one it holds already, the requested one, or the next free.

    A lease of the same container and interface without a record (one that was taken over)
    becomes this record's, so that addresses outlive a migration. Raises `RangeFull`,
    `AddressInUse`, `AlreadyAttached` (another record of the same container and interface
    has one), `ConfigError` (the requested one is in no range, or a gateway).
    """
    holder = _Holder(record.container, record.interface, record.id)
    if standing := _standing(writer, lease, holder):
        if standing.record is None:
            writer.adopt(standing, record.id, lease.index)
        return _leased(lease, standing.address)
    fresh = "" if lease.requested else _take_fresh(writer, lease)
    address = fresh or _take_used(writer, lease)
    writer.hold(
        HeldLease(
            lease.pool,
            address,
            record.id,
            record.container,
            record.interface,
            lease.index,
            time.time(),
        )
    )
    return _leased(lease, address, fresh=bool(fresh))


def held(reader: Reader, lease: AddressLease, record: Record, answer: Leased) -> list[Drift]:
    """Where the store does not say that `record` holds `answer`; [] where all is well."""
    address = answer.address.partition("/")[0]
    found = reader.lease_at(lease.pool, address)
    if found and found.record == record.id:
        return []
    owner = _Holder(record.container, record.interface)
    holder = str(_Holder(found.container, found.interface)) if found else "nobody"
    if found and (found.container, found.interface) == (record.container, record.interface):
        holder += " of another record"
    return [Drift(f"address {address} of pool {lease.pool}", "holder", str(owner), holder)]


def _standing(reader: Reader, lease: AddressLease, holder: _Holder) -> HeldLease | None:
    """What the holder has in this range set already; None where there is nothing to go on with."""
    for found in reader.leases_of(lease.pool, holder.container, holder.interface):
        if found.position not in (lease.index, NO_POSITION):
            continue
        if not ranges.range_of(lease.ranges, found.address):
            continue
        fits = not lease.requested or found.address == _canonical(lease.requested)
        if fits and (found.record is None or found.record == holder.record):
            return found
        if found.record is not None:
            raise AlreadyAttached(
                f"{found.address} of pool {lease.pool} has been allocated to {holder}: "
                "duplicate allocation is not allowed; detach it first"
            )
    return None


def _requested(reader: Reader, lease: AddressLease) -> str:
    ranges.place_requested(lease.ranges, lease.requested, f"pool {lease.pool}")
    address = _canonical(lease.requested)
    found = reader.lease_at(lease.pool, address)
    if found:
        raise AddressInUse(
            f"requested address {address} is not available in pool {lease.pool}: "
            f"{_Holder(found.container, found.interface)} has it",
            details=f"record {found.record}, position {found.position}, since {found.since:.0f}",
        )
    return address


def _take_requested(writer: Writer, lease: AddressLease) -> str:
    address = _requested(writer, lease)
    # Else it would count as never used when it comes back before its range is known.
    for range in lease.ranges:
        writer.know_range(lease.pool, range[:2])
    return address


def _take_fresh(writer: Writer, lease: AddressLease) -> str:
    """One that was never given out, "" where there is none."""
    avoided = ranges.gateways(lease.ranges)
    for range in lease.ranges:
        if address := writer.take_never_used(lease.pool, range[:2], avoided):
            return address
    return ""


def _take_used(writer: Writer, lease: AddressLease) -> str:
    if lease.requested:
        return _take_requested(writer, lease)
    return _freed(writer, lease, ranges.gateways(lease.ranges))


def _freed(reader: Reader, lease: AddressLease, avoided: frozenset[str]) -> str:
    bounds = [range[:2] for range in lease.ranges]
    if address := reader.oldest_freed(lease.pool, bounds, avoided):
        return address
    raise RangeFull(
        f"no IP addresses available in pool {lease.pool}: "
        + ", ".join(_fill(reader, lease.pool, range, avoided) for range in lease.ranges),
        details="release what nobody uses (`pynet inspect` shows the holders), or widen the range",
    )


def _fill(reader: Reader, pool: str, range: Range, avoided: frozenset[str]) -> str:
    held = reader.count_leases(pool, range[:2])
    gateways = sum(bool(ranges.range_of([range], gateway)) for gateway in avoided)
    return f"{held} of {ranges.size(range) - gateways} held in {ranges.describe(range)}"


def _leased(lease: AddressLease, address: str, *, fresh: bool = False) -> Leased:
    range = ranges.range_of(lease.ranges, address)
    assert range is not None  # whatever chose the address chose it out of these
    return Leased(f"{address}/{range[2]}", range[3], fresh)


def _canonical(address: str) -> str:
    return str(ranges.parse_ip(address, "requested address"))
