"""What the journal holds, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..model.errors import TryLater
from ..model.request import Attachment
from ..model.resource import Resource


class ClaimLost(TryLater):
    """Somebody else has taken the record on since: whatever we were doing is theirs now."""


class State(StrEnum):
    INTENT = "intent"
    """Asked for; nothing is known to have been made but what somebody else's IPAM made."""
    PENDING = "pending"
    """Planned; any of its steps may have been made."""
    READY = "ready"
    """All of it was made."""
    RELEASING = "releasing"
    """Being undone, or what is left after some of it could not be."""


@dataclass(frozen=True)
class Record:
    """One plugin's call for one attachment.

    `host` and `sandbox` identify network namespaces ("" where there is none), `netns` is
    CNI_NETNS to the letter, `request` and `result` are JSON ("" before there is one),
    `created` is in seconds since 1970. `claim` grows whenever somebody takes it on.
    """

    id: int
    host: str
    network: str
    container: str
    interface: str
    plugin: str
    digest: str
    state: State
    claim: int
    sandbox: str
    netns: str
    request: str
    result: str
    created: float

    @property
    def attachment(self) -> Attachment:
        return Attachment(self.network, self.container, self.interface)

    def scope(self, resource: Resource) -> str:
        """The namespace whose state `resource` is: what its key is counted in."""
        return self.host if resource.place == "host" else self.sandbox


@dataclass(frozen=True)
class Step:
    """One resource of a record's plan.

    `previous` is what it changed, as text; `answer` a lease's answer, as JSON.
    """

    position: int
    resource: Resource
    previous: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Shared:
    """A resource several attachments use: whether its first user found it, and what was there.

    `used` tells whether any record has it now.
    """

    found: bool
    previous: str | None
    used: bool = False


@dataclass(frozen=True)
class Counts:
    """How many records there are in each state, and leases in each pool."""

    records: dict[State, int]
    leases: dict[str, int]
