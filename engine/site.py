"""Where a request is carried out: the store, the world, and who runs somebody else's plugin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import field

from ..model.errors import AlreadyAttached, CniError
from ..model.plugin import Plugin
from ..model.request import Attachment
from ..model.resource import Lease, Resource
from ..model.resources import DelegatedLease
from ..model.value import Value
from ..store.locks import AttachmentLock
from ..store.records import Record, State
from ..store.store import Store
from .leasing import Delegate, Delegating, Lessor, no_delegate
from .world import World


def nobody() -> None:
    """Who is told where nobody keeps anything."""


def nowhere(note: str) -> None:
    """Where notes go that nobody has called for."""


class Site(Value):
    """`lessors` are those who give leases, by the kind of lease they give.

    `kept` is called when what keepers look after has changed. It waits for nobody, and raises
    nothing. With `leaves_newer`, what a newer pynet has on record is left to that one. `say` is
    told what whoever called may want to know.
    """

    store: Store
    world: World
    delegate: Delegate = no_delegate
    lessors: Mapping[str, Lessor] = field(default_factory=dict)
    kept: Callable[[], None] = nobody
    leaves_newer: bool = False
    say: Callable[[str], None] = nowhere

    def scope(self, resource: Resource) -> str:
        """The namespace whose state `resource` is, as `Record.scope` of a record made here."""
        return self.world.host if resource.place == "host" else self.world.sandbox

    def lessor(self, lease: Lease[Any]) -> Lessor:
        """Who gives leases of that kind. Raises `CniError` where nobody does."""
        if isinstance(lease, DelegatedLease):
            return Delegating(self.delegate)
        lessor = self.lessors.get(lease.kind)
        if lessor is None:
            raise CniError(f"nobody here gives a {lease.kind}: {lease.describe()}")
        return lessor

    def lock(self, attachment: Attachment) -> AttachmentLock:
        return AttachmentLock(self.store.directory, self.world.host, attachment)


def earlier_of(records: Iterable[Record], plugin: Plugin, digest: str) -> list[Record]:
    """What earlier ADDs of `plugin` have among the attachment's `records`, done or not.

    But for one that is done with another configuration: the same plugin may stand twice in
    a chain, and where it does not, the kernel will refuse.
    """
    return [
        record
        for record in records
        if record.plugin == plugin.name
        and not (record.state is State.READY and record.digest != digest)
    ]


def already_attached(record: Record) -> AlreadyAttached:
    """The refusal of an ADD that `record` is the living outcome of."""
    from ..model.shown import short_id

    return AlreadyAttached(
        f'container {short_id(record.container)} is on network "{record.network}" as'
        f" {record.interface} already, by an ADD of plugin {record.plugin} with"
        " this configuration; DEL it first",
        details=json.dumps({"record": record.id, "netns": record.netns or None}),
    )
