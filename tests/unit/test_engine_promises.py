"""What the engine's rules promise, each where it would be broken: between two steps of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pynet.cni.config import NetConf
from pynet.engine import collecting
from pynet.engine.engine import Engine
from pynet.engine.site import Site
from pynet.model.errors import KernelError, TryLater
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import Seen
from pynet.model.request import Request
from pynet.model.resource import Resource
from pynet.model.resources import (
    Bridge,
    Element,
    GatewayAddress,
    SharedElement,
    Sysctl,
)
from pynet.model.result import Result
from pynet.store.records import ClaimLost, Record, State
from pynet.store.store import Store
from pynet.testing import RecordingWorld, request

BRIDGE = Bridge(name="cni0", mac="b")
GATEWAY = GatewayAddress(name="cni0", address="10.1.0.1/24")
NETWORK = SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0"))
FILTER = Sysctl(setting="ipv4/conf/cni0/rp_filter", value="2")
SHARED = (GATEWAY, NETWORK, FILTER)


class Sharing(Plugin):
    """A bridge, what is shared on it, and an element that is the container's alone."""

    name = "sharing"
    config = NetConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        mine = Element(set="masquerade4", item=(request.container,))
        return Plan((BRIDGE, *SHARED, mine), Result())


@dataclass
class Interrupted(RecordingWorld):
    """`between` is done before anything is deleted; sysctls have values."""

    values: dict[str, str] = field(default_factory=lambda: {FILTER.setting: "0"})
    between: Callable[[Sequence[Resource]], None] = lambda doomed: None

    def __post_init__(self) -> None:
        super().__init__()

    def previous(self, resource: Resource) -> str | None:
        return self.values.get(getattr(resource, "setting", ""))

    def create(self, resources: Sequence[Resource]) -> None:
        super().create(resources)
        self.values.update((one.setting, one.value) for one in resources if isinstance(one, Sysctl))

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        between, self.between = self.between, lambda doomed: None
        between([resource for resource, _ in resources])
        self.between = between
        super().delete(resources)
        for resource, previous in resources:
            if isinstance(resource, Sysctl) and previous is not None:
                self.values[resource.setting] = previous


@dataclass
class Scene:
    state: Path
    world: Interrupted
    patience: float = 0.0
    """Of the store: whoever finds it locked says so at once."""

    @property
    def site(self) -> Site:
        return Site(Store.open(self.state, patience=self.patience), self.world)

    def call(self, command: str, container: str = "c1", **keys: Any) -> Any:
        """In a store of its own, as another process has it."""
        asked = request(Sharing(), keys, container=container, **_valid(keys))
        store = self.site.store
        try:
            return getattr(Engine(store, self.world, "digest"), command)(Sharing(), asked)
        finally:
            store.close()

    def records(self) -> list[Record]:
        with self.site.store.read() as tx:
            return tx.records()

    def shared(self) -> set[str]:
        """The keys of all that somebody is known to have shared here."""
        keys = [each.key for each in (BRIDGE, *SHARED)]
        with self.site.store.read() as tx:
            return set(tx.all_shared(self.world.host, keys))

    def has(self, *resources: Resource) -> bool:
        return all(resource.key in self.world.standing for resource in resources)


def _valid(keys: dict[str, Any]) -> dict[str, Any]:
    living = keys.get("cni.dev/valid-attachments")
    if living is None:
        return {}
    return {"valid_attachments": frozenset((one["containerID"], one["ifname"]) for one in living)}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    yield Scene(tmp_path, Interrupted())


@pytest.mark.parametrize("shared", SHARED, ids=lambda shared: shared.kind)
def test_who_comes_while_the_last_user_leaves_has_what_is_shared(
    scene: Scene, shared: Resource
) -> None:
    """It is counted and removed in one transaction: nobody joins in between."""
    joined = []

    def join(doomed: Sequence[Resource]) -> None:
        if shared in doomed:
            try:
                joined.append(scene.call("add", "c2"))
            except TryLater:
                joined.append(None)

    scene.call("add", "c1")
    scene.world.between = join
    scene.call("delete", "c1")
    assert joined == [None]
    scene.call("add", "c2")
    assert scene.has(*SHARED)


def test_with_the_last_user_all_that_was_shared_is_forgotten(scene: Scene) -> None:
    """But for what stays, whose origin has to be known."""
    for container in ("c1", "c2"):
        scene.call("add", container)
    scene.call("delete", "c1")
    assert scene.shared() == {each.key for each in (BRIDGE, *SHARED)}
    scene.call("delete", "c2")
    assert scene.shared() == {BRIDGE.key}


