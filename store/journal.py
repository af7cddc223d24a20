"""The journal's SQL: records, their steps, and what they share.

Every change of a record compares its claim with the row: a process that was believed dead
can't overwrite what its successor has done since.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence

from ..model.request import Attachment
from ..model.resource import Resource, decode, encode
from .leases import LeaseWriter, Session
from .records import ClaimLost, Counts, Record, Shared, State, Step

_COLUMNS = [field.name for field in dataclasses.fields(Record)]
_RECORD = ", ".join(_COLUMNS)
_STATE = _COLUMNS.index("state")


class JournalReader(Session):
    def record(self, id: int) -> Record | None:
        row = self._sql.execute(f"SELECT {_RECORD} FROM record WHERE id = ?", (id,)).fetchone()
        return _record(row) if row else None

    def records(
        self,
        *,
        host: str | None = None,
        network: str | None = None,
        container: str | None = None,
        interface: str | None = None,
        plugin: str | None = None,
        state: State | None = None,
    ) -> list[Record]:
        """Those that match all that is given, oldest first."""
        wanted = {
            "host": host,
            "network": network,
            "container": container,
            "interface": interface,
            "plugin": plugin,
            "state": state,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        # Named, as SQLite guesses a host to be as good a hint as a container.
        index = "INDEXED BY record_container" if container is not None else ""
        return self._records(f"{index} WHERE {where}", tuple(given.values()))

    def records_of(self, host: str, attachment: Attachment) -> list[Record]:
        """Those of one attachment in host namespace `host`, oldest first."""
        return self.records(
            host=host,
            network=attachment.network,
            container=attachment.container,
            interface=attachment.interface,
        )

    def records_by_container_prefix(self, prefix: str) -> list[Record]:
        """Those whose container id begins with `prefix`, oldest first."""
        # CNI spec 1.1.0, "Parameters": a container id is ASCII, and DEL is not in it.
        return self._records("WHERE container >= ? AND container < ?", (prefix, prefix + "\x7f"))

    def steps(self, record: Record) -> list[Step]:
        """In the order in which they are made."""
        rows = self._sql.execute(
            "SELECT position, kind, body, previous, answer FROM step"
            " WHERE record = ? ORDER BY position",
            (record.id,),
        )
        return [
            Step(position, decode(kind, body), previous, answer)
            for position, kind, body, previous, answer in rows
        ]

    def users(self, scope: str, key: str, *, but: int | None = None, at_most: int = 2) -> int:
        """How many records have a resource of `key` in namespace `scope`, `but` not counted.

        Counting ends at `at_most`, so that the cost does not grow with the attachments: who
        undoes asks whether there is another one, not how many there are.
        """
        query = (
            "SELECT count(*) FROM (SELECT DISTINCT record FROM step"
            " WHERE scope = ? AND key = ? AND record IS NOT ? LIMIT ?)"
        )
        return int(self._sql.execute(query, (scope, key, but, at_most)).fetchone()[0])

    def holder(self, scope: str, key: str, *, but: int) -> Record | None:
        """A record that has a resource of `key` in namespace `scope`, other than `but`."""
        row = self._sql.execute(
            "SELECT record FROM step WHERE scope = ? AND key = ? AND record IS NOT ? LIMIT 1",
            (scope, key, but),
        ).fetchone()
        return self.record(row[0]) if row else None

    def shared(self, scope: str, key: str) -> Shared | None:
        return self.all_shared(scope, [key]).get(key)

    def all_shared(self, scope: str, keys: Sequence[str]) -> dict[str, Shared]:
        """By key, those of `keys` that were ever shared in `scope`, and whether they are in use."""
        marks = ", ".join("?" * len(keys))
        rows = self._sql.execute(
            "SELECT key, found, previous, EXISTS"
            " (SELECT 1 FROM step WHERE step.scope = shared.scope AND step.key = shared.key)"
            f" FROM shared WHERE scope = ? AND key IN ({marks})",
            (scope, *keys),
        )
        return {
            key: Shared(bool(found), previous, bool(used)) for key, found, previous, used in rows
        }

    def shared_of_kind(self, scope: str, kind: str) -> list[tuple[Resource, bool]]:
        """Each resource of `kind` that was ever shared in `scope`, and whether it was found."""
        rows = self._sql.execute(
            "SELECT body, found FROM shared WHERE scope = ? AND kind = ?", (scope, kind)
        )
        return [(decode(kind, body), bool(found)) for body, found in rows]

    def resources(self, scope: str, kinds: Iterable[str]) -> Iterator[Resource]:
        """Each resource of these kinds that a record needs, once; not of one being undone.

        To be consumed within the transaction.
        """
        for kind in kinds:
            # A key opens with its kind and a tab, so a kind is a range of keys.
            first = f"{kind}\t"
            rows = self._sql.execute(
                "SELECT kind, body FROM step WHERE scope = ? AND key >= ? AND key < ?"
                " AND (SELECT state FROM record WHERE id = record) IS NOT ? GROUP BY key",
                (scope, first, first + "\x7f", State.RELEASING),
            )
            for found, body in rows:
                yield decode(found, body)

    def counts(self) -> Counts:
        """For a person's eyes: it reads all of both tables."""
        records = self._sql.execute("SELECT state, count(*) FROM record GROUP BY state")
        leases = self._sql.execute("SELECT pool, count(*) FROM lease GROUP BY pool")
        return Counts({State(state): number for state, number in records}, dict(leases))

    def _records(self, where: str, values: Sequence[object]) -> list[Record]:
        rows = self._sql.execute(f"SELECT {_RECORD} FROM record {where} ORDER BY id", values)
        return [_record(row) for row in rows]


