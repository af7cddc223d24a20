"""What keepers look after: the steps of records that need care once the answer is given.

Rules that hold here:
- A row of `kept` comes with the commit *ready* and goes with the record (`journal`). It counts
  only as long as its step is there and its record is ready: whoever undoes is not disturbed.
- A keeper changes nothing but under the claim it has read: what was undone since, or is done
  anew, is not its business any more.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..model.resource import Resource, decode
from ..model.value import Value
from .journal import JournalReader, JournalWriter, must_be_ours
from .records import Record, State

_STILL_OURS = "(SELECT 1 FROM record WHERE id = ? AND claim = ? AND state = ?)"
_COLUMNS = (
    "SELECT step.keeper, step.record, step.position, step.kind, step.body, step.answer,"
    " ifnull(kept.state, ''), ifnull(kept.since, 0.0)"
)
_SAME_STEP = "kept.keeper = step.keeper AND kept.record = step.record"


class Kept(Value):
    """One step with its record, as its keeper sees it.

    `answer` is a lease's, as JSON. `state` is the keeper's own note, `since` when the record
    became ready, in seconds since 1970 (0 where it is not yet).
    """

    keeper: str
    record: Record
    position: int
    resource: Resource
    answer: str | None
    state: str = ""
    since: float = 0.0


class KeepingReader(JournalReader):
    def kept(self, keeper: str) -> list[Kept]:
        """What `keeper` is to look after, oldest record first."""
        rows = self._sql.execute(
            f"{_COLUMNS} FROM kept JOIN step ON {_SAME_STEP} AND kept.position = step.position"
            " WHERE kept.keeper = ? ORDER BY kept.record, kept.position",
            (keeper,),
        )
        found = [self._kept(row) for row in rows.fetchall()]
        return [kept for kept in found if kept is not None and kept.record.state is State.READY]

    def of_keeper(self, keeper: str) -> list[Kept]:
        """All that is on record of `keeper`: what is not ready, or being undone, too."""
        rows = self._sql.execute(
            f"{_COLUMNS} FROM step LEFT JOIN kept ON {_SAME_STEP} AND kept.position = step.position"
            " WHERE step.keeper = ? AND step.keeper <> '' ORDER BY step.record, step.position",
            (keeper,),
        )
        found = [self._kept(row) for row in rows.fetchall()]
        return [kept for kept in found if kept is not None]

    def keepers(self) -> dict[str, int]:
        """Which keepers have something on record, done or not, and how much each."""
        rows = self._sql.execute(
            "SELECT keeper, count(*) FROM step WHERE keeper <> '' GROUP BY keeper"
        )
        return dict(rows.fetchall())

    def is_kept(self, record: Record, position: int) -> bool:
        """Whether the step of `record` there is somebody's to look after."""
        query = "SELECT count(*) FROM kept WHERE record = ? AND position = ?"
        return bool(self._sql.execute(query, (record.id, position)).fetchone()[0])

    def asked(self, record: int, keeper: str, key: str) -> Kept | None:
        """The step of `key` that record number `record` has, or is to have, of `keeper`."""
        row = self._sql.execute(
            f"{_COLUMNS} FROM step LEFT JOIN kept ON {_SAME_STEP} AND kept.position = step.position"
            " WHERE step.record = ? AND step.keeper = ? AND step.key = ?",
            (record, keeper, key),
        ).fetchone()
        return self._kept(row) if row else None

    def _kept(self, row: tuple[str, int, int, str, str, str | None, str, float]) -> Kept | None:
        keeper, id, position, kind, body, answer, state, since = row
        record = self.record(id)
        if record is None:
            return None
        return Kept(keeper, record, position, decode(kind, body), answer, state, since)


class KeepingWriter(JournalWriter, KeepingReader):
    def renew(self, kept: Kept, answer: str) -> Kept:
        """Its lease's answer is `answer` (JSON) from now on. Raises `ClaimLost`."""
        self._set("UPDATE step SET answer = ?", answer, kept)
        return replace(kept, answer=answer)

    def note(self, kept: Kept, state: str) -> Kept:
        """The keeper's own note on it. Raises `ClaimLost`."""
        self._set("UPDATE kept SET state = ?", state, kept)
        return replace(kept, state=state)

    def _set(self, statement: str, value: str, kept: Kept) -> None:
        """In the row of `kept`, as long as its record is what it was. Raises `ClaimLost`."""
        record = kept.record
        done = self._sql.execute(
            f"{statement} WHERE record = ? AND position = ? AND keeper = ?"
            f" AND EXISTS {_STILL_OURS}",
            (
                value, record.id, kept.position, kept.keeper,
                record.id, record.claim, State.READY,
            ),
        )  # fmt: skip
        must_be_ours(done, record)
