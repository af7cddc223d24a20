"""What somebody else's program makes: worked on under a lock of its key, with no transaction open.

Rules that hold here:
- Such a program may take half a minute, and no transaction waits for it: nobody is held up but
  who needs that very thing.
- Who needs it says so, and who removes it has seen that nobody does, holding the lock of its key.
  So between the look and the removal nobody joins, and nobody is made to share what is going.
- The lock of an attachment is taken before those of keys; of several keys all at once, in
  sorted order. Who holds some asks for no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from time import monotonic
from types import MappingProxyType

from ..model import patience
from ..model.resource import Resource
from ..store.locks import ResourceLock
from ..store.records import Record, Step
from . import faults, journal
from .giving_back import give_back
from .site import Site

LOCK_SECONDS = patience.SECONDS
"""How long a call waits for another's program."""
_NOTHING = nullcontext()
_NONE_FOUND: AbstractContextManager[Mapping[str, bool]] = nullcontext(MappingProxyType({}))


def _never() -> bool:
    return False


def holding(
    site: Site, resources: Iterable[Resource], given_up: Callable[[], bool] = _never
) -> AbstractContextManager[None]:
    """The locks of those of `resources` that another's program makes. Raises `TryLater`."""
    foreign = [resource for resource in resources if resource.foreign]
    return _holding(site, foreign, given_up) if foreign else _NOTHING


@contextmanager
def _holding(
    site: Site, foreign: Iterable[Resource], given_up: Callable[[], bool]
) -> Iterator[None]:
    wanted = {(site.scope(resource), resource.lock): resource for resource in foreign}
    deadline = monotonic() + LOCK_SECONDS
    with ExitStack() as held:
        for (scope, name), resource in sorted(wanted.items(), key=lambda one: one[0]):
            lock = ResourceLock(site.store.directory, scope, name, resource.describe())
            lock.acquire(deadline, given_up)
            held.enter_context(lock)
        yield


def joining(
    site: Site, resources: Iterable[Resource], given_up: Callable[[], bool] = _never
) -> AbstractContextManager[Mapping[str, bool]]:
    """The same, to say that they are needed: by key, whether each was found there before us.

    That is for `journal.note`. It is looked for only where nobody uses it, as a program may have
    to be run for it; while the lock is held nobody else begins to.
    """
    foreign = [resource for resource in resources if resource.foreign]
    return _joining(site, foreign, given_up) if foreign else _NONE_FOUND


@contextmanager
def _joining(
    site: Site, foreign: Iterable[Resource], given_up: Callable[[], bool]
) -> Iterator[Mapping[str, bool]]:
    with _holding(site, foreign, given_up):
        yield {resource.key: _is_found(site, resource) for resource in foreign}


def _is_found(site: Site, resource: Resource) -> bool:
    if not resource.may_be_found:
        return False
    with site.store.read() as tx:
        known = tx.shared(site.scope(resource), resource.key)
    return known.found if known and known.used else site.world.exists(resource)


def make(site: Site, resources: Sequence[Resource]) -> None:
    """Make what a record says is needed. Raises `CniError`."""
    with holding(site, resources):
        site.world.create(resources)


def mend(site: Site, resource: Resource) -> None:
    """Make it again, where a record needs it and it is not as it was made. Raises `CniError`."""
    with holding(site, [resource]):
        with site.store.read() as tx:
            needed = tx.users(site.scope(resource), resource.key, at_most=1)
        if needed and site.world.verify(resource):
            faults.point()
            site.world.create([resource])
            faults.point()


def take_back(site: Site, record: Record, steps: Sequence[Step]) -> None:
    """Remove those of the record's `steps` that nobody else needs, in this order, and drop them.

    Raises `CniError`, `ClaimLost`; then they are still on record.
    """
    with holding(site, [step.resource for step in steps]):
        with site.store.read() as tx:
            doomed = list(journal.doomed(tx, record, steps))
        give_back(site, doomed)
        faults.point()
        with site.store.write() as tx:
            journal.leave(tx, record, steps)
    faults.point()


def remove_stray(site: Site, resource: Resource) -> bool:
    """Remove what no record needs; whether that was so. Raises `CniError`."""
    with holding(site, [resource]):
        with site.store.read() as tx:
            if tx.users(site.scope(resource), resource.key, at_most=1):
                return False
        site.world.delete([(resource, None)])
    faults.point()
    return True
