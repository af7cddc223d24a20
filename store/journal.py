"""The journal's SQL: records, their steps, and what they share.

Every change of a record compares its claim with the row: a process that was believed dead
can't overwrite what its successor has done since.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from ..model.request import Attachment
from ..model.resource import Resource, decode_known, encode, is_exclusive, recorded
from .leases import LeaseWriter, Session
from .records import FORMAT, ClaimLost, Counts, Record, Shared, State, Step
from .schema import version_of

_COLUMNS = list(Record.__struct_fields__)
_RECORD = ", ".join(_COLUMNS)
_STATE = _COLUMNS.index("state")
_STATES = {str(state): state for state in State}
_FEW = 100


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

    def namesakes(self, record: Record) -> list[Record]:
        """Others of the same attachment and plugin in the same host namespace, oldest first."""
        return self._records(
            "INDEXED BY record_container WHERE container = ? AND plugin = ? AND id <> ?"
            " AND host = ? AND network = ? AND interface = ?",
            (
                record.container, record.plugin, record.id,
                record.host, record.network, record.interface,
            ),
        )  # fmt: skip

    def records_by_container_prefix(self, prefix: str) -> list[Record]:
        """Those whose container id begins with `prefix`, oldest first."""
        # CNI spec 1.1.0, "Parameters": a container id is ASCII, and DEL is not in it.
        return self._records("WHERE container >= ? AND container < ?", (prefix, prefix + "\x7f"))

    def steps(self, record: Record) -> list[Step]:
        """In the order in which they are made."""
        rows = self._sql.execute(
            "SELECT position, previous, answer, kind, body, key, inside, place, undo FROM step"
            " WHERE record = ? ORDER BY position",
            (record.id,),
        )
        return [_step(*row) for row in rows]

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

    def holders(self, scope: str, keys: Iterable[str], *, but: int) -> dict[str, list[Record]]:
        """By key, who has a resource of it in namespace `scope`, oldest first, other than `but`."""
        among, values = _among(keys)
        rows = self._sql.execute(
            "SELECT DISTINCT key, record FROM step"
            f" WHERE scope = ? AND key IN ({among}) AND record IS NOT ? ORDER BY record",
            (scope, *values, but),
        ).fetchall()
        records = {id: self.record(id) for _, id in rows}
        found: dict[str, list[Record]] = {}
        for key, id in rows:
            if (record := records[id]) is not None:
                found.setdefault(key, []).append(record)
        return found

    def heirs(self, record: Record, scope: str, keys: Iterable[str]) -> list[Resource]:
        """The resources of those `keys` as the oldest of the other records has them."""
        among, values = _among(keys)
        rows = self._sql.execute(
            "SELECT kind, body, key, inside, place, undo, min(record) FROM step"
            f" WHERE scope = ? AND key IN ({among}) AND record <> ?"
            " AND (SELECT state FROM record WHERE id = record) IS NOT ?"
            " GROUP BY key",
            (scope, *values, record.id, State.RELEASING),
        )
        return [recorded(*columns)[0] for *columns, _ in rows]

    def shared(self, scope: str, key: str) -> Shared | None:
        return self.all_shared(scope, [key]).get(key)

    def all_shared(self, scope: str, keys: Sequence[str]) -> dict[str, Shared]:
        """By key, those of `keys` that were ever shared in `scope`, and whether they are in use."""
        among, values = _among(keys)
        rows = self._sql.execute(
            "SELECT key, found, previous, EXISTS"
            " (SELECT 1 FROM step WHERE step.scope = shared.scope AND step.key = shared.key)"
            f" FROM shared WHERE scope = ? AND key IN ({among})",
            (scope, *values),
        )
        return {
            key: Shared(bool(found), previous, bool(used)) for key, found, previous, used in rows
        }

    def shared_of_kind(self, scope: str, kind: str) -> list[tuple[Resource, bool]]:
        """Each resource of `kind` that was ever shared in `scope`, and whether it was found.

        Those that this version can't read are left out, and so left alone.
        """
        rows = self._sql.execute(
            "SELECT key, body, found FROM shared WHERE scope = ? AND kind = ?", (scope, kind)
        )
        known = [(decode_known(kind, body), key, bool(found)) for key, body, found in rows]
        return [
            (resource, found)
            for resource, key, found in known
            if resource is not None and resource.key == key
        ]

    def resources(
        self, scope: str, kinds: Iterable[str], *, undone: bool = False
    ) -> Iterator[Resource]:
        """Each resource of these kinds that a record needs, once, as the latest record has it.

        What is exclusive is as the oldest has it, which is in effect; others are its heirs.
        Not of one being undone, unless those `undone` count, too. One to which a later version
        has added fields is what this one knows of it: whoever left it out would take it for
        nobody's. To be consumed within the transaction.
        """
        for kind in kinds:
            # A key opens with its kind and a tab, so a kind is a range of keys.
            first = f"{kind}\t"
            which = "min" if is_exclusive(kind) else "max"
            rows = self._sql.execute(
                # Beside min() and max() the other columns are of the row that has it.
                f"SELECT kind, body, key, inside, place, undo, {which}(record) FROM step"
                " WHERE scope = ? AND key >= ? AND key < ?"
                " AND (SELECT state FROM record WHERE id = record) IS NOT ? GROUP BY key",
                (scope, first, first + "\x7f", None if undone else State.RELEASING),
            )
            for *columns, _ in rows:
                yield recorded(*columns)[0]

    def schema(self) -> int:
        """The version of the file's tables: a later pynet's may be one that this one can read."""
        return version_of(self._sql)

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
        nsid: int = -1,
    ) -> Record:
        """A new record in state intent, claimed once."""
        values = (
            host, network, container, interface, plugin, digest, State.INTENT, 1,
            sandbox, netns, request, "", time.time(), nsid, FORMAT,
        )  # fmt: skip
        marks = ", ".join("?" * len(values))
        done = self._sql.execute(
            f"INSERT INTO record ({', '.join(_COLUMNS[1:])}) VALUES ({marks})", values
        )
        assert done.lastrowid is not None
        return Record(done.lastrowid, *values)

    def pend(self, record: Record, steps: Iterable[Step], state: State = State.PENDING) -> Record:
        """Replace its steps; state pending, or still intent. Raises `ClaimLost`."""
        pending = self._update(record, state=state)
        self._sql.execute("DELETE FROM step WHERE record = ?", (record.id,))
        self._insert(record, steps)
        return pending

    def append(self, record: Record, steps: Iterable[Step]) -> None:
        """More steps, after those it has, which are not touched: another version may have
        written them. Raises `ClaimLost`.
        """
        self._update(record)
        (last,) = self._sql.execute(
            "SELECT max(position) FROM step WHERE record = ?", (record.id,)
        ).fetchone()
        first = 0 if last is None else last + 1
        self._insert(
            record,
            (replace(step, position=position) for position, step in enumerate(steps, first)),
        )

    def ready(self, record: Record, result: str, *, kept: bool = True) -> Record:
        """All was made, and `result` (JSON) is what it amounts to; its keepers have it from now on.

        There are none where it is not `kept`. Raises `ClaimLost`.
        """
        changed = self._update(record, state=State.READY, result=result)
        if kept:
            self._sql.execute(
                "INSERT OR IGNORE INTO kept (keeper, record, position, since)"
                " SELECT keeper, record, position, ? FROM step WHERE record = ? AND keeper <> ''",
                (time.time(), record.id),
            )
        return changed

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
        """It is undone: record, steps and what is kept go, its addresses are free again.

        Answers the files of the reference's format that stood for its leases: once this is
        committed they are to be removed (`ipam.takeover.remove`). Raises `ClaimLost`.
        """
        done = self._sql.execute(
            "DELETE FROM record WHERE id = ? AND claim = ?", (record.id, record.claim)
        )
        must_be_ours(done, record)
        self._sql.execute("DELETE FROM step WHERE record = ?", (record.id,))
        self._sql.execute("DELETE FROM kept WHERE record = ?", (record.id,))
        return self.release_record(record.id)

    def share(self, scope: str, resources: Iterable[tuple[Resource, Shared]]) -> None:
        """Remember what the first user of each found there."""
        self._sql.executemany(
            "INSERT OR REPLACE INTO shared (scope, key, found, previous, kind, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (scope, resource.key, shared.found, shared.previous, *encode(resource))
                for resource, shared in resources
            ],
        )

    def unshare(self, scope: str, key: str) -> None:
        """The last user of `key` is gone, and what it shared with it."""
        self._sql.execute("DELETE FROM shared WHERE scope = ? AND key = ?", (scope, key))

    def _insert(self, record: Record, steps: Iterable[Step]) -> None:
        scopes = {"host": record.host, "sandbox": record.sandbox}
        self._sql.executemany(
            "INSERT INTO step (record, position, scope, key, kind, body, previous, answer,"
            " inside, place, undo, keeper) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    record.id, step.position, scopes[step.resource.place], step.resource.key,
                    *encode(step.resource), step.previous, step.answer,
                    step.resource.inside, step.resource.place, step.resource.undo,
                    step.resource.keeper,
                )
                for step in steps
            ],
        )  # fmt: skip

    def _update(
        self,
        record: Record,
        *,
        state: State | None = None,
        claim: int | None = None,
        result: str | None = None,
    ) -> Record:
        changed = replace(
            record,
            state=record.state if state is None else state,
            claim=record.claim if claim is None else claim,
            result=record.result if result is None else result,
        )
        done = self._sql.execute(
            "UPDATE record SET state = ?, claim = ?, result = ? WHERE id = ? AND claim = ?",
            (changed.state, changed.claim, changed.result, record.id, record.claim),
        )
        must_be_ours(done, record)
        return changed


def _among(keys: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """What stands in `IN (...)` for these, and its values; SQLite takes only so many by themselves.

    A list in one value costs ten microseconds more.
    """
    listed = tuple(keys)
    if len(listed) <= _FEW:
        return ", ".join("?" * len(listed)), listed
    return "SELECT value FROM json_each(?)", (json.dumps(listed),)


def _record(row: tuple[object, ...]) -> Record:
    values = list(row)
    values[_STATE] = _STATES[str(values[_STATE])]
    return Record(*values)  # type: ignore[arg-type]  # the columns are Record's fields


def _step(position: int, previous: str | None, answer: str | None, *columns: str) -> Step:
    resource, whole = recorded(*columns)
    return Step(position, resource, previous, answer, whole)


def must_be_ours(done: sqlite3.Cursor, record: Record) -> None:
    """Raises `ClaimLost` where nothing was changed: the row has another claim, or is gone."""
    if done.rowcount != 1:
        from ..model.shown import short_id

        raise ClaimLost(
            f"{record.plugin} for container {short_id(record.container)}, interface"
            f" {record.interface} on network {record.network}: another call has taken over;"
            " try again later",
            details=f'{{"record": {record.id}, "claim": {record.claim}}}',
        )
