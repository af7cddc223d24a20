"""Where a request is carried out: the store, the world, and who runs somebody else's plugin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..model.errors import CniError
from ..model.plugin import Plugin
from ..model.query import LinkNamed, Query
from ..model.request import Attachment, Request
from ..model.resource import Lease
from ..model.resources import Veth
from ..store.locks import AttachmentLock
from ..store.records import Record, State
from ..store.store import Reader, Store
from .request_record import Call
from .world import World

Delegate = Callable[[str, str, Call], dict[str, Any]]
"""(binary, CNI_COMMAND, call) -> the document on its stdout. Raises `DelegateFailed`."""


def no_delegate(binary: str, command: str, call: Call) -> dict[str, Any]:
    raise CniError(f"{binary}: nothing here can run somebody else's plugin")


@dataclass(frozen=True)
class Site:
    store: Store
    world: World
    delegate: Delegate = no_delegate

    def look(self, question: Query[Any] | Lease[Any]) -> Any:
        """The world's answer. Raises `CniError` for a lease: nobody here gives one of its kind."""
        if isinstance(question, Lease):
            raise CniError(f"nothing here leases {question.describe()}")
        return self.world.look(question)

    def lock(self, attachment: Attachment) -> AttachmentLock:
        return AttachmentLock(self.store.path.parent, self.world.host, attachment)

    def earlier(self, tx: Reader, plugin: Plugin, request: Request, digest: str) -> list[Record]:
        """What earlier ADDs of `plugin` for this attachment have on record, done or not.

        But for one that is done with another configuration: the same plugin may stand twice in
        a chain, and where it does not, the kernel will refuse.
        """
        return [
            record
            for record in tx.records_of(self.world.host, request.attachment)
            if record.plugin == plugin.name
            and not (record.state is State.READY and record.digest != digest)
        ]

    def is_forsaken(self, record: Record) -> bool:
        """Whether its namespace is provably gone: the host's end of the pair went with it.

        The pair may be in the record of another plugin, to which this one is chained. Where
        nothing of an attachment stands on the host there is no such proof.
        """
        with self.store.read() as tx:
            steps = [
                step
                for other in tx.records_of(record.host, record.attachment)
                if other.sandbox == record.sandbox
                for step in tx.steps(other)
            ]
        pairs = [step.resource for step in steps if isinstance(step.resource, Veth)]
        return bool(pairs) and not any(self._stands(pair) for pair in pairs)

    def _stands(self, pair: Veth) -> bool:
        link = self.world.look(LinkNamed(pair.name))
        return link is not None and link.mac == pair.mac
