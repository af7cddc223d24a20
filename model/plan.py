"""What a plugin answers: resources in the order they are made, and the result they amount to."""

from __future__ import annotations

from msgspec.structs import asdict

from .resource import Resource
from .result import Result
from .value import Value


class Announcement(Value):
    """Addresses ("10.1.0.2") of the container's `interface`, for its neighbours to know.

    `port` is the host's end, which has to forward first, "" where there is none.
    """

    interface: str
    port: str
    addresses: tuple[str, ...]


class Plan(Value):
    """A lease that was asked of `seen` stands among the resources too, where it belongs.

    `notes` are said to whoever called, on stderr, once all is made. The `announcement` is made
    after that, when the caller has its answer: nothing depends on it but how soon others notice.
    """

    resources: tuple[Resource, ...]
    result: Result
    notes: tuple[str, ...] = ()
    announcement: Announcement | None = None


class Drift(Value):
    """One property that is not as it was made: `subject` is what, in the words of `ip`.

    `mend` is the command that puts it right where pynet does not, since the thing is somebody
    else's.
    """

    subject: str
    property: str
    expected: str
    found: str
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if name != "mend" or value}

    def __str__(self) -> str:
        return self._said("is", "should be")

    def before(self) -> str:
        """The same of what has been put right since."""
        return self._said("was", "and is now")

    def _said(self, verb: str, expected: str) -> str:
        if self.property == "presence":
            return f"{self.subject} {verb} {self.found}"
        if self.found == "missing" and self.expected in ("there", "present"):
            return f"{self.subject}: {self.property} {verb} missing"
        return f"{self.subject}: {self.property} {verb} {self.found}, {expected} {self.expected}"
