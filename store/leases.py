"""Who holds which address: the SQL of leases, of what was never given out, and of what came back.

Rules that hold here:
- An address is held, or freed, or never used; `hold` and `_release` keep it so, and all
  they cost is a few look-ups in trees.
- A range is known by its first and last address. Its cursor has passed every address that
  was given out for the first time; what it has passed and is not held waits in `freed`.
- A lease in `EVERY_POOL` stands in the way of all pools: whose it is, is not known.
- `freed` has a row for each known range that holds the address (ranges of one pool may
  overlap once a configuration was changed), so each range finds its oldest at once.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ..model.value import Value
from .spans import Span, Spans

_MAPPED = bytes(10) + b"\xff\xff"
_HELD = "pool, address, record, container, interface, position, since, file"
_CURSOR = "id, at, stop, wrap"
EVERY_POOL = ""
"""No network is called so."""
NO_POSITION = -1
"""Of a lease that was taken over: which range set it came from is not known."""


class HeldLease(Value):
    """An address and its holder.

    `record` is None, and `file` where the reference keeps it, for one that was taken over.
    `position` is the range set's place in the configuration, `since` seconds since 1970.
    """

    pool: str
    address: str
    record: int | None
    container: str
    interface: str
    position: int
    since: float
    file: str = ""


class Cursor(Value):
    """How far into a range addresses were given out for the first time; see `schema`."""

    id: int
    at: bytes | None
    stop: bytes
    wrap: bytes | None


Bounds = tuple[str, str]
"""First and last address of a range."""


class Session:
    """One transaction's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection


class LeaseReader(Session):
    def lease_at(self, pool: str, address: str) -> HeldLease | None:
        """Who holds `address`; None where nobody does."""
        found = self._leases(
            "WHERE pool IN (?, ?) AND address = ? ORDER BY pool DESC",
            (pool, EVERY_POOL, pack(address)),
        )
        return found[0] if found else None

    def leases_of(self, pool: str, container: str, interface: str) -> list[HeldLease]:
        # Named, as SQLite guesses that a pool has ten leases and reads them all.
        return self._leases(
            "INDEXED BY lease_owner WHERE pool = ? AND container = ? AND interface = ?",
            (pool, container, interface),
        )

    def leases(self, pool: str | None = None) -> list[HeldLease]:
        """All of a pool, or of all of them, in the order of the addresses."""
        if pool is None:
            return self._leases("ORDER BY pool, address", ())
        return self._leases("WHERE pool = ? ORDER BY address", (pool,))

    def unclaimed(self, pool: str | None = None) -> list[HeldLease]:
        """What was taken over into a pool, or into all, and is no record's."""
        if pool is None:
            return self._leases("WHERE record IS NULL ORDER BY pool, address", ())
        return self._leases("WHERE record IS NULL AND pool = ? ORDER BY address", (pool,))

    def count_leases(self, pool: str, bounds: Bounds) -> int:
        """How many of a range's addresses are held. It looks at each of them."""
        query = "SELECT count(*) FROM lease WHERE pool IN (?, ?) AND address BETWEEN ? AND ?"
        values = (pool, EVERY_POOL, *map(pack, bounds))
        return int(self._sql.execute(query, values).fetchone()[0])

    def never_used(self, pool: str, bounds: Bounds, but: Collection[str]) -> str | None:
        """The range's next address that was never given out, none of `but`; None without any."""
        cursor = self._cursor(pool, bounds) or Cursor(0, None, pack(bounds[1]), None)
        moved = self._walk(pool, bounds, cursor, set(map(pack, but)))
        return unpack(moved.at) if moved and moved.at else None

    def oldest_freed(self, pool: str, ranges: Iterable[Bounds], but: Collection[str]) -> str | None:
        """Of what came back, the one that did so first, none of `but`; None without any."""
        avoided = set(map(pack, but))
        oldest: list[tuple[int, bytes]] = []
        for bounds in ranges:
            cursor = self._cursor(pool, bounds)
            rows = self._sql.execute(
                "SELECT sequence, address FROM freed WHERE range = ? ORDER BY sequence LIMIT ?",
                (cursor.id if cursor else 0, len(avoided) + 1),
            )
            oldest += [row for row in rows if row[1] not in avoided][:1]
        return unpack(min(oldest)[1]) if oldest else None

    def is_taken_over(self, pool: str, path: str) -> bool:
        """Whether what `path` holds was read into `pool` already."""
        query = "SELECT 1 FROM taken_over WHERE pool = ? AND path = ?"
        return self._sql.execute(query, (pool, path)).fetchone() is not None

    def _leases(self, where: str, values: tuple[object, ...]) -> list[HeldLease]:
        rows = self._sql.execute(f"SELECT {_HELD} FROM lease {where}", values)
        return [HeldLease(pool, unpack(raw), *rest) for pool, raw, *rest in rows]

    def _cursor(self, pool: str, bounds: Bounds) -> Cursor | None:
        query = f"SELECT {_CURSOR} FROM cursor WHERE pool = ? AND first = ? AND last = ?"
        row = self._sql.execute(query, (pool, *map(pack, bounds))).fetchone()
        return Cursor(*row) if row else None

    def _walk(
        self, pool: str, bounds: Bounds, cursor: Cursor, avoided: set[bytes]
    ) -> Cursor | None:
        """The cursor on the next address that was never used; None where there is none."""
        begin = _number(pack(bounds[0])) if cursor.at is None else _number(cursor.at) + 1
        found = self._gap(pool, cursor, begin, cursor.stop, avoided)
        if found is not None:
            return Cursor(cursor.id, found, cursor.stop, cursor.wrap)
        if cursor.wrap is None:
            return None
        again = Cursor(cursor.id, None, cursor.wrap, None)
        return self._walk(pool, bounds, again, avoided)

    def _gap(
        self, pool: str, cursor: Cursor, begin: int, stop: bytes, avoided: set[bytes]
    ) -> bytes | None:
        """The first address from `begin` to `stop` that is not held, freed, or avoided.

        The rows come in order and as they are asked for: it reads up to the first gap, and
        what it read once is behind the cursor the next time.
        """
        candidate, end = begin, _number(stop)
        if candidate > end:
            return None
        span = (_bytes(candidate), stop)
        used = self._sql.execute(
            "SELECT address FROM lease WHERE pool = ? AND address BETWEEN ? AND ? UNION"
            " SELECT address FROM lease WHERE pool = ? AND address BETWEEN ? AND ? UNION"
            " SELECT address FROM freed WHERE range = ? AND address BETWEEN ? AND ?"
            " ORDER BY address",
            (pool, *span, EVERY_POOL, *span, cursor.id, *span),
        )
        taken = next(used, None)
        while candidate <= end:
            raw = _bytes(candidate)
            if taken and taken[0] == raw:
                taken = next(used, None)
            elif raw not in avoided:
                used.close()
                return raw
            candidate += 1
        return None