class JournalWriter(JournalReader, LeaseWriter):
    def begin(
        self,
        *,
        host: str,
        network: str,
        container: str,
        interface: str,
        plugin: str,
        digest: str,
        sandbox: str = "",
        netns: str = "",
        request: str,
    ) -> Record:
        """A new record in state intent, claimed once."""
        values = (
            host, network, container, interface, plugin, digest, State.INTENT, 1,
            sandbox, netns, request, "", time.time(),
        )  # fmt: skip
        marks = ", ".join("?" * len(values))
        done = self._sql.execute(f"INSERT INTO record VALUES (NULL, {marks})", values)
        assert done.lastrowid is not None
        return Record(done.lastrowid, *values)

    def pend(self, record: Record, steps: Iterable[Step]) -> Record:
        """Replace its steps; state pending. Raises `ClaimLost`."""
        pending = self._update(record, state=State.PENDING)
        self._sql.execute("DELETE FROM step WHERE record = ?", (record.id,))
        self._sql.executemany(
            "INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    record.id, step.position, record.scope(step.resource), step.resource.key,
                    *encode(step.resource), step.previous, step.answer,
                )
                for step in steps
            ],
        )  # fmt: skip
        return pending

    def ready(self, record: Record, result: str) -> Record:
        """All was made, and `result` (JSON) is what it amounts to. Raises `ClaimLost`."""
        return self._update(record, state=State.READY, result=result)

    def releasing(self, record: Record) -> Record:
        """Take it on to undo it: whoever had it can no longer change it. Raises `ClaimLost`."""
        return self._update(record, state=State.RELEASING, claim=record.claim + 1)

    def drop(self, record: Record, positions: Iterable[int]) -> None:
        """These steps are undone. Their leases stay until `forget`. Raises `ClaimLost`."""
        self._update(record)
        self._sql.executemany(
            "DELETE FROM step WHERE record = ? AND position = ?",
            [(record.id, position) for position in positions],
        )

    def forget(self, record: Record) -> tuple[str, ...]:
        """It is undone: record and steps go, its addresses are free again. Raises `ClaimLost`.

        Answers the files of the reference's format that stood for its leases: once this is
        committed they are to be removed (`ipam.takeover.remove`).
        """
        done = self._sql.execute(
            "DELETE FROM record WHERE id = ? AND claim = ?", (record.id, record.claim)
        )
        _must_be_ours(done, record)
        self._sql.execute("DELETE FROM step WHERE record = ?", (record.id,))
        return self.release_record(record.id)

    def share(self, scope: str, resources: Iterable[tuple[Resource, Shared]]) -> None:
        """Remember what the first user of each found there."""
        self._sql.executemany(
            "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?, ?, ?)",
            [
                (scope, resource.key, shared.found, shared.previous, *encode(resource))
                for resource, shared in resources
            ],
        )

    def unshare(self, scope: str, key: str) -> None:
        """The last user of `key` is gone, and what it shared with it."""
        self._sql.execute("DELETE FROM shared WHERE scope = ? AND key = ?", (scope, key))

    def _update(
        self,
        record: Record,
        *,
        state: State | None = None,
        claim: int | None = None,
        result: str | None = None,
    ) -> Record:
        changed = dataclasses.replace(
            record,
            state=record.state if state is None else state,
            claim=record.claim if claim is None else claim,
            result=record.result if result is None else result,
        )
        done = self._sql.execute(
            "UPDATE record SET state = ?, claim = ?, result = ? WHERE id = ? AND claim = ?",
            (changed.state, changed.claim, changed.result, record.id, record.claim),
        )
        _must_be_ours(done, record)
        return changed


def _record(row: tuple[object, ...]) -> Record:
    values = list(row)
    values[_STATE] = State(str(values[_STATE]))
    return Record(*values)  # type: ignore[arg-type]  # the columns are Record's fields


def _must_be_ours(done: sqlite3.Cursor, record: Record) -> None:
    if done.rowcount != 1:
        raise ClaimLost(
            f"{record.plugin} for container {record.container}, interface {record.interface} "
            f"on network {record.network}: another call has taken over; try again later",
            details=f"record {record.id}, claim {record.claim}",
        )
