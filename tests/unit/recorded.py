"""Attachments put on record without an ADD: what tests of reconciling begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pynet.engine.last_word import LastWord
from pynet.engine.reloading import Reloaded
from pynet.engine.reloading import reload as reload_all
from pynet.engine.site import Site
from pynet.model.forwarding import ForwardAccept, ForwardJump
from pynet.model.owner import Owner
from pynet.model.resource import Resource
from pynet.model.resources import Element, SharedElement
from pynet.store.records import Record, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld

SHARED = SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0"))
JUMP = ForwardJump(program="iptables-nft", into="DOCKER-USER")
ACCEPT = ForwardAccept(program="iptables-nft", interface="cni0")


@pytest.fixture
def world() -> RecordingWorld:
    return RecordingWorld()


@pytest.fixture
def site(world: RecordingWorld, tmp_path: Path) -> Iterator[Site]:
    store = Store.open(tmp_path)
    yield Site(store, world)
    store.close()


def record(site: Site, container: str, *resources: Resource, ready: bool = True) -> Record:
    with site.store.write() as tx:
        begun = tx.begin(
            host=site.world.host, network="web", container=container, interface="eth0",
            plugin="bridge", digest="", request='{"environ": {}, "config": {}}',
        )  # fmt: skip
        pending = tx.pend(begun, [Step(n, each) for n, each in enumerate(resources)])
        return tx.ready(pending, "{}") if ready else pending


def own(number: int) -> Element:
    return Element(set="masquerade4", item=(f"10.1.0.{number}",))


def reload(site: Site) -> Reloaded:
    return reload_all(site, lambda record: LastWord("", None))


def during_a_rebuild(
    world: RecordingWorld, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]
) -> None:
    """`work` is done after the records were read, and before anything is put in."""
    rebuild = world.rebuild

    def slow(resources: Sequence[Resource], owner: Owner) -> bool:
        work()
        return rebuild(resources, owner)

    monkeypatch.setattr(world, "rebuild", slow)
