"""The journal: records, claims, steps, and what they share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynet.model.errors import StoreError, TryLater
from pynet.model.resource import Undo, Unknown
from pynet.model.resources import Element, GatewayAddress, LinkUp, SharedElement
from pynet.store.records import ClaimLost, Record, Shared, State, Step
from pynet.store.store import Store, Writer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "state")
    yield store
    store.close()


def begin(writer: Writer, **changed: str) -> Record:
    call = {
        "host": "h1", "network": "net", "container": "c1", "interface": "eth0",
        "plugin": "bridge", "digest": "d", "sandbox": "42", "netns": "/run/netns/c1",
        "request": "{}",
    }  # fmt: skip
    return writer.begin(**{**call, **changed})


def gateway(name: str = "cni0") -> GatewayAddress:
    return GatewayAddress(name=name, address="10.0.0.1/24")


def test_a_record_is_read_back_as_it_was_begun(store: Store) -> None:
    with store.write() as writer:
        record = begin(writer)
    assert (record.state, record.claim, record.sandbox) == (State.INTENT, 1, "42")
    with store.read() as reader:
        assert reader.records() == [record]
        assert reader.record(record.id) == record
        assert reader.record(record.id + 1) is None


def test_the_three_commits(store: Store) -> None:
    steps = [
        Step(0, LinkUp(name="veth1")),
        Step(1, gateway(), previous="before", answer='{"a":1}'),
    ]
    with store.write() as writer:
        record = begin(writer)
    with store.write() as writer:
        record = writer.pend(record, steps)
    assert record.state is State.PENDING
    with store.write() as writer:
        record = writer.ready(record, '{"ips":[]}')
    with store.read() as reader:
        assert reader.records(state=State.READY) == [record]
        assert reader.record(record.id) == record
        assert record.result == '{"ips":[]}'
        assert reader.steps(record) == steps


def test_pend_replaces_the_steps_and_drop_removes_some(store: Store) -> None:
    with store.write() as writer:
        record = writer.pend(begin(writer), [Step(7, LinkUp(name="old"))])
        record = writer.pend(record, [Step(n, LinkUp(name=f"v{n}")) for n in range(4)])
        writer.drop(record, [1, 3])
        assert [step.position for step in writer.steps(record)] == [0, 2]


def test_forget_leaves_nothing(store: Store) -> None:
    with store.write() as writer:
        record = writer.pend(begin(writer), [Step(0, gateway())])
        writer.forget(record)
    with store.read() as reader:
        assert reader.records() == []
        assert reader.steps(record) == []
        assert reader.users("h1", gateway().key) == 0


def test_whoever_lost_the_claim_changes_nothing(store: Store) -> None:
    with store.write() as writer:
        stale = writer.pend(begin(writer), [Step(0, gateway())])
        current = writer.releasing(stale)
    attempts: list[Any] = [
        lambda w: w.pend(stale, []),
        lambda w: w.ready(stale, "{}"),
        lambda w: w.releasing(stale),
        lambda w: w.drop(stale, [0]),
        lambda w: w.forget(stale),
    ]
    for attempt in attempts:
        with pytest.raises(ClaimLost, match="another call has taken over"), store.write() as writer:
            attempt(writer)
    with store.read() as reader:
        assert reader.records() == [current]
        assert len(reader.steps(current)) == 1
    assert issubclass(ClaimLost, TryLater)


def test_a_forgotten_record_is_lost_and_its_number_not_reused(store: Store) -> None:
    with store.write() as writer:
        first = begin(writer)
        writer.forget(first)
        second = begin(writer)
    assert second.id != first.id
    with pytest.raises(ClaimLost), store.write() as writer:
        writer.ready(first, "{}")


def test_an_exception_rolls_everything_back(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as writer:
        begin(writer)
        writer.share("h1", [(gateway(), Shared(True, None))])
        raise ZeroDivisionError
    with store.read() as reader:
        assert reader.records() == []
        assert reader.shared("h1", gateway().key) is None


def test_records_are_found_by_every_field(store: Store) -> None:
    with store.write() as writer:
        one = begin(writer)
        two = begin(writer, container="c2", plugin="portmap")
        other = begin(writer, host="h2", network="net2", interface="eth1")
    with store.read() as reader:
        assert reader.records() == [one, two, other]
        assert reader.records(host="h1") == [one, two]
        assert reader.records(network="net2") == [other]
        assert reader.records(container="c2") == [two]
        assert reader.records(interface="eth1") == [other]
        assert reader.records(plugin="portmap") == [two]
        assert reader.records(host="h1", network="net", plugin="bridge") == [one]
        assert reader.records(state=State.READY) == []


def test_records_by_container_prefix(store: Store) -> None:
    names = ["abc", "abcd", "abd", "ab.c", "zz", "ab_c", "AB"]
    with store.write() as writer:
        for name in names:
            begin(writer, container=name)
    with store.read() as reader:

        def found(prefix: str) -> list[str]:
            return [record.container for record in reader.records_by_container_prefix(prefix)]

        assert found("abc") == ["abc", "abcd"]
        assert found("ab") == ["abc", "abcd", "abd", "ab.c", "ab_c"]
        assert found("") == names
        assert found("q") == []


def test_users_are_records_of_the_host(store: Store) -> None:
    key = gateway().key
    with store.write() as writer:
        records = [
            writer.pend(begin(writer, container=name, host=host), [Step(0, gateway())])
            for name, host in (("a", "h1"), ("b", "h1"), ("c", "h2"))
        ]
        writer.pend(begin(writer), [Step(0, gateway("cni1"))])
        assert writer.users("h1", key) == 2
        assert writer.users("h1", key, but=records[0].id) == 1
        assert writer.users("h2", key, but=records[2].id) == 0
        writer.pend(begin(writer, container="d"), [Step(0, gateway())])
        assert writer.users("h1", key) == 2
        assert writer.users("h1", key, at_most=10) == 3
        writer.drop(writer.records(container="d")[0], [0])
        writer.drop(records[0], [0])
        assert writer.users("h1", key, but=records[1].id) == 0


def test_users_are_counted_where_the_resource_is(store: Store) -> None:
    inside = LinkUp(name="eth0", place="sandbox")
    with store.write() as writer:
        for container, sandbox in (("a", "41"), ("b", "42")):
            writer.pend(begin(writer, container=container, sandbox=sandbox), [Step(0, inside)])
        assert writer.users("41", inside.key) == writer.users("42", inside.key) == 1
        assert writer.users("h1", inside.key) == 0


def test_what_is_shared_is_remembered_where_it_is(store: Store) -> None:
    with store.write() as writer:
        writer.share("h1", [(gateway(), Shared(True, "0"))])
        writer.share("h1", [(gateway("cni1"), Shared(False, None))])
        writer.share("h1", [(LinkUp(name="veth1"), Shared(True, None))])
        assert writer.shared("h1", gateway().key) == Shared(found=True, previous="0")
        assert writer.shared("h2", gateway().key) is None
        found = writer.shared_of_kind("h1", "gateway-address")
        assert sorted(found, key=repr) == [(gateway(), True), (gateway("cni1"), False)]
        assert writer.shared_of_kind("h2", "gateway-address") == []
        writer.unshare("h1", gateway().key)
        assert writer.shared("h1", gateway().key) is None
        assert writer.shared("h1", gateway("cni1").key) is not None


def test_resources_are_told_once_each(store: Store) -> None:
    shared = SharedElement(set="network4_24", item=("10.0.0.0",))
    own = [Element(set="ports", item=("tcp", str(port))) for port in (80, 443)]
    with store.write() as writer:
        for number, element in enumerate(own):
            writer.pend(
                begin(writer, container=f"c{number}"),
                [Step(0, shared), Step(1, element), Step(2, LinkUp(name=f"v{number}"))],
            )
        writer.pend(begin(writer, host="h2"), [Step(0, Element(set="ports", item=("udp", "1")))])
    with store.read() as reader:
        found = list(reader.resources("h1", ["nft-element", "nft-shared-element"]))
        assert sorted(found, key=repr) == sorted([*own, shared], key=repr)
        # One kind's name is the beginning of another's.
        assert list(reader.resources("h1", ["nft"])) == []


def test_a_step_of_another_version_is_kept(store: Store) -> None:
    strange = Unknown(
        unknown_kind="wormhole",
        body='{"to":"mars"}',
        recorded_key="wormhole\tmars",
        inside="veth\tv1",
        place="sandbox",
        undo=Undo.KEEP,
    )
    with store.write() as writer:
        record = writer.pend(begin(writer), [Step(0, strange)])
        assert writer.steps(record) == [Step(0, strange)]
        assert list(writer.resources("42", ["wormhole"])) == [strange]


def test_counts(store: Store) -> None:
    with store.write() as writer:
        begin(writer)
        writer.ready(begin(writer, container="c2"), "{}")
        counts = writer.counts()
    assert counts.records == {State.INTENT: 1, State.READY: 1}
    assert counts.leases == {}


def test_a_write_within_a_write_is_refused_in_time(tmp_path: Path) -> None:
    store = Store.open(tmp_path, patience=0.05)
    with store.write(), pytest.raises(TryLater, match=r"pynet\.db"), store.write():
        pass


def test_store_errors_have_the_io_code() -> None:
    assert StoreError("x").code == 5
