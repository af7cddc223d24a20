"""A DEL without a record, where the plugin's place was another's before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pynet.cni.config import NetConf
from pynet.engine.engine import Engine
from pynet.engine.request_record import Call
from pynet.model.errors import Code, DelegateFailed
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import ReplacedBinary, Seen
from pynet.model.request import Request
from pynet.model.resource import Resource
from pynet.model.resources import Element
from pynet.model.result import Result
from pynet.store.store import Store
from pynet.testing import RecordingWorld, request

ELEMENT = Element(set="masquerade4", item=("10.1.0.2",))
KEPT = "/opt/cni/bin/.pynet-replaced/simple"


class Simple(Plugin):
    name = "simple"
    config = NetConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        return Plan((ELEMENT,), Result())

    def leftovers(self, request: Request) -> tuple[Resource, ...]:
        return (ELEMENT,)


class Before:
    """The engine, and the plugin that was there before."""

    def __init__(self, store: Store) -> None:
        self.world = RecordingWorld({ReplacedBinary("simple", ("/opt/cni/bin",)): KEPT})
        self.calls: list[tuple[str, str, Mapping[str, str], Mapping[str, Any]]] = []
        self.error: Exception | None = None
        self.asked = request(Simple(), {"key": "value"}, path=("/opt/cni/bin",))
        self.engine = Engine(
            store, self.world, "digest", environ={"CNI_IFNAME": "eth0"}, delegate=self._called
        )

    def _called(self, binary: str, command: str, call: Call) -> dict[str, Any]:
        assert ELEMENT.key not in self.world.standing, "ours is cleaned up first"
        # An IPAM plugin of ours that it runs asks for the same attachment.
        lock = self.engine._site.lock(self.asked.attachment)
        assert lock.try_acquire()
        lock.release()
        self.calls.append((binary, command, call.environ, call.config))
        if self.error:
            raise self.error
        return {}


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Before]:
    store = Store.open(tmp_path)
    yield Before(store)
    store.close()


def test_it_is_told_to_take_down_what_is_not_on_record(before: Before) -> None:
    before.world.create([ELEMENT])
    before.engine.delete(Simple(), before.asked)
    assert before.calls == [(KEPT, "DEL", {"CNI_IFNAME": "eth0"}, before.asked.config)]


def test_what_is_on_record_is_none_of_its_business(before: Before) -> None:
    before.engine.add(Simple(), before.asked)
    before.engine.delete(Simple(), before.asked)
    assert before.calls == []


def test_its_failure_is_the_del_s(before: Before) -> None:
    before.error = DelegateFailed("no such chain")
    with pytest.raises(ExceptionGroup) as caught:
        before.engine.delete(Simple(), before.asked)
    assert caught.group_contains(DelegateFailed, match="no such chain")


def test_what_it_can_t_read_it_can_t_have_made(before: Before) -> None:
    before.error = DelegateFailed("1.1.0?", code=Code.INCOMPATIBLE_VERSION)
    before.engine.delete(Simple(), before.asked)
    assert len(before.calls) == 1
