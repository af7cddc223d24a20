"""By hand: all that is recorded of this host looked at, mended in place, and what is left named."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..model.plan import Drift
from ..model.resource import Resource
from ..model.value import Value
from ..store.records import Record
from .judging import Condition, Judge, Judgement, Lacks, LastWords, by_attachment, nothing
from .mending import mend
from .needed import needed
from .reconciling import reconcile, wanted
from .site import Site, nobody
from .survey import adopt


class Outcome(Value):
    """How one attachment was, and how it is `now`: None where it has gone meanwhile."""

    records: tuple[Record, ...]
    was: Judgement
    now: Judgement | None

    @property
    def mended(self) -> list[Drift]:
        """What of its own was not as recorded, and is now."""
        if self.now is None:
            return []
        still = {fault.drift for fault in self.now.faults}
        return [fault.drift for fault in self.was.faults if fault.drift not in still]


class Reloaded(Value):
    """`wrong` is what was not as recorded of `count` resources of the host, `left` what is not now.

    `removed` is what stood there for nobody. `attachments` are all there are. `hidden` says what
    could not be looked at.
    """

    count: int
    wrong: tuple[Drift, ...]
    removed: tuple[Resource, ...]
    left: tuple[Drift, ...]
    attachments: tuple[Outcome, ...] = ()
    failures: tuple[Exception, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        fine = all(seen.now is None or seen.now.is_fine for seen in self.attachments)
        return fine and not (self.left or self.failures or self.hidden)


def reload(
    site: Site,
    last_words: LastWords,
    beside: Callable[[], object] = nobody,
    lacks: Lacks = nothing,
) -> Reloaded:
    """`beside` mends what else there is, which `lacks` tells of, before it is looked again.

    Raises `CniError`, OSError.
    """
    adopt(site)
    recorded = wanted(site)
    wrong = _drifts(site, recorded)
    with site.store.read() as tx:
        attachments = by_attachment(tx.records(host=site.world.host))
    before = Judge(site.store, site.world, last_words, lacks)
    judged = [
        (records, found) for records in attachments if (found := before.judge(records)) is not None
    ]
    done = reconcile(site)
    failures = list(done.failures)
    for records, found in judged:
        if found.condition is Condition.DRIFTED and found.entered:
            failures += mend(site, records, last_words)
    beside()
    left = _drifts(site, wanted(site)) if wrong or failures else ()
    after = Judge(site.store, site.world, last_words, lacks)
    seen = [
        Outcome(tuple(records), found, found if found.is_fine else after.judge(records))
        for records, found in judged
    ]
    hidden = tuple({**before.forbidden, **after.forbidden})
    told = {str(failure): failure for failure in failures}  # what several need fails for each
    return Reloaded(
        len(recorded), wrong, done.removed, left, tuple(seen), tuple(told.values()), hidden
    )


def _drifts(site: Site, resources: Sequence[Resource]) -> tuple[Drift, ...]:
    return tuple(dict.fromkeys(site.world.verify_all((*needed(resources), *resources))))