def test_a_value_that_somebody_set_between_two_users_comes_back(scene: Scene) -> None:
    scene.call("add")
    scene.call("delete")
    assert scene.world.values[FILTER.setting] == "0"
    scene.world.values[FILTER.setting] = "1"
    scene.call("add", "c2")
    scene.call("delete", "c2")
    assert scene.world.values[FILTER.setting] == "1"


def test_a_bridge_of_ours_is_ours_in_its_second_life(scene: Scene) -> None:
    for container in ("c1", "c2"):
        scene.call("add", container)
        scene.call("delete", container)
    assert scene.has(BRIDGE)
    assert collecting.remove_unused_bridges(scene.site) == [BRIDGE]
    assert not scene.has(BRIDGE)


def test_a_bridge_of_somebody_else_s_is_theirs_for_good(scene: Scene) -> None:
    scene.world.standing[BRIDGE.key] = BRIDGE
    for container in ("c1", "c2"):
        scene.call("add", container)
        scene.call("delete", container)
    assert collecting.remove_unused_bridges(scene.site) == []
    assert scene.has(BRIDGE)


def test_a_bridge_that_was_never_made_is_whoever_makes_it(scene: Scene) -> None:
    """An ADD that fails before remembers nothing of it."""
    scene.world.fail_at, scene.world.failure = Bridge.kind, KernelError("no")
    with pytest.raises(KernelError):
        scene.call("add")
    assert scene.shared() == set()
    scene.world.fail_at = ""
    scene.world.standing[BRIDGE.key] = BRIDGE  # an administrator's, by now
    scene.call("add")
    scene.call("delete")
    assert collecting.remove_unused_bridges(scene.site) == []
    assert scene.has(BRIDGE)


def test_a_bridge_that_a_failed_add_has_made_is_ours(scene: Scene) -> None:
    scene.world.fail_at, scene.world.failure = Element.kind, KernelError("no")
    with pytest.raises(KernelError):
        scene.call("add")
    assert collecting.remove_unused_bridges(scene.site) == [BRIDGE]
    assert scene.world.standing == {}


def test_only_what_others_make_can_have_been_found(scene: Scene) -> None:
    """A gateway address may be an administrator's; an element of our table is nobody's."""
    for each in (GATEWAY, NETWORK):
        scene.world.standing[each.key] = each
    scene.call("add")
    scene.call("delete")
    assert scene.has(GATEWAY)
    assert not scene.has(NETWORK)


def test_what_is_being_undone_is_marked_before_anything_of_it_goes(scene: Scene) -> None:
    """Who fills our tables meanwhile leaves it out; who still works on it can't finish it."""
    seen: list[tuple[State, list[Resource]]] = []

    def look(doomed: Sequence[Resource]) -> None:
        with scene.site.store.read() as tx:
            (record,) = tx.records()
            found = tx.resources(scene.world.host, ("nft-element", "nft-shared-element"))
            seen.append((record.state, list(found)))
        if isinstance(doomed[0], Element):  # with what is shared the store is locked
            with pytest.raises(ClaimLost), scene.site.store.write() as tx:
                tx.ready(before, "{}")

    scene.call("add")
    (before,) = scene.records()
    scene.world.between = look
    scene.call("delete")
    assert len(seen) > len(SHARED)
    assert {state for state, _ in seen} == {State.RELEASING}
    assert [found for _, found in seen if found] == []


def test_a_collection_touches_nobody_who_is_being_worked_on(scene: Scene) -> None:
    scene.call("add")
    (record,) = scene.records()
    with scene.site.lock(record.attachment) as lock:
        assert lock.try_acquire()
        scene.call("collect", **{"cni.dev/valid-attachments": []})
        assert [each.state for each in scene.records()] == [State.READY]
        assert scene.has(*SHARED)
    scene.call("collect", **{"cni.dev/valid-attachments": []})
    assert scene.records() == []
    assert not scene.has(GATEWAY)


def test_it_is_judged_again_once_the_lock_is_held(scene: Scene) -> None:
    """Who was half attached when it was looked at may be attached by now."""
    with scene.site.store.write() as tx:
        begun = tx.begin(
            host=scene.world.host, network="testnet", container="c1", interface="eth0",
            plugin="sharing", digest="", request="{}",
        )  # fmt: skip
    with scene.site.store.write() as tx:
        tx.ready(tx.pend(begun, []), "{}")

    def is_unfinished(record: Record) -> bool:
        return record.state is not State.READY

    assert is_unfinished(begun)
    assert collecting.undo_if_idle(scene.site, begun, is_unfinished) is None
    assert [each.state for each in scene.records()] == [State.READY]
