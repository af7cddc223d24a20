"""What the engine asks of whatever carries a plan out: the kernel, or a test's recording."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..kernel.roots import Root
from ..model.errors import TableMissing
from ..model.owner import Owner, TableFound
from ..model.place import NO_NUMBER
from ..model.plan import Drift
from ..model.query import Query
from ..model.resource import Resource
from ..model.resources import InterfaceAddress

__all__ = ["TableMissing", "World"]


class World(Protocol):
    """One request's two namespaces. `sandbox` is the container's cookie, "" where there is none.

    The caller's paths begin at `root`.

    Resources of place "sandbox" without a sandbox are gone: `exists` is False, `delete`
    does nothing, but for a link of the container's that its number leads to, and `create` raises
    `NamespaceError`.
    """

    host: str
    sandbox: str
    root: Root

    def look(self, query: Query[Any]) -> Any:
        """The answer to `query`. Raises `CniError`."""

    def exists(self, resource: Resource) -> bool:
        """Whether it is there already, made by whomever."""

    def previous(self, resource: Resource) -> str | None:
        """What a RESTORE resource will change, as text; None where there is nothing to restore."""

    def create(self, resources: Sequence[Resource]) -> None:
        """Make them; several only if they share a `batch`. An error may leave some of them made.

        What is there already as it should be is no error, but for a Veth. Raises
        `KernelError`, `TableMissing`.
        """

    def verify(self, resource: Resource) -> list[Drift]:
        """Where it is not as it was made; [] where all is well."""

    def verify_all(self, resources: Sequence[Resource]) -> list[Drift]:
        """The same of all of them, which costs less than one by one."""

    def mend(self, resources: Sequence[Resource], drifts: Sequence[Drift]) -> None:
        """Make these neighbours of one kind as they were, in place, where these were found.

        Raises as `create` does.
        """

    def limit(self, address: InterfaceAddress, valid: int, preferred: int) -> None:
        """It stays for `valid` seconds, and is of use for what is new for `preferred`.

        One that is not there is no error. Raises `KernelError`.
        """

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        """Take them back, each with its `previous` value. What is gone is no error."""

    def end_flows(self, addresses: Sequence[str], zone: int) -> None:
        """End what these addresses began in that zone, and what others began with them.

        Raises `KernelError`.
        """

    def tables(self) -> list[TableFound]:
        """What our nftables tables tell of themselves. Raises `KernelError`, `NewerLayout`."""

    def rebuild(self, resources: Sequence[Resource], owner: Owner) -> bool:
        """Make our nftables tables anew, holding all of `resources`, and name them `owner`'s.

        True where what others have put in meanwhile may be lost. Raises `KernelError`,
        `AddressInUse` where a key leads elsewhere, and `TableMissing` where others change the
        tables meanwhile.
        """

    def surplus(
        self, resources: Sequence[Resource], among: Sequence[Resource] | None = None
    ) -> list[Resource]:
        """What stands in our nftables tables, or `among` them, and is none of `resources`.

        Compared by key and value. Without `among` it is a whole dump.
        """

    def contents(self) -> list[Resource]:
        """All that stands in our nftables tables, as records would have it. A whole dump."""

    def ways(self) -> Sequence[Resource]:
        """What stands in other people's chains and says that it is ours."""

    def number(self) -> int:
        """The number (nsid) by which the host knows the sandbox, which is given it one.

        `NO_NUMBER` where that can't be.
        """

    def reaches(self, netns: str, sandbox: str) -> bool:
        """Whether the path `netns` leads from here to the namespace of cookie `sandbox`."""

    def visiting(
        self, netns: str, sandbox: str, number: int = NO_NUMBER, *, strict: bool = False
    ) -> AbstractContextManager[World]:
        """The same host with the sandbox `netns`, if that is still the one of cookie `sandbox`.

        Nothing of it is held after the block.

        Where the path leads elsewhere or nowhere the world has no sandbox. What stood in there is
        still found and deleted by the namespace's `number`, where the host knows it by one. It is
        the same where it may not be entered; with `strict` that raises `Forbidden`.
        """
