"""Fakes for the two sides of a plugin: the world it asks and the kernel that obeys it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ..cni.config import digest, parse_model
from ..engine.engine import Engine
from ..engine.world import World
from ..kernel.roots import OWN
from ..model.errors import AddressInUse
from ..model.forwarding import ForwardAccept, ForwardJump
from ..model.owner import Owner, TableFound
from ..model.place import NO_NUMBER, own_number
from ..model.plan import Drift
from ..model.plugin import Plugin
from ..model.query import Answers, Query, Seen
from ..model.request import Command, Request
from ..model.resource import Resource
from ..model.resources import InterfaceAddress
from ..store.store import Store

_WAYS = ForwardAccept | ForwardJump


def seen(answers: Mapping[Any, Any] | None = None) -> Seen:
    """A `Seen` that has just these answers and raises `Unanswered` for any other question."""
    return Answers(answers or {})


def request(plugin: Plugin, config: Mapping[str, Any], **fields: Any) -> Request:
    """An ADD of `config` for container "c1" as eth0 in /run/netns/c1; `fields` override."""
    full = {"cniVersion": "1.1.0", "name": "testnet", "type": plugin.name, **config}
    values: dict[str, Any] = {
        "command": Command.ADD,
        "plugin": plugin.name,
        "network": full["name"],
        "container": "c1",
        "interface": "eth0",
        "cni_version": full["cniVersion"],
        "config": full,
        "conf": parse_model(plugin.config, full),
        "netns": "/run/netns/c1",
        "runtime_config": full.get("runtimeConfig", {}),
        "host": "test-host",
    }
    return Request(**(values | fields))


class RecordingWorld:
    """A `World` that keeps what it is told to create, in order, and forgets what is deleted.

    `answers` is what `look` finds (None for everything else); `fail_at` names a kind whose
    creation raises `failure`.
    """

    def __init__(
        self,
        answers: Mapping[Query[Any], Any] | None = None,
        *,
        host: str = "host-1",
        sandbox: str = "sandbox-1",
    ) -> None:
        self.host = host
        self.sandbox = sandbox
        self.root = OWN
        self.answers = dict(answers or {})
        self.standing: dict[str, Resource] = {}
        self.fail_at = ""
        self.failure: Exception = OSError("refused by the test")

    def look(self, query: Query[Any]) -> Any:
        return self.answers.get(query)

    def exists(self, resource: Resource) -> bool:
        return resource.key in self.standing

    def previous(self, resource: Resource) -> str | None:
        return None

    def create(self, resources: Sequence[Resource]) -> None:
        for resource in resources:
            if resource.kind == self.fail_at:
                raise self.failure
            self._put(resource)

    def verify(self, resource: Resource) -> list[Drift]:
        if resource.key in self.standing:
            return []
        return [Drift(resource.describe(), "presence", "there", "missing")]

    def verify_all(self, resources: Sequence[Resource]) -> list[Drift]:
        return [drift for resource in resources for drift in self.verify(resource)]

    def mend(self, resources: Sequence[Resource], drifts: Sequence[Drift]) -> None:
        self.create(resources)

    def limit(self, address: InterfaceAddress, valid: int, preferred: int) -> None:
        """Nothing that stands here ends by itself."""

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        for resource, _ in resources:
            # Of what only one may have, only what leads where it should.
            if not resource.exclusive or self.standing.get(resource.key) == resource:
                self.standing.pop(resource.key, None)
            for key, other in list(self.standing.items()):
                if other.inside == resource.key:
                    del self.standing[key]

    def end_flows(self, addresses: Sequence[str], zone: int) -> None:
        pass

    def tables(self) -> list[TableFound]:
        return []

    def rebuild(self, resources: Sequence[Resource], owner: Owner) -> bool:
        for resource in resources:
            self._put(resource)
        return False

    def surplus(
        self, resources: Sequence[Resource], among: Sequence[Resource] | None = None
    ) -> list[Resource]:
        standing = self.standing.values() if among is None else among
        return [one for one in standing if one.batch == "nft" and one not in resources]

    def contents(self) -> list[Resource]:
        return self.surplus(())

    def ways(self) -> list[Resource]:
        return [one for one in self.standing.values() if isinstance(one, _WAYS)]

    def _put(self, resource: Resource) -> None:
        there = self.standing.get(resource.key, resource)
        if resource.exclusive and there != resource:
            raise AddressInUse(f"{there.describe()} already")
        self.standing[resource.key] = resource

    def number(self) -> int:
        return own_number(self.sandbox)

    def reaches(self, netns: str, sandbox: str) -> bool:
        return sandbox == self.sandbox

    def visiting(
        self, netns: str, sandbox: str, number: int = NO_NUMBER, *, strict: bool = False
    ) -> AbstractContextManager[World]:
        return nullcontext(self)


@contextmanager
def memory_engine(
    world: World | None = None, *, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[Request], Engine]]:
    """A function from request to engine; all of them share a store that ends with the block."""
    carrier = world or RecordingWorld()
    with tempfile.TemporaryDirectory() as directory:
        store = Store.open(Path(directory))

        def engine(request: Request) -> Engine:
            return Engine(store, carrier, digest(dict(request.config)), cancelled=cancelled)

        yield engine
        store.close()
