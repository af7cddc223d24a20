"""What the journal holds, as values."""

from __future__ import annotations

from enum import StrEnum

from ..model.errors import TryLater
from ..model.request import Attachment
from ..model.resource import Resource
from ..model.value import Value

FORMAT = 1
"""Of the kinds and fields of a record's steps, as this version writes them."""


NOT_ON_RECORD = "(not on record)"
"""The network of a record that was made up of what stands of a container: no other is called so."""


class ClaimLost(TryLater):
    """Somebody else has taken the record on since: whatever we were doing is theirs now."""


class State(StrEnum):
    INTENT = "intent"
    """Asked for, and not planned yet; its steps are what was needed to go on: leases that others
    give, and what must exist before they, or any question, are asked. Any of it may be there."""
    PENDING = "pending"
    """Planned; any of its steps may have been made."""
    READY = "ready"
    """All of it was made."""
    RELEASING = "releasing"
    """Being undone, or what is left after some of it could not be."""


class Record(Value):
    """One plugin's call for one attachment.

    `host` and `sandbox` identify network namespaces ("" where there is none), `netns` is
    CNI_NETNS to the letter, `request` and `result` are JSON ("" before there is one),
    `created` is in seconds since 1970. `claim` grows whenever somebody takes it on. `nsid` is the
    number by which `host` knows `sandbox`, -1 where it has none. `format` is the version of its
    steps' shapes.
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
    nsid: int = -1
    format: int = FORMAT

    @property
    def is_made_up(self) -> bool:
        """Whether its own was lost. Then its container is called by the host's end of its pair."""
        return self.network == NOT_ON_RECORD

    @property
    def attachment(self) -> Attachment:
        return Attachment(self.network, self.container, self.interface)

    def scope(self, resource: Resource) -> str:
        """The namespace whose state `resource` is: what its key is counted in."""
        return self.host if resource.place == "host" else self.sandbox


class Step(Value):
    """One resource of a record's plan.

    `previous` is what it changed, as text; `answer` a lease's answer, as JSON. `whole` is False
    where a later version has more on record of the resource than this one can read: it can be
    undone, but neither judged nor made.
    """

    position: int
    resource: Resource
    previous: str | None = None
    answer: str | None = None
    whole: bool = True


class Shared(Value):
    """A resource several attachments use: whether its first user found it, and what was there.

    `used` tells whether any record has it now.
    """

    found: bool
    previous: str | None
    used: bool = False


class Counts(Value):
    """How many records there are in each state, and leases in each pool."""

    records: dict[State, int]
    leases: dict[str, int]