class LeaseWriter(LeaseReader):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._spans: dict[str, Spans] = {}

    def hold(self, lease: HeldLease) -> None:
        """It was free; now it is `lease`'s. A cursor is moved by `take_never_used` alone."""
        self._sql.execute(
            "INSERT INTO lease"
            " (pool, address, record, container, interface, position, since, file)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                lease.pool, pack(lease.address), lease.record, lease.container,
                lease.interface, lease.position, lease.since, lease.file,
            ),
        )  # fmt: skip
        raw = pack(lease.address)
        self._sql.executemany(
            "DELETE FROM freed WHERE range = ? AND address = ?",
            [(range, raw) for range in self._ranges_with(lease.pool, raw)],
        )

    def adopt(self, lease: HeldLease, record: int, position: int) -> None:
        """A lease that was taken over is now a record's."""
        self._sql.execute(
            "UPDATE lease SET record = ?, position = ?, since = ? WHERE pool = ? AND address = ?",
            (record, position, time.time(), lease.pool, pack(lease.address)),
        )

    def take_never_used(self, pool: str, bounds: Bounds, but: Collection[str]) -> str | None:
        """As `never_used`, and the cursor moves there."""
        cursor = self.know_range(pool, bounds)
        moved = self._walk(pool, bounds, cursor, set(map(pack, but)))
        last = pack(bounds[1])
        after = moved or Cursor(cursor.id, last, last, None)
        if after != cursor:
            self._sql.execute(
                "UPDATE cursor SET at = ?, stop = ?, wrap = ? WHERE id = ?",
                (after.at, after.stop, after.wrap, cursor.id),
            )
        return unpack(moved.at) if moved and moved.at else None

    def know_range(self, pool: str, bounds: Bounds, *, since: str = "") -> Cursor:
        """The range's cursor; for a new range it begins behind `since`, and wraps around once."""
        if cursor := self._cursor(pool, bounds):
            return cursor
        first, last = map(pack, bounds)
        at = pack(since) if since else None
        known = self._spans_of(pool)
        done = self._sql.execute(
            "INSERT INTO cursor (pool, first, last, at, stop, wrap) VALUES (?, ?, ?, ?, ?, ?)",
            (pool, first, last, at, last, at),
        )
        assert done.lastrowid is not None
        span = Span(_number(first), _number(last), done.lastrowid)
        if others := known.meeting(span.first, span.last):
            # What other ranges of the pool had back is not "never used" in this one either.
            self._sql.execute(
                "INSERT INTO freed (range, address) SELECT ?, address FROM freed"
                f" WHERE range IN ({', '.join('?' * len(others))}) AND address BETWEEN ? AND ?"
                " GROUP BY address ORDER BY min(sequence)",
                (done.lastrowid, *others, first, last),
            )
        known.add(span)
        return Cursor(done.lastrowid, at, last, at)

    def release_record(self, record: int) -> tuple[str, ...]:
        """Free a record's addresses; answers the files that stood for them."""
        return self._release(self._leases("WHERE record = ?", (record,)))

    def release_owner(self, pool: str, container: str, interface: str) -> tuple[str, ...]:
        """Free what was taken over for this owner and never claimed; answers its files.

        An old format of the reference names the container only: such a lease is the
        owner's where no other is.
        """
        for name in (interface, ""):
            mine = [
                lease for lease in self.leases_of(pool, container, name) if lease.record is None
            ]
            if mine:
                return self._release(mine)
        return ()

    def release_unclaimed(self, leases: Iterable[HeldLease]) -> tuple[str, ...]:
        """Free those that are as they were; answers their files."""
        return self._release(
            [lease for lease in leases if self.lease_at(lease.pool, lease.address) == lease]
        )

    def mark_taken_over(self, pool: str, path: str) -> None:
        self._sql.execute(
            "INSERT OR IGNORE INTO taken_over (pool, path, at) VALUES (?, ?, ?)",
            (pool, path, time.time()),
        )

    def hand_back(self) -> None:
        """What was taken over and never claimed is forgotten; its files stay, to be read again."""
        self._release(self.unclaimed())
        self._sql.execute("DELETE FROM taken_over")

    def _release(self, leases: Iterable[HeldLease]) -> tuple[str, ...]:
        files = []
        for lease in leases:
            raw = pack(lease.address)
            self._sql.execute("DELETE FROM lease WHERE pool = ? AND address = ?", (lease.pool, raw))
            self._sql.executemany(
                "INSERT INTO freed (range, address) VALUES (?, ?)",
                [(range, raw) for range in self._ranges_left(lease.pool, raw)],
            )
            if lease.file:
                files.append(lease.file)
        return tuple(files)

    def _ranges_with(self, pool: str, raw: bytes) -> list[int]:
        return self._meeting(self._pools(pool), raw)

    def _ranges_left(self, pool: str, raw: bytes) -> list[int]:
        """The same, of which nobody else has the address: in its own pool, or in all."""
        if pool != EVERY_POOL:
            return [] if self._is_held(EVERY_POOL, raw) else self._ranges_with(pool, raw)
        return self._meeting((one for one in self._pools(pool) if not self._is_held(one, raw)), raw)

    def _meeting(self, pools: Iterable[str], raw: bytes) -> list[int]:
        number = _number(raw)
        return [id for pool in pools for id in self._spans_of(pool).meeting(number, number)]

    def _pools(self, pool: str) -> list[str]:
        """Those in whose way a lease of `pool` stands."""
        if pool != EVERY_POOL:
            return [pool]
        return [name for (name,) in self._sql.execute("SELECT DISTINCT pool FROM cursor")]

    def _is_held(self, pool: str, raw: bytes) -> bool:
        query = "SELECT 1 FROM lease WHERE pool = ? AND address = ?"
        return self._sql.execute(query, (pool, raw)).fetchone() is not None

    def _spans_of(self, pool: str) -> Spans:
        """Read once in a transaction."""
        known = self._spans.get(pool)
        if known is None:
            rows = self._sql.execute("SELECT first, last, id FROM cursor WHERE pool = ?", (pool,))
            spans = (Span(_number(first), _number(last), id) for first, last, id in rows)
            known = self._spans[pool] = Spans(spans)
        return known


def pack(address: str) -> bytes:
    """16 bytes that sort as the addresses do. Raises OSError for what is none."""
    if ":" in address:
        return inet_pton(AF_INET6, address)
    return _MAPPED + inet_pton(AF_INET, address)


def unpack(raw: bytes) -> str:
    """What `pack` was given, in its usual spelling."""
    if raw.startswith(_MAPPED):
        return inet_ntop(AF_INET, raw[12:])
    return inet_ntop(AF_INET6, raw)


def _number(raw: bytes) -> int:
    return int.from_bytes(raw)


def _bytes(number: int) -> bytes:
    return number.to_bytes(16)
