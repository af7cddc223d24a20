"""What every kind of resource has: a handler that looks, makes, verifies and removes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from ...model.errors import CniError
from ...model.plan import Drift
from ...model.resource import Resource
from ..places import Places

Kind = TypeVar("Kind", bound=Resource)


class Handler(Generic[Kind]):
    """Stateless: one instance serves all requests, in threads. All raise `KernelError`."""

    deletes_by_number = False
    """`delete` reaches into a container that no path leads to, by the number it is known by."""

    def exists(self, at: Places, resource: Kind) -> bool:
        raise NotImplementedError

    def previous(self, at: Places, resource: Kind) -> str | None:
        """What `create` will change, as text `delete` can restore; None for nothing."""
        return None

    def create(self, at: Places, resource: Kind) -> None:
        raise NotImplementedError

    def verify(self, at: Places, resource: Kind) -> list[Drift]:
        raise NotImplementedError

    def verify_all(self, at: Places, resources: Sequence[Kind]) -> list[Drift]:
        return [drift for resource in resources for drift in self.verify(at, resource)]

    def mend(self, at: Places, resources: Sequence[Kind], drifts: Sequence[Drift]) -> None:
        """Make them as they were, where these were found: as a rule by making them again.

        What is there as it should be is no error.
        """
        self.create_all(at, resources)

    def delete(self, at: Places, resource: Kind, previous: str | None) -> None:
        """What is gone already is no error."""
        raise NotImplementedError

    def create_all(self, at: Places, resources: Sequence[Kind]) -> None:
        for resource in resources:
            self.create(at, resource)

    def delete_all(self, at: Places, doomed: Sequence[tuple[Kind, str | None]]) -> None:
        """All of them, past every error; several errors are raised as one group."""
        failures: list[Exception] = []
        for resource, previous in doomed:
            try:
                self.delete(at, resource, previous)
            except CniError as error:
                failures.append(error)
        raise_all(failures)


def raise_all(failures: Sequence[Exception]) -> None:
    """Raise the one error, or several as a group."""
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("several deletions failed", failures)


def compare(subject: str, **properties: tuple[Any, Any]) -> list[Drift]:
    """A drift for each property whose (expected, found) differ; `_` stands for a space."""
    return [
        Drift(subject, name.replace("_", " "), _shown(expected), _shown(found))
        for name, (expected, found) in properties.items()
        if expected != found
    ]


def missing(subject: str, what: str = "presence") -> Drift:
    return Drift(subject, what, "there", "missing")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)
