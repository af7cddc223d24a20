"""What an ADD and a DEL cost the store does not grow with what is there already.

Counted are the instructions of SQLite's machine, the same on every computer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pynet.ipam import lessor
from pynet.model.resources import AddressLease, Element, GatewayAddress
from pynet.store.records import Record, Step
from pynet.store.store import Store, Writer

LEASE = AddressLease(pool="net", index=0, ranges=(("10.0.0.1", "10.0.3.253", 16, "10.0.0.1"),))
FREE = 1020
STEPS = (
    Step(0, GatewayAddress(name="cni0", address="10.0.0.1/16")),
    Step(1, Element(set="ports", item=("tcp", "80"))),
)


def add(writer: Writer, container: str) -> Record:
    record = writer.begin(
        host="h", network="net", container=container, interface="eth0",
        plugin="bridge", digest="d", request="{}",
    )  # fmt: skip
    lessor.take(writer, LEASE, record)
    return writer.ready(writer.pend(record, STEPS), "{}")


def remove(writer: Writer, record: Record) -> None:
    for step in writer.steps(record):
        writer.users("h", step.resource.key, but=record.id)
    writer.drop(record, [0])
    writer.forget(writer.releasing(record))


def look(writer: Writer, record: Record) -> None:
    writer.records(host="h", network="net", container=record.container, interface="eth0")
    writer.records(container=record.container)
    writer.records(host="h", container=record.container)
    writer.records_by_container_prefix(record.container)
    writer.record(record.id)
    writer.shared("h", "k")
    lessor.peek(writer, LEASE, "another", "eth0")
    list(writer.resources("h", ["bridge-port"]))


def instructions(writer: Writer, work: Callable[[], object]) -> int:
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    writer._sql.set_progress_handler(step, 1)
    work()
    writer._sql.set_progress_handler(None, 1)
    return count


def cost(writer: Writer, container: str) -> tuple[int, int, int]:
    """Of an ADD, of looking, and of a DEL."""
    made: list[Record] = []
    return (
        instructions(writer, lambda: made.append(add(writer, container))),
        instructions(writer, lambda: look(writer, made[0])),
        instructions(writer, lambda: remove(writer, made[0])),
    )


@pytest.mark.parametrize("present", [FREE // 2, FREE - 2])
def test_the_cost_does_not_grow(tmp_path: Path, present: int) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        few = [add(writer, f"few{number}") for number in range(100)]
        # The first removal leaves a freed address, so that both see one.
        cost(writer, "warm")
        before = cost(writer, "one")
        many = [add(writer, f"many{number}") for number in range(present - len(few))]
        after = cost(writer, "two")
        assert len(writer.leases()) == len(few) + len(many)
    for small, large in zip(before, after, strict=True):
        assert large <= small * 1.2, (before, after)


def test_full_but_for_the_one_that_was_freed_first(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        records = [add(writer, "first")]
        empty = instructions(writer, lambda: records.append(add(writer, "second")))
        records += [add(writer, f"c{number}") for number in range(FREE - 2)]
        writer.forget(records[500])
        full = instructions(writer, lambda: add(writer, "last"))
        assert len(writer.leases()) == FREE
    assert full <= empty * 1.2


def many_ranges(writer: Writer, pool: str, count: int) -> Callable[[], object]:
    """An ADD of a network with so many range sets, of each of which it gets an address."""
    leases = [
        AddressLease(pool=pool, index=index, ranges=(block(index),)) for index in range(count)
    ]
    record = writer.begin(
        host="h", network=pool, container="c", interface="eth0",
        plugin="bridge", digest="d", request="{}",
    )  # fmt: skip
    holdings = lessor.Holdings(writer)
    return lambda: [lessor.take(writer, lease, record, holdings) for lease in leases]


def block(index: int) -> tuple[str, str, int, str]:
    net = f"10.{index >> 8}.{index & 255}"
    return f"{net}.1", f"{net}.254", 24, f"{net}.1"


def test_range_sets_cost_the_same_each(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        few = instructions(writer, many_ranges(writer, "few", 100))
        many = instructions(writer, many_ranges(writer, "many", 800))
    assert many <= few * 8 * 1.2
