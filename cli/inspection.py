"""What is attached on this host, put together from the store and the kernel in one pass.

Rules that hold here:
- Looking changes nothing and waits for nobody.
- A namespace is believed only if its cookie is the recorded one: paths lie. And a path that
  can't be opened proves nothing; a host's end of the pair that is absent does.
- What may not be looked at is said, not guessed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ..engine import checking
from ..kernel import namespaces
from ..kernel.warm import Warm
from ..kernel.world import KernelWorld
from ..model.errors import CniError, KernelError, NamespaceError, StoreError
from ..model.plan import Drift
from ..model.query import AddressesOn, LinkNamed
from ..model.resource import Resource, Undo, Unknown
from ..store.locks import AttachmentLock
from ..store.records import Record, State
from ..store.store import FILE, Reader, Store
from .attached import Attached, Condition, described
from .selection import choose

_SHARED = (Undo.KEEP, Undo.LAST_USER)


@dataclass(frozen=True)
class Bridge:
    """As the kernel shows it; `exists` is False, and the rest empty, where it shows none."""

    exists: bool
    up: bool = False
    mac: str = ""
    addresses: tuple[str, ...] = ()


@dataclass
class Inspection:
    """`host` is this namespace's cookie. `elsewhere` counts attachments of other host
    namespaces, `hidden` says what could not be looked at and why, `unmatched` are the words
    that mean nothing here."""

    store: Path
    host: str = ""
    attachments: list[Attached] = field(default_factory=list)
    bridges: dict[str, Bridge] = field(default_factory=dict)
    elsewhere: int = 0
    hidden: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        return all(attached.is_fine for attached in self.attachments)


class Onlooker(KernelWorld):
    """A world that is only asked: what many attachments share is verified once for all.

    What it may not look at is put into `forbidden`; what the kernel refuses otherwise is
    a drift.
    """

    def __init__(self, host: int, warm: Warm, sandbox: int | None = None, netns: str = "") -> None:
        super().__init__(host, sandbox, netns=netns, our_plugins=frozenset(), warm=warm)
        self._shared: dict[str, list[Drift]] = {}
        self.forbidden: dict[str, None] = {}

    def beside(self, warm: Warm, sandbox: int | None, netns: str) -> Onlooker:
        """The same host with that sandbox, or with none. Raises `NamespaceError`."""
        other = Onlooker(self._host_fd, warm, sandbox, netns)
        other._shared, other.forbidden = self._shared, self.forbidden
        return other

    def verify(self, resource: Resource) -> list[Drift]:
        if isinstance(resource, Unknown) or (resource.place == "sandbox" and not self.sandbox):
            return []  # said once, of the attachment as a whole
        if resource.undo not in _SHARED or resource.place == "sandbox":
            return self._verify(resource)
        if resource.key not in self._shared:
            self._shared[resource.key] = self._verify(resource)
        return self._shared[resource.key]

    def _verify(self, resource: Resource) -> list[Drift]:
        try:
            return super().verify(resource)
        except NamespaceError:
            return []  # it reaches into the sandbox, which is said of the attachment as a whole
        except KernelError as error:
            if error.errno not in (errno.EPERM, errno.EACCES):
                return [Drift(resource.describe(), "state", "readable", error.msg)]
            self.forbidden.setdefault(f"no {resource.kind} was checked: that takes root")
            return []


def gather(state: Path, words: Iterable[str] = ()) -> Inspection:
    """All attachments of this host namespace, or those that any of `words` means.

    Raises `CniError` where the store can't be read.
    """
    if not _is_there(state / FILE):
        return Inspection(state / FILE, unmatched=list(words))
    store = Store.open(state)
    warm = Warm()
    fd = namespaces.own()
    try:
        host = Onlooker(fd, warm)
        with host, store.read() as tx:
            found = _gather(tx, host, warm, store.path, list(words))
    finally:
        warm.close()
        os.close(fd)
    with store.read() as tx:
        _forgive_what_changed(tx, found)
    return found


def _is_there(store: Path) -> bool:
    try:
        store.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise StoreError(
            f"store {store} is another user's: run this as root, "
            "or name a store of yours by PYNET_STATE_DIR"
        ) from error
    return True


def _gather(tx: Reader, host: Onlooker, warm: Warm, store: Path, words: list[str]) -> Inspection:
    everything = tx.records()
    mine = [record for record in everything if record.host == host.host]
    attachments = [
        described(records, [step for record in records for step in tx.steps(record)])
        for records in _by_attachment(mine)
    ]
    chosen, unmatched = choose(attachments, words)
    found = Inspection(store, host.host, chosen, unmatched=unmatched)
    found.elsewhere = len({(r.host, r.attachment) for r in everything if r.host != host.host})
    for attached in chosen:
        _look_at(tx, host, warm, attached, found)
    for name in sorted({attached.bridge for attached in chosen} - {""}):
        found.bridges[name] = _bridge(host, name)
    found.hidden += host.forbidden
    return found


def _by_attachment(records: Iterable[Record]) -> list[list[Record]]:
    # With the sandbox: a container's id may be used again, with a new namespace.
    def place(record: Record) -> tuple[str, str, str, str]:
        return record.network, record.container, record.interface, record.sandbox

    ordered = sorted(records, key=lambda record: (*place(record), record.id))
    return [list(group) for _, group in groupby(ordered, place)]


# --- one attachment against the kernel --------------------------------------------------------


def _look_at(tx: Reader, host: Onlooker, warm: Warm, attached: Attached, found: Inspection) -> None:
    sandbox = None
    hidden = ""
    world = host
    try:
        sandbox = _open(attached)
        world = host.beside(warm, sandbox, attached.netns)
    except PermissionError:
        hidden = "it may not be opened"
    except NamespaceError:
        hidden = "entering it takes root"
    try:
        if hidden:
            found.hidden.append(f"namespace {attached.netns} was not looked into: {hidden}")
        attached.entered = attached.sandbox in ("", world.sandbox)
        _judge(tx, world if attached.entered else host, attached, found, hidden)
    finally:
        if world is not host:
            world.close()
        if sandbox is not None:
            os.close(sandbox)


def _open(attached: Attached) -> int | None:
    """A descriptor of its namespace; None where its path leads to none.

    Raises PermissionError.
    """
    if not attached.netns or not attached.sandbox:
        return None
    try:
        return namespaces.open_namespace(attached.netns)
    except FileNotFoundError:
        return None
    except NamespaceError as error:
        if isinstance(error.__cause__, PermissionError):
            raise error.__cause__ from None
        return None


def _judge(tx: Reader, world: Onlooker, attached: Attached, found: Inspection, hidden: str) -> None:
    if any(record.state is not State.READY for record in attached.records):
        busy = _is_locked(found.store.parent, attached)
        attached.condition = Condition.IN_PROGRESS if busy else Condition.HALF_DONE
        return
    if not attached.entered and not hidden:
        gone = _lost_its_host_end(world, attached)
        attached.condition = Condition.GONE if gone else Condition.UNREACHABLE
        return
    for record in attached.records:
        attached.drift += checking.recorded(tx, world, record)
    if attached.drift:
        attached.condition = Condition.DRIFTED


def _lost_its_host_end(world: Onlooker, attached: Attached) -> bool:
    """The one proof that a namespace is gone: a pair's two ends vanish together."""
    if not attached.host_interface:
        return False
    link = world.look(LinkNamed(attached.host_interface))
    return link is None or link.mac != attached.host_mac


def _is_locked(state: Path, attached: Attached) -> bool:
    record = attached.records[0]
    lock = AttachmentLock(state, record.host, record.attachment)
    try:
        free = lock.try_acquire()
    except CniError:
        return False  # not ours to write to: nobody of ours works on it either
    lock.release()
    return not free


def _bridge(host: Onlooker, name: str) -> Bridge:
    link = host.look(LinkNamed(name))
    if link is None:
        return Bridge(exists=False)
    return Bridge(True, link.up, link.mac, host.look(AddressesOn(name)))


def _forgive_what_changed(tx: Reader, found: Inspection) -> None:
    """What an ADD or DEL has changed since the store was read proves nothing."""
    kept = []
    for attached in found.attachments:
        if attached.is_fine:
            kept.append(attached)
            continue
        now = [tx.record(record.id) for record in attached.records]
        if not any(now):
            continue
        if any(
            new is None or (new.state, new.claim) != (old.state, old.claim)
            for new, old in zip(now, attached.records, strict=True)
        ):
            attached.condition, attached.drift = Condition.IN_PROGRESS, []
        kept.append(attached)
    found.attachments = kept
