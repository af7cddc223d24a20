"""The engine's world, made of the kernel: one request's two network namespaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import groupby
from types import TracebackType
from typing import Any

from ..model.errors import Forbidden, NamespaceError
from ..model.exhaustion import is_exhaustion
from ..model.owner import Owner, TableFound
from ..model.place import NO_NUMBER, own_number
from ..model.plan import Announcement, Drift
from ..model.query import Query
from ..model.resource import Resource, Unknown
from ..model.resources import LINK, InterfaceAddress
from . import namespaces
from .kinds import addresses
from .kinds.batch import create_together
from .kinds.handler import missing, raise_all
from .kinds.registry import handler, link_handler
from .looks import Looker
from .namespaces import entered
from .namespaces import same as same_namespace
from .netlink import numbers
from .nft.resources import ElementResource, PartResource
from .places import Places
from .roots import OWN, Root
from .warm import Warm

__all__ = ["KernelWorld", "same_namespace"]


class KernelWorld:
    """`host` and `sandbox` are the namespaces' cookies; `sandbox` is "" where there is none.

    The two descriptors, and those of `root`, at which the caller's paths begin, stay the
    caller's, who keeps them open as long as the world.
    `netns` is the sandbox's path as the runtime gave it. With `needs_sandbox`, a
    descriptor that is no network namespace raises `NamespaceError` (8); without, such a
    sandbox counts as gone, for DEL must succeed. A context manager; not for several
    threads at once.
    """

    def __init__(
        self,
        host_fd: int,
        sandbox_fd: int | None,
        *,
        netns: str,
        our_plugins: Container[str],
        warm: Warm | None = None,
        needs_sandbox: bool = False,
        root: Root = OWN,
        number: int = NO_NUMBER,
    ) -> None:
        namespaces.check(host_fd, "the caller's network namespace")
        if sandbox_fd is not None:
            try:
                namespaces.check(sandbox_fd, netns)
            except NamespaceError:
                if needs_sandbox:
                    raise
                sandbox_fd = None
        self._host_fd = host_fd
        self._warm = warm
        self._to_close: list[Callable[[], None]] = []
        self._at = Places(host_fd, sandbox_fd, netns, warm, number)
        self._to_close.append(self._at.close)
        self.root = root
        self._looker = Looker(self._at, our_plugins, root)
        try:
            self.host = self._at.cookie("host")
            self.sandbox = self._at.cookie("sandbox")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> KernelWorld:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything opened here; a closed world is not used again."""
        _close(self._to_close)

    def number(self) -> int:
        if self.sandbox in ("", self.host):
            return NO_NUMBER
        known = self._at.numbers
        if (found := known.get(self.sandbox)) is None:
            wanted = own_number(self.sandbox)
            found = numbers.give(self._at.socket("host"), self._at.namespace("sandbox"), wanted)
            if found >= 0:  # it stays as long as both live, and no other has this cookie
                known[self.sandbox] = found
        return found

    def visiting(
        self, netns: str, sandbox: str, number: int = NO_NUMBER, *, strict: bool = False
    ) -> KernelWorld:
        return self._visit(netns, sandbox, strict=strict) or self._beside(None, netns, number)

    def reaches(self, netns: str, sandbox: str) -> bool:
        found = self._visit(netns, sandbox)
        if found is not None:
            found.close()
        return found is not None

    def _visit(self, netns: str, sandbox: str, *, strict: bool = False) -> KernelWorld | None:
        """The world beside with the sandbox at that path, if it is still that one."""
        if not (sandbox and netns):
            return None
        try:
            fd = self.root.network_namespace(netns)
        except (OSError, NamespaceError) as error:
            _raise_unless_nowhere(error, netns, strict)
            return None
        with ExitStack() as doubtful:
            doubtful.callback(os.close, fd)
            try:
                world = doubtful.enter_context(self._beside(fd, netns))
            except (OSError, NamespaceError) as error:
                _raise_unless_nowhere(error, netns, strict)
                return None
            if world.sandbox != sandbox:
                return None
            world._to_close.append(partial(os.close, fd))
            doubtful.pop_all()
            return world

    def _beside(self, sandbox_fd: int | None, netns: str, number: int = NO_NUMBER) -> KernelWorld:
        return KernelWorld(
            self._host_fd,
            sandbox_fd,
            netns=netns,
            our_plugins=self._looker.our_plugins,
            warm=self._warm,
            number=number,
            root=self.root,
        )

    # --- the engine's questions and orders ----------------------------------------------

    def look(self, query: Query[Any]) -> Any:
        return self._looker.look(query)

    def exists(self, resource: Resource) -> bool:
        return self._reaches(resource) and handler(resource).exists(self._at, resource)

    def previous(self, resource: Resource) -> str | None:
        return handler(resource).previous(self._at, resource) if self._reaches(resource) else None

    def create(self, resources: Sequence[Resource]) -> None:
        if resources and resources[0].batch == LINK:
            create_together(self._at, [(link_handler(each), each) for each in resources])
            return
        for serving, group in groupby(resources, handler):
            serving.create_all(self._at, list(group))

    def inside(self) -> AbstractContextManager[None]:
        """This thread works in the sandbox. Raises `NamespaceError` where there is none."""
        return entered(self._at.namespace("sandbox"))

    def limit(self, address: InterfaceAddress, valid: int, preferred: int) -> None:
        """`ip addr change ADDRESS dev NAME valid_lft VALID preferred_lft PREFERRED`, in seconds.

        One that is not there is no error. Raises `KernelError`.
        """
        sock = self._at.socket(address.place)
        addresses.limit(sock, address.name, address.address, valid, preferred)

    def announcing(self, announcement: Announcement) -> Callable[[], None]:
        """What tells the sandbox's neighbours where its addresses are, once this world is closed.

        To be called once; the descriptors may be closed by then. Raises OSError, `CniError`.
        """
        self._at.let_go()
        to_close, at = self._to_close, self._at
        self._to_close = []

        def announce() -> None:
            from . import announcing  # not needed before a caller has its answer

            try:
                announcing.announce(at, announcement)
            finally:
                _close(to_close)

        return announce

    def verify(self, resource: Resource) -> list[Drift]:
        return self.verify_all([resource])

    def verify_all(self, resources: Sequence[Resource]) -> list[Drift]:
        drifts: list[Drift] = []
        reached: list[Resource] = []
        for resource in resources:
            if isinstance(resource, Unknown):
                continue  # who can't read it can't judge it
            if self._reaches(resource):
                reached.append(resource)
            else:
                drifts.append(missing(f"{resource.describe()}", "network namespace"))
        for serving, group in groupby(reached, handler):
            drifts += serving.verify_all(self._at, list(group))
        return drifts

    def mend(self, resources: Sequence[Resource], drifts: Sequence[Drift]) -> None:
        if resources and self._reaches(resources[0]):
            handler(resources[0]).mend(self._at, resources, drifts)

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        reached = [pair for pair in resources if self._reaches(pair[0], to_delete=True)]
        failures: list[Exception] = []
        for serving, group in groupby(reached, lambda pair: handler(pair[0])):
            try:
                serving.delete_all(self._at, list(group))
            except ExceptionGroup as several:
                failures += several.exceptions
            except Exception as error:
                failures.append(error)
        raise_all(failures)

    def end_flows(self, addresses: Sequence[str], zone: int) -> None:
        self._at.table().flows.end(addresses, zone)

    def tables(self) -> list[TableFound]:
        return self._at.table().found()

    def table_names(self) -> list[str]:
        """Those of our nftables tables that are there: "inet pynet"."""
        return self._at.table().names()

    def remove_tables(self) -> None:
        """`nft delete table inet pynet; nft delete table bridge pynet`, whatever is in them.

        Raises `KernelError`.
        """
        self._at.table().remove()

    def rebuild(self, resources: Sequence[Resource], owner: Owner) -> bool:
        return self._at.table().ensure(
            [each for each in resources if isinstance(each, PartResource)],
            _elements(resources),
            owner,
        )

    def surplus(
        self, resources: Sequence[Resource], among: Sequence[Resource] | None = None
    ) -> list[Resource]:
        """What stands in our tables, or `among` them, and is none of `resources`."""
        known, found = _elements(resources), _elements(among or ())
        return [*self._at.table().surplus(known, None if among is None else found)]

    def contents(self) -> list[Resource]:
        from .nft.contents import recorded_as  # of use only where a store was lost

        return [recorded_as(each) for each in self._at.table().contents()]

    def ways(self) -> list[Resource]:
        return [*self._at.table().foreign.ours()]

    def _reaches(self, resource: Resource, *, to_delete: bool = False) -> bool:
        """Whether there is something to act on: not in a lost namespace, nor of an unknown kind."""
        if isinstance(resource, Unknown):
            return False
        by_number = to_delete and self._at.number >= 0 and handler(resource).deletes_by_number
        return by_number or self._at.has(resource.place)


def _close(opened: list[Callable[[], None]]) -> None:
    """What was opened last first."""
    while opened:
        opened.pop()()


def _raise_unless_nowhere(error: Exception, netns: str, strict: bool) -> None:
    """Raise an error on the way to a namespace, unless it says that no path leads there."""
    if is_exhaustion(error):
        raise error  # it may be there
    cause = error.__cause__ if isinstance(error, NamespaceError) else error
    if strict and isinstance(cause, PermissionError):
        raise Forbidden(f"namespace {netns} was not looked into: that takes root") from error


def _elements(resources: Sequence[Resource]) -> list[ElementResource]:
    return [each for each in resources if isinstance(each, ElementResource)]
