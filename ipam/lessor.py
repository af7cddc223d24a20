"""Giving out addresses: which one an attachment gets, and why not.

Never-used addresses go first, then released ones in the order of their release, so that
no address is given to another while somebody may still be talking to its last holder.
Nothing here gives an address back: `Writer.forget` does, with the record.
"""

from __future__ import annotations

import json
import time

from ..model import ranges
from ..model.errors import AddressInUse, AlreadyAttached, RangeFull
from ..model.plan import Drift
from ..model.resources import AddressLease, Leased, Range
from ..model.value import Value
from ..store.leases import NO_POSITION, HeldLease
from ..store.records import Record
from ..store.store import Reader, Writer


class _Holder(Value):
    """Who asks; `record` is None for a question that takes nothing."""

    container: str
    interface: str
    record: int | None = None

    def __str__(self) -> str:
        from ..model.shown import short_id

        return f"container {short_id(self.container)}, interface {self.interface}"


class Holdings:
    """What containers have already, as a transaction sees it: read once for all range sets.

    A container with thousands of them would else be asked about all it has for each of them.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[tuple[str, str, str], dict[int, list[HeldLease]]] = {}

    def of(self, lease: AddressLease, holder: _Holder) -> list[HeldLease]:
        """What the holder has in this range set, or may have in it: where that is not known."""
        where = lease.pool, holder.container, holder.interface
        known = self._known.get(where)
        if known is None:
            known = self._known[where] = {}
            for found in self._reader.leases_of(*where):
                known.setdefault(found.position, []).append(found)
        return [*known.get(lease.index, ()), *known.get(NO_POSITION, ())]

    def settle(self, found: HeldLease) -> None:
        """It is known now in which range set it is."""
        self._known[found.pool, found.container, found.interface][NO_POSITION].remove(found)


def peek(reader: Reader, lease: AddressLease, container: str, interface: str) -> Leased:
    """What `take` would answer now; nothing is taken. Raises as `take` does.

    With container and interface "" it tells whether anything is left (STATUS).
    """
    holder = _Holder(container, interface)
    if standing := _standing(Holdings(reader), lease, holder):
        return _leased(lease, standing.address)
    if lease.requested:
        return _leased(lease, _requested(reader, lease))
    avoided = ranges.gateways(lease.ranges)
    for range in lease.ranges:
        if address := reader.never_used(lease.pool, range[:2], avoided):
            return _leased(lease, address)
    return _leased(lease, _freed(reader, lease, avoided))


def take(
    writer: Writer, lease: AddressLease, record: Record, holdings: Holdings | None = None
) -> Leased:
    """An address for `record`: the one it holds already, the requested one, or the next free.

    A lease of the same container and interface without a record (one that was taken over)
    becomes this record's, so that addresses outlive a migration. Raises `RangeFull`,
    `AddressInUse`, `AlreadyAttached` (another record of the same container and interface
    has one), `ConfigError` (the requested one is in no range, or a gateway).
    """
    holder = _Holder(record.container, record.interface, record.id)
    holdings = holdings or Holdings(writer)
    if standing := _standing(holdings, lease, holder):
        if standing.record is None:
            writer.adopt(standing, record.id, lease.index)
            if standing.position == NO_POSITION:
                holdings.settle(standing)
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


def _standing(holdings: Holdings, lease: AddressLease, holder: _Holder) -> HeldLease | None:
    """What the holder has in this range set already; None where there is nothing to go on with."""
    for found in holdings.of(lease, holder):
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
        raise _in_use(reader, found)
    return address


def _in_use(reader: Reader, found: HeldLease) -> AddressInUse:
    """Who has it, and how it is taken from them."""
    from ..model.shown import command, minute, short_id

    record = None if found.record is None else reader.record(found.record)
    holder, remedy = short_id(found.container), "choose another"
    if record is not None:
        remedy += f", or detach it: {command('pynet', 'detach', holder, record.network)}"
    return AddressInUse(
        f"address {found.address} is in use: container {holder} ({found.interface}), since"
        f" {minute(found.since)}; {remedy}",
        details=json.dumps({"pool": found.pool, "address": found.address}),
    )


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
    from ..model.shown import command

    network = lease.pool.rpartition(":")[2]  # before it, the directory of a pool of its own
    raise RangeFull(
        f"no IP addresses available in pool {lease.pool}: "
        + ", ".join(_fill(reader, lease.pool, range, avoided) for range in lease.ranges)
        + f"; {command('pynet', 'inspect', network)} shows who holds them:"
        f" {command('pynet', 'detach', 'CONTAINER', network)} frees one,"
        f" {command('pynet', 'cni', 'gc', network, '--yes')} what a container that is"
        " gone has left; or widen the range"
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
