"""The engine's world, made of the kernel: one request's two network namespaces."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import groupby
from types import TracebackType
from typing import Any

from ..model.errors import NamespaceError
from ..model.plan import Announcement, Drift
from ..model.query import Query
from ..model.resource import Resource, Unknown
from ..model.resources import LINK
from . import namespaces
from .handler import missing, raise_all
from .kinds import handler, link_handler
from .link_batch import create_together
from .looks import Looker
from .namespaces import same as same_namespace
from .nft_resources import ElementResource, PartResource
from .places import Places
from .warm import Warm

__all__ = ["KernelWorld", "same_namespace"]


class KernelWorld:
    """`host` and `sandbox` are the namespaces' cookies; `sandbox` is "" where there is none.

    The two descriptors stay the caller's, who keeps them open as long as the world.
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
        our_plugins: frozenset[str],
        warm: Warm | None = None,
        needs_sandbox: bool = False,
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
        self._opened = ExitStack()
        self._at = Places(host_fd, sandbox_fd, netns, warm)
        self._opened.callback(self._at.close)
        self._looker = Looker(self._at, our_plugins)
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
        self._opened.close()

    def visiting(self, netns: str, sandbox: str) -> KernelWorld:
        """The same host with the sandbox at `netns`, if its cookie is still `sandbox`.

        It closes with this world.
        """
        if sandbox and netns:
            with suppress(OSError, NamespaceError):
                world = self._visit(namespaces.open_namespace(netns), netns)
                if world.sandbox == sandbox:
                    return world
        return self._visit(None, netns)

    def _visit(self, sandbox_fd: int | None, netns: str) -> KernelWorld:
        if sandbox_fd is not None:
            self._opened.callback(os.close, sandbox_fd)
        return self._opened.enter_context(
            KernelWorld(
                self._host_fd,
                sandbox_fd,
                netns=netns,
                our_plugins=self._looker.our_plugins,
                warm=self._warm,
            )
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

    def announce(self, announcement: Announcement) -> None:
        """Tell the sandbox's neighbours where its addresses are. Raises OSError, `CniError`."""
        from .announcing import announce  # not needed before a caller has its answer

        announce(self._at, announcement)

    def verify(self, resource: Resource) -> list[Drift]:
        if not self._reaches(resource):
            return [missing(f"{resource.describe()}", "network namespace")]
        return handler(resource).verify(self._at, resource)

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        reached = [pair for pair in resources if self._reaches(pair[0])]
        failures: list[Exception] = []
        for serving, group in groupby(reached, lambda pair: handler(pair[0])):
            try:
                serving.delete_all(self._at, list(group))
            except ExceptionGroup as several:
                failures += several.exceptions
            except Exception as error:
                failures.append(error)
        raise_all(failures)

    def rebuild(self, resources: Sequence[Resource]) -> None:
        self._at.table().ensure(
            [each for each in resources if isinstance(each, PartResource)],
            [each for each in resources if isinstance(each, ElementResource)],
        )

    def _reaches(self, resource: Resource) -> bool:
        """Whether there is something to act on: not in a lost namespace, nor of an unknown kind."""
        return self._at.has(resource.place) and not isinstance(resource, Unknown)
