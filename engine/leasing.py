"""Leases that others give: somebody else's plugin, the agent, a cluster.

Rules that hold here:
- They are asked for with no transaction open, the intent on record before: whatever happens to
  who asked, the record tells whom to give it back to.
- A lease belongs to the attachment and the plugin: asked for again, the same is answered.
- It is released before the record is forgotten. A release that fails leaves the record, in state
  releasing, and the next DEL or GC tries again.
- What was never asked for, as there was nobody to ask (`AgentMissing`), is not released either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..model.errors import AgentMissing, CniError
from ..model.plan import Drift
from ..model.resource import Lease, Resource
from ..model.value import Value
from ..store.records import Record
from .request_record import Call

Served = Callable[[Lease[Any]], object]
"""Raises `AgentMissing` where there is nobody to give the lease, or to keep it."""

Delegate = Callable[[str, str, Call], dict[str, Any]]
"""(binary, CNI_COMMAND, call) -> the document on its stdout.

An ADD alone ends because nobody waits for its answer any more: an undo goes on. Raises
`DelegateFailed`.
"""


def no_delegate(binary: str, command: str, call: Call) -> dict[str, Any]:
    raise CniError(f"{binary}: nothing here can run somebody else's plugin")


def everything(lease: Lease[Any]) -> None:
    """Where nobody knows of a keeper that is missing."""


def unattended(resources: Iterable[Resource], served: Served) -> Iterator[Drift]:
    """The leases among a record's `resources` that nobody renews, as their keeper does not run."""
    for one in resources:
        if isinstance(one, Lease) and one.keeper:
            try:
                served(one)
            except AgentMissing:
                yield Drift(one.describe(), "agent", "there", "missing", "pynet agent")


class Lessor(Protocol):
    """Gives leases of one kind. Both methods are bounded in time, and raise `CniError`."""

    def lease(self, lease: Lease[Any], record: Record, call: Call) -> Any:
        """The answer, for the record's attachment. `call` is the ADD that asks."""

    def release(self, lease: Lease[Any], record: Record, call: Call) -> None:
        """Take it back. What was never given, or is released already, is no error."""


class Delegating(Value):
    """Who gives a `DelegatedLease`: the executable, run as the spec says."""

    delegate: Delegate

    def lease(self, lease: Any, record: Record, call: Call) -> dict[str, Any]:
        return self.delegate(lease.binary, "ADD", call)

    def release(self, lease: Any, record: Record, call: Call) -> None:
        self.delegate(lease.binary, "DEL", call)
