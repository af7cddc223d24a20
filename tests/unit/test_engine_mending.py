"""What reload makes again in place, and what it leaves to whoever is at work on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pynet.engine.judging import Condition, Judge
from pynet.engine.last_word import LastWord
from pynet.engine.mending import mend
from pynet.engine.site import Site
from pynet.model.resource import Resource
from pynet.model.resources import InterfaceAddress, LinkUp
from pynet.store.records import Record, Step
from pynet.store.store import Store
from pynet.testing import RecordingWorld

UP = LinkUp(name="eth0", place="sandbox")
ADDRESS = InterfaceAddress(name="eth0", address="10.1.0.2/24", place="sandbox")


@pytest.fixture
def world() -> RecordingWorld:
    return RecordingWorld()


@pytest.fixture
def site(world: RecordingWorld, tmp_path: Path) -> Iterator[Site]:
    with closing(Store.open(tmp_path)) as store:
        yield Site(store, world)


def record(site: Site, *resources: Resource) -> Record:
    with site.store.write() as tx:
        begun = tx.begin(
            host=site.world.host, network="web", container="c1", interface="eth0",
            plugin="bridge", digest="", sandbox=site.world.sandbox, netns="/run/netns/c1",
            request='{"environ": {}, "config": {}}',
        )  # fmt: skip
        return tx.ready(tx.pend(begun, [Step(n, each) for n, each in enumerate(resources)]), "{}")


def nobodys_word(record: Record) -> LastWord:
    return LastWord("", None)


def condition(site: Site, one: Record) -> Condition | None:
    found = Judge(site.store, site.world, nobodys_word).judge([one])
    return found.condition if found else None


def test_only_what_is_missing_is_made_in_the_order_of_the_plan(
    site: Site, world: RecordingWorld
) -> None:
    one = record(site, ADDRESS, UP)
    assert condition(site, one) is Condition.DRIFTED
    assert mend(site, [one], nobodys_word) == []
    assert list(world.standing.values()) == [ADDRESS, UP]
    assert condition(site, one) is Condition.READY
    world.fail_at = ADDRESS.kind
    assert mend(site, [one], nobodys_word) == []  # nothing is made of what is there


def test_one_failure_does_not_keep_the_rest_from_being_made(
    site: Site, world: RecordingWorld
) -> None:
    one = record(site, ADDRESS, UP)
    world.fail_at = ADDRESS.kind
    assert len(mend(site, [one], nobodys_word)) == 1
    assert list(world.standing.values()) == [UP]


def test_what_somebody_works_on_is_left_alone(site: Site, world: RecordingWorld) -> None:
    one = record(site, ADDRESS)
    lock = site.lock(one.attachment)
    assert lock.try_acquire()
    with lock:
        assert mend(site, [one], nobodys_word) == []
    assert world.standing == {}


def test_what_is_being_undone_is_not_made_again(site: Site, world: RecordingWorld) -> None:
    one = record(site, ADDRESS)
    with site.store.write() as tx:
        tx.releasing(one)
    assert mend(site, [one], nobodys_word) == []
    assert world.standing == {}
    with site.store.read() as tx:
        (now,) = tx.records()
    assert condition(site, one) is Condition.IN_PROGRESS  # not as it was read
    assert condition(site, now) is Condition.HALF_DONE


def test_another_namespace_at_the_same_path_is_not_touched(
    site: Site, world: RecordingWorld
) -> None:
    one = record(site, ADDRESS)
    world.sandbox = "another"
    assert mend(site, [one], nobodys_word) == []
    assert world.standing == {}
