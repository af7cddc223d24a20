"""A host on which others run programs and write to the store while a call is at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynet.engine.engine import Engine
from pynet.engine.leasing import Lessor
from pynet.model.plan import Drift, Plan
from pynet.model.plugin import Plugin
from pynet.model.resource import Resource
from pynet.model.resources import Veth
from pynet.store.records import Record
from pynet.store.store import Store
from pynet.testing import RecordingWorld, request

PAIR = Veth(name="v1", mac="m", peer="eth0", peer_mac="p")


class Elsewhere(RecordingWorld):
    """A world in which a write begun from elsewhere goes through whenever a program is run."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self.state = state
        self.runs: list[str] = []
        self.before: Callable[[str, Resource], None] = lambda what, resource: None

    def exists(self, resource: Resource) -> bool:
        self._run("exists", resource)
        return super().exists(resource)

    def create(self, resources: Sequence[Resource]) -> None:
        for resource in resources:
            self._run("create", resource)
        super().create(resources)

    def verify(self, resource: Resource) -> list[Drift]:
        self._run("verify", resource)
        return super().verify(resource)

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        for resource, _ in resources:
            self._run("delete", resource)
        super().delete(resources)

    def _run(self, what: str, resource: Resource) -> None:
        if resource.foreign:
            self.nobody_waits()
            self.runs.append(f"{what} {resource.kind}")
            self.before(what, resource)

    def nobody_waits(self) -> None:
        other = Store.open(self.state, patience=0.2)
        with other.write():
            pass
        other.close()


@dataclass
class Scene:
    store: Store
    world: Elsewhere
    lessors: Mapping[str, Lessor] = field(default_factory=dict)

    def engine(self, plugin: Plugin, container: str = "c1", **fields: Any) -> tuple[Any, ...]:
        asked = request(plugin, {}, container=container, **fields)
        return Engine(self.store, self.world, "digest", lessors=self.lessors), plugin, asked

    def add(self, plugin: Plugin, container: str = "c1") -> Plan:
        engine, *asked = self.engine(plugin, container)
        plan: Plan = engine.add(*asked)
        return plan

    def delete(self, plugin: Plugin, container: str = "c1") -> None:
        engine, *asked = self.engine(plugin, container)
        engine.delete(*asked)

    def records(self) -> list[Record]:
        with self.store.read() as tx:
            return tx.records()

    def steps(self) -> list[Resource]:
        with self.store.read() as tx:
            return [step.resource for record in tx.records() for step in tx.steps(record)]

    def standing(self) -> set[str]:
        return {resource.kind for resource in self.world.standing.values()}
