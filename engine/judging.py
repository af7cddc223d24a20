"""What is wrong with an attachment: the one source for whoever says that all is well, or is not.

Rules that hold here:
- Looking changes nothing and waits for nobody.
- A namespace is believed only if its cookie is the recorded one: paths lie. Whether one that no
  path leads to is gone the witness says.
- What may not be looked at is said, not guessed.
- What an ADD or DEL has changed since the records were read proves nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from itertools import groupby

from ..model.errors import CniError, Forbidden, KernelError, NamespaceError, NewerLayout
from ..model.plan import Drift
from ..model.resource import Resource, Undo, Unknown
from ..model.value import Value
from ..store.locks import AttachmentLock
from ..store.records import Record, State
from ..store.store import Store
from . import checking
from .checking import Fault
from .last_word import LastWord, heard
from .witness import Fate, fate
from .world import World

LastWords = Callable[[Record], LastWord]
"""What the final result of a record's chain says, as far as anybody has kept it."""

Lacks = Callable[[Record], list[Drift]]
"""What a record needs by now and does not have: a way through somebody else's firewall."""


def nothing(record: Record) -> list[Drift]:
    """Of a host where nobody looks for it."""
    return []


_SHARED = (Undo.KEEP, Undo.LAST_USER)


class Condition(StrEnum):
    """How an attachment is: the worst that is to be said of it."""

    READY = "ready"
    IN_PROGRESS = "in progress"
    """An ADD or DEL is at work on it."""
    DRIFTED = "drifted"
    """Something is not as it was made."""
    HALF_DONE = "half done"
    """An ADD or DEL ended in its middle; the next one, or GC, takes it from there."""
    GONE = "namespace gone"
    UNREACHABLE = "namespace out of reach"
    """It may live, but its path leads elsewhere or nowhere, seen from here."""
    NOT_ON_RECORD = "not on record"
    """It stands; what was on record of it has been lost."""
    NEWER = "of a newer version"
    """A newer pynet has made what this one can't judge, or not undo."""


class Judgement(Value):
    """`entered` says whether its namespace was looked into."""

    condition: Condition
    faults: tuple[Fault, ...] = ()
    entered: bool = False

    @property
    def is_fine(self) -> bool:
        return self.condition in (Condition.READY, Condition.IN_PROGRESS)


def by_attachment(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each attachment, in the order they were made.

    With the sandbox: a container's id may be used again, with a new namespace.
    """

    def place(record: Record) -> tuple[str, str, str, str]:
        return record.network, record.container, record.interface, record.sandbox

    ordered = sorted(records, key=lambda record: (*place(record), record.id))
    return [list(group) for _, group in groupby(ordered, place)]


class Judge:
    """Judges a host's attachments, one after the other: what they share is looked at once.

    `forbidden` is what could not be looked at, and for whose sake, in words for people.
    """

    def __init__(
        self, store: Store, world: World, last_words: LastWords, lacks: Lacks = nothing
    ) -> None:
        self._store = store
        self._world = world
        self._last_words = last_words
        self._lacks = lacks
        self._shared: dict[Resource, list[Drift]] = {}
        self.forbidden: dict[str, None] = {}

    def judge(self, records: Sequence[Record]) -> Judgement | None:
        """How the attachment of these `records` is; None where it is on record no more.

        Raises `CniError` where the store, or the kernel, can't be asked at all.
        """
        found = self._judged(records)
        if found.is_fine:
            return found
        with self._store.read() as tx:
            now = [tx.record(record.id) for record in records]
        if not any(now):
            return None
        if any(
            new is None or (new.state, new.claim) != (old.state, old.claim)
            for new, old in zip(now, records, strict=True)
        ):
            return Judgement(Condition.IN_PROGRESS, entered=found.entered)
        return found

    def _judged(self, records: Sequence[Record]) -> Judgement:
        if any(record.state is not State.READY for record in records):
            if is_worked_on(self._store, records[0]):
                return Judgement(Condition.IN_PROGRESS)
            return Judgement(Condition.NEWER if self._are_newer(records) else Condition.HALF_DONE)
        first = records[0]
        if first.is_made_up:
            return self._out_of_reach(records, Condition.NOT_ON_RECORD)
        try:
            with self._world.visiting(
                first.netns, first.sandbox, first.nsid, strict=True
            ) as inside:
                if first.sandbox in ("", inside.sandbox):
                    return self._compared(inside, records, entered=True)
        except Forbidden as error:
            self.forbidden.setdefault(error.msg)
            return self._compared(self._world, records)
        return self._out_of_reach(records, Condition.UNREACHABLE)

    def _are_newer(self, records: Sequence[Record]) -> bool:
        """Whether something of them goes neither by itself nor by this version's hands."""
        with self._store.read() as tx:
            unknown = [
                (record, step.resource)
                for record in records
                for step in tx.steps(record)
                if isinstance(step.resource, Unknown)
            ]
        return any(
            one.undo is not Undo.KEEP
            and not one.inside
            and (one.place == "host" or fate(self._store, self._world, record) is not Fate.DEAD)
            for record, one in unknown
        )

    def _out_of_reach(self, records: Sequence[Record], unless_gone: Condition) -> Judgement:
        gone = all(fate(self._store, self._world, each) is Fate.DEAD for each in records)
        return Judgement(Condition.GONE if gone else unless_gone)

    def _compared(
        self, world: World, records: Sequence[Record], *, entered: bool = False
    ) -> Judgement:
        faults: list[Fault] = []
        look = partial(self._look, world)
        try:
            for record in records:
                with self._store.read() as tx:
                    wanted = checking.expected(tx, record)
                found = checking.faults(look, wanted)
                # Few have drifted: only then it is worth asking what a runtime has kept.
                if found:
                    word = heard(self._store, record, self._last_words(record))
                    found = checking.faults(look, wanted, word)
                faults += [*found, *(Fault(drift) for drift in self._lacks(record))]
        except NewerLayout:
            return Judgement(Condition.NEWER, entered=entered)
        condition = Condition.DRIFTED if faults else Condition.READY
        return Judgement(condition, tuple(dict.fromkeys(faults)), entered)

    def _look(self, world: World, resources: Sequence[Resource]) -> list[Drift]:
        """What is one attachment's alone is asked for at once, unless any of it is refused."""
        reached = [one for one in resources if one.place == "host" or world.sandbox]
        shared = [one for one in reached if one.place == "host" and one.undo in _SHARED]
        known = set(shared)
        own = [one for one in reached if one not in known]
        try:
            found = world.verify_all(own)
        except NewerLayout:
            raise
        except CniError:
            found = [drift for one in own for drift in self._verify(world, one)]
        for one in shared:
            if one not in self._shared:
                self._shared[one] = self._verify(world, one)
            found += self._shared[one]
        return found

    def _verify(self, world: World, resource: Resource) -> list[Drift]:
        try:
            return world.verify(resource)
        except NamespaceError:
            return []  # it reaches into the sandbox, which is said of the attachment as a whole
        except NewerLayout:
            raise
        except KernelError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                return [Drift(resource.describe(), "state", "readable", error.msg)]
            self.forbidden.setdefault(f"no {resource.kind} was checked: that takes root")
            return []


def is_worked_on(store: Store, record: Record) -> bool:
    """Whether somebody holds the lock of its attachment now."""
    lock = AttachmentLock(store.directory, record.host, record.attachment)
    try:
        free = lock.try_acquire()
    except CniError:
        return False  # not ours to write to: nobody of ours works on it either
    lock.release()
    return not free
