"""What the engine asks of whatever carries a plan out: the kernel, or a test's recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..model.errors import TableMissing
from ..model.plan import Drift
from ..model.query import Query
from ..model.resource import Resource

__all__ = ["TableMissing", "World"]


class World(Protocol):
    """One request's two namespaces. `sandbox` is the container's cookie, "" where there is none.

    Resources of place "sandbox" without a sandbox are gone: `exists` is False, `delete`
    does nothing, `create` raises `NamespaceError`.
    """

    host: str
    sandbox: str

    def look(self, query: Query[Any]) -> Any:
        """The answer to `query`. Raises `CniError`."""

    def exists(self, resource: Resource) -> bool:
        """Whether it is there already, made by whomever."""

    def previous(self, resource: Resource) -> str | None:
        """What a RESTORE resource will change, as text; None where there is nothing to restore."""

    def create(self, resources: Sequence[Resource]) -> None:
        """Make them; several only if they share a `batch`, and then all or none.

        What is there already as it should be is no error, but for a Veth. Raises
        `KernelError`, `TableMissing`.
        """

    def verify(self, resource: Resource) -> list[Drift]:
        """Where it is not as it was made; [] where all is well."""

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        """Take them back, each with its `previous` value. What is gone is no error."""

    def rebuild(self, resources: Sequence[Resource]) -> None:
        """Make our nftables tables anew, holding all of `resources`."""

    def visiting(self, netns: str, sandbox: str) -> World:
        """The same host with the sandbox `netns`, if that is still the one of cookie `sandbox`.

        Where the path leads elsewhere or nowhere the world has no sandbox.
        """
