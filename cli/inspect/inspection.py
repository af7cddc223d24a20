"""What is attached on this host, put together from the store and the kernel in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...engine.judging import by_attachment
from ...engine.strangers import unrecorded
from ...kernel.world import KernelWorld
from ...model.query import AddressesOn, HostEnds, LinkNamed
from ...store.leases import HeldLease
from ...store.store import FILE
from ..cni.conf_dir import directory, networks
from ..findings.host import Host, opened
from ..findings.strangers import Strangers, strangers
from ..site import own_host
from .attached import Attached, described
from .selection import choose, choose_leases


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
    leases: list[HeldLease] = field(default_factory=list)
    """Those taken over from files of the reference's, and no attachment's."""
    strangers: Strangers = field(default_factory=Strangers)
    """Host's ends that are called as ours are, and no record tells of."""
    configured: frozenset[str] | None = None
    """The networks that runtimes can read here; None where nobody can tell."""

    @property
    def is_fine(self) -> bool | None:
        """None where nobody can tell, because not all could be looked at."""
        lost = self.strangers and not self.strangers.hidden
        if lost or not all(attached.is_fine for attached in self.attachments):
            return False
        return None if self.hidden else True


def gather(state: Path, asked: Iterable[str] = ()) -> Inspection:
    """All attachments of this host namespace, or those that any word of `asked` means.

    Raises `CniError` where the store can't be read.
    """
    words = list(asked)
    with opened(state) as host:
        if host is not None:
            return _told(_gather(state, host, words))
    with own_host() as (_, world):
        found = strangers(state, world, _ends(world, words))
        return _told(Inspection(state / FILE, unmatched=words, strangers=found))


def _told(found: Inspection) -> Inspection:
    if found.strangers.hidden:
        found.hidden.append(str(found.strangers))
    return found


def _ends(world: KernelWorld, words: list[str]) -> list[str]:
    return [] if words else list(world.look(HostEnds()) or ())


def _is_free(lease: HeldLease) -> bool:
    """The reference's lease is as long as its file, which goes with its container."""
    try:
        os.lstat(lease.file)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _gather(state: Path, host: Host, words: list[str]) -> Inspection:
    ends = _ends(host.world, words)  # before the records are read: who is being attached has one
    with host.store.read() as tx:
        everything = tx.records()
        unclaimed = [lease for lease in tx.unclaimed() if not _is_free(lease)]
        unknown = unrecorded(tx, host.world.host, ends)
        mine = [record for record in everything if record.host == host.world.host]
        attachments = [
            described(records, [step for record in records for step in tx.steps(record)])
            for records in by_attachment(mine)
        ]
    chosen, unmatched = choose(attachments, words)
    leases, unmatched = choose_leases(unclaimed, words, unmatched)
    found = Inspection(
        host.store.path,
        host.world.host,
        unmatched=unmatched,
        leases=leases,
        strangers=strangers(state, host.world, unknown),
    )
    found.elsewhere = len({(r.host, r.attachment) for r in everything if r.host != host.world.host})
    for attached in chosen:
        judgement = host.judge.judge(attached.records)
        if judgement is not None:
            attached.judgement = judgement
            found.attachments.append(attached)
    for name in sorted({attached.bridge for attached in found.attachments} - {""}):
        found.bridges[name] = _bridge(host.world, name)
    found.hidden += host.judge.forbidden
    found.configured = _configured()
    return found


def _configured() -> frozenset[str] | None:
    try:
        return frozenset(
            each.network.name for each in networks(directory()) if each.network is not None
        )
    except OSError:
        return None


def _bridge(world: KernelWorld, name: str) -> Bridge:
    link = world.look(LinkNamed(name))
    if link is None:
        return Bridge(exists=False)
    return Bridge(True, link.up, link.mac, world.look(AddressesOn(name)))
