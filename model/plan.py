"""What a plugin answers: resources in the order they are made, and the result they amount to."""

from __future__ import annotations

from dataclasses import dataclass

from .resource import Resource
from .result import Result


@dataclass(frozen=True)
class Announcement:
    """Addresses ("10.1.0.2") of the container's `interface`, for its neighbours to know.

    `port` is the host's end, which has to forward first.
    """

    interface: str
    port: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A lease that was asked of `seen` stands among the resources too, where it belongs.

    `notes` are said to whoever called, on stderr, once all is made. The `announcement` is made
    after that, when the caller has its answer: nothing depends on it but how soon others notice.
    """

    resources: tuple[Resource, ...]
    result: Result
    notes: tuple[str, ...] = ()
    announcement: Announcement | None = None


@dataclass(frozen=True)
class Drift:
    """One property that is not as it was made: `subject` is what, in the words of `ip`."""

    subject: str
    property: str
    expected: str
    found: str

    def __str__(self) -> str:
        if self.property == "presence":
            return f"{self.subject} is {self.found}"
        return f"{self.subject}: {self.property} is {self.found}, should be {self.expected}"
