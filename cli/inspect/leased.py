"""Leases of DHCP servers, in few words: whose, until when, and what has become of one."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ...engine.lapsing import end_of
from ...model.resources import KeptLease
from ...model.shown import moment
from ...store.records import Step
from ..output import timestamp

_KEEPER = "dhcp"


class Leased(NamedTuple):
    """`until` is in seconds since 1970, 0 for a lease without an end; `lost` is why it is gone."""

    family: str
    address: str
    server: str
    until: float
    lost: str

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "until": timestamp(self.until), "lost": self.lost or None}

    def __str__(self) -> str:
        if self.lost:
            return f"{self.family}: {self.lost}; another is asked for"
        if not self.address:
            return (
                f"{self.family}: its addresses are the routers'; the rest is told by {self.server}"
            )
        until = f"until {moment(self.until)}" if self.until else "without an end"
        return f"{self.family}: {self.address} leased {until}, by {self.server}"


def leased(step: Step) -> Leased | None:
    """None where the step is no lease of a DHCP server's, or is not given yet."""
    lease = step.resource
    if not (isinstance(lease, KeptLease) and lease.keeper == _KEEPER and step.answer):
        return None
    answer = json.loads(step.answer)
    said = answer["lease"]
    until = end_of(said)
    return Leased(lease.name, answer["address"], said["server"], until, answer["lost"])
