"""Who gets which address: order, refusals, and a model that every history is compared with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pynet.ipam import lessor
from pynet.model.errors import AddressInUse, AlreadyAttached, ConfigError, RangeFull
from pynet.model.resources import AddressLease, Leased, Range
from pynet.store.leases import HeldLease, pack, unpack
from pynet.store.records import Record
from pynet.store.store import Store, Writer

SMALL: Range = ("10.0.0.1", "10.0.0.6", 29, "10.0.0.1")  # five to give out


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()


def pool(*ranges: Range, requested: str = "", index: int = 0, name: str = "net") -> AddressLease:
    return AddressLease(pool=name, index=index, ranges=ranges or (SMALL,), requested=requested)


def begin(writer: Writer, container: str, interface: str = "eth0") -> Record:
    return writer.begin(
        host="h", network="net", container=container, interface=interface,
        plugin="bridge", digest="d", request="{}",
    )  # fmt: skip


def take(store: Store, container: str, lease: AddressLease | None = None) -> Record:
    with store.write() as writer:
        record = begin(writer, container)
        lessor.take(writer, lease or pool(), record)
        return record


def address(store: Store, record: Record) -> str:
    with store.read() as reader:
        (lease,) = [held for held in reader.leases() if held.record == record.id]
        return lease.address


def forget(store: Store, record: Record) -> None:
    with store.write() as writer:
        writer.forget(record)


def test_in_order_and_never_the_gateway(store: Store) -> None:
    with store.write() as writer:
        given = [lessor.take(writer, pool(), begin(writer, f"c{n}")) for n in range(5)]
    assert given == [Leased(f"10.0.0.{n}/29", "10.0.0.1", fresh=True) for n in range(2, 7)]


def test_a_full_range_names_pool_ranges_and_how_many_are_held(store: Store) -> None:
    for number in range(5):
        take(store, f"c{number}")
    with pytest.raises(RangeFull, match=r"pool net: 5 of 5 held in 10\.0\.0\.1-10\.0\.0\.6/29"):
        take(store, "one-too-many")
    with store.read() as reader, pytest.raises(RangeFull):
        lessor.peek(reader, pool(), "", "")


def test_never_used_first_then_in_the_order_of_release(store: Store) -> None:
    records = [take(store, f"c{n}") for n in range(4)]
    forget(store, records[2])
    forget(store, records[0])
    assert address(store, take(store, "d0")) == "10.0.0.6"
    assert address(store, take(store, "d1")) == "10.0.0.4"
    assert address(store, take(store, "d2")) == "10.0.0.2"


def test_ranges_of_a_set_one_after_another(store: Store) -> None:
    ranges: tuple[Range, ...] = (("10.0.0.2", "10.0.0.3", 24, ""), ("10.1.0.2", "10.1.0.3", 24, ""))
    records = [take(store, f"c{n}", pool(*ranges)) for n in range(4)]
    assert [address(store, record) for record in records] == [
        "10.0.0.2", "10.0.0.3", "10.1.0.2", "10.1.0.3",
    ]  # fmt: skip
    forget(store, records[3])
    forget(store, records[0])
    # The oldest of all ranges, not the first range's.
    assert address(store, take(store, "d", pool(*ranges))) == "10.1.0.3"


def test_a_requested_address(store: Store) -> None:
    first = take(store, "c1", pool(requested="10.0.0.3"))
    assert address(store, first) == "10.0.0.3"
    with pytest.raises(AddressInUse, match=r"10\.0\.0\.3.*container c1 \(eth0\), since") as caught:
        take(store, "c2", pool(requested="10.0.0.3"))
    assert caught.value.code == 104
    assert caught.value.msg.endswith("`pynet detach c1 net`")
    # The cursor passes it over, and once it is released it waits its turn.
    assert address(store, take(store, "d1")) == "10.0.0.2"
    forget(store, first)
    assert address(store, take(store, "d2")) == "10.0.0.4"
    assert address(store, take(store, "d3")) == "10.0.0.5"
    assert address(store, take(store, "d4")) == "10.0.0.6"
    assert address(store, take(store, "d5")) == "10.0.0.3"


@pytest.mark.parametrize("requested", ["10.0.0.1", "10.0.9.9", "::1"])
def test_a_requested_address_outside_is_the_configurations_fault(
    store: Store, requested: str
) -> None:
    with pytest.raises(ConfigError, match="requested"):
        take(store, "c1", pool(requested=requested))
    with store.read() as reader, pytest.raises(ConfigError):
        lessor.peek(reader, pool(requested=requested), "c1", "eth0")


def test_a_freed_address_may_be_requested(store: Store) -> None:
    forget(store, take(store, "c1"))
    again = take(store, "c2", pool(requested="10.0.0.2"))
    assert address(store, again) == "10.0.0.2"
    others = [address(store, take(store, f"d{n}")) for n in range(4)]
    assert others == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(RangeFull):  # it is not among the freed any more
        take(store, "more")


def test_the_same_record_gets_what_it_has(store: Store) -> None:
    with store.write() as writer:
        record = begin(writer, "c1")
        first, again = (lessor.take(writer, pool(), record) for _ in range(2))
        assert (first.address, first.fresh) == (again.address, True)
        assert not again.fresh
        assert len(writer.leases()) == 1
    with store.read() as reader:
        assert lessor.peek(reader, pool(), "c2", "eth0").address == "10.0.0.3/29"


def test_another_record_of_the_same_attachment_is_refused(store: Store) -> None:
    take(store, "c1")
    with pytest.raises(AlreadyAttached, match="duplicate allocation"):
        take(store, "c1")
    with store.read() as reader, pytest.raises(AlreadyAttached):
        lessor.peek(reader, pool(), "c1", "eth0")
    with store.write() as writer:  # another interface, another set, another pool: fine
        lessor.take(writer, pool(), begin(writer, "c1", "eth1"))
        v6: Range = ("2001:db8::2", "2001:db8::9", 64, "2001:db8::1")
        lessor.take(writer, pool(v6, index=1), begin(writer, "c1"))
        lessor.take(writer, pool(name="other"), begin(writer, "c1"))


def test_dual_stack(store: Store) -> None:
    v6: Range = ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", 64, "2001:db8::1")
    with store.write() as writer:
        record = begin(writer, "c1")
        assert lessor.take(writer, pool(), record).address == "10.0.0.2/29"
        assert lessor.take(writer, pool(v6, index=1), record) == Leased(
            "2001:db8::2/64", "2001:db8::1", fresh=True
        )
        writer.forget(record)
        assert writer.leases() == []


def test_the_end_of_all_addresses(store: Store) -> None:
    last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    top: Range = (last[:-1] + "e", last, 126, "")
    records = [take(store, f"c{n}", pool(top)) for n in range(2)]
    assert [address(store, record) for record in records] == [last[:-1] + "e", last]
    with pytest.raises(RangeFull):
        take(store, "c3", pool(top))
    forget(store, records[1])
    assert address(store, take(store, "c4", pool(top))) == last


def test_an_orphan_of_the_same_owner_is_taken_over(store: Store) -> None:
    with store.write() as writer:
        writer.hold(HeldLease("net", "10.0.0.5", None, "c1", "eth0", -1, 1.0, "/x/10.0.0.5"))
        writer.hold(HeldLease("net", "10.0.0.2", None, "c9", "eth0", -1, 1.0))
        assert lessor.peek(writer, pool(), "c1", "eth0").address == "10.0.0.5/29"
        record = begin(writer, "c1")
        assert lessor.take(writer, pool(), record).address == "10.0.0.5/29"
        assert lessor.take(writer, pool(), begin(writer, "c2")).address == "10.0.0.3/29"
        assert lessor.held(writer, pool(), record, Leased("10.0.0.5/29", "")) == []
        assert writer.forget(record) == ("/x/10.0.0.5",)
        assert writer.lease_at("net", "10.0.0.5") is None


def test_peek_takes_nothing_and_says_what_take_will_do(store: Store) -> None:
    forget(store, take(store, "c0"))
    for number in range(1, 6):
        with store.read() as reader:
            foreseen = lessor.peek(reader, pool(), f"c{number}", "eth0")
            assert foreseen == lessor.peek(reader, pool(), f"c{number}", "eth0")
        assert f"{address(store, take(store, f'c{number}'))}/29" == foreseen.address


def test_held_tells_what_drifted(store: Store) -> None:
    record = take(store, "c1")
    with store.write() as writer:
        answer = Leased("10.0.0.2/29", "10.0.0.1")
        assert lessor.held(writer, pool(), record, answer) == []
        other = begin(writer, "c2")
        (drift,) = lessor.held(writer, pool(), other, answer)
        assert drift.found == "container c1, interface eth0"
        assert drift.expected == "container c2, interface eth0"
        assert "10.0.0.2" in drift.subject
        (drift,) = lessor.held(writer, pool(), begin(writer, "c1"), answer)
        assert drift.found != drift.expected
        writer.forget(record)
        (drift,) = lessor.held(writer, pool(), record, answer)
        assert drift.found == "nobody"


def test_a_changed_range_loses_no_address(store: Store) -> None:
    """The configuration shrinks while addresses are held and freed under the old range."""
    half: Range = ("10.0.0.1", "10.0.0.3", 29, "10.0.0.1")
    first, second = take(store, "c1"), take(store, "c2")
    third = take(store, "c3")
    forget(store, third)
    with pytest.raises(RangeFull):
        take(store, "d", pool(half))
    forget(store, second)
    assert address(store, take(store, "d1", pool(half))) == "10.0.0.3"
    forget(store, first)
    assert address(store, take(store, "d2", pool(half))) == "10.0.0.2"


def test_what_one_range_had_back_is_not_new_to_another(store: Store) -> None:
    records = [take(store, f"c{n}") for n in range(3)]
    for number in (1, 0, 2):
        forget(store, records[number])
    wide: Range = ("10.0.0.1", "10.0.0.7", 28, "10.0.0.1")
    given = [address(store, take(store, f"d{n}", pool(wide))) for n in range(6)]
    assert given == [f"10.0.0.{n}" for n in (5, 6, 7, 3, 2, 4)]


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "2001:db8::1", "fe80::1:0"]
)
def test_addresses_survive_packing(text: str) -> None:
    assert unpack(pack(text)) == text
    assert len(pack(text)) == 16


class Histories(RuleBasedStateMachine):
    """Any sequence of takes and releases, compared with the rule written out naively."""

    gateway = 3
    span = range(1, 9)

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.home.name))
        self.held: dict[int, Record] = {}
        self.freed: list[int] = []
        self.cursor = 0
        self.count = 0

    def teardown(self) -> None:
        self.store.close()
        self.home.cleanup()

    def lease(self, requested: int = 0) -> AddressLease:
        def ip(number: int) -> str:
            return f"10.0.0.{number}"

        return pool(
            (ip(1), ip(4), 24, ip(self.gateway)),
            (ip(5), ip(8), 24, ip(self.gateway)),
            requested=ip(requested) if requested else "",
        )

    def expected(self) -> int | None:
        for number in self.span:
            used = number in self.held or number in self.freed
            if number > self.cursor and number != self.gateway and not used:
                return number
        return self.freed[0] if self.freed else None

    def take(self, lease: AddressLease) -> int:
        self.count += 1
        with self.store.write() as writer:
            record = begin(writer, f"c{self.count}")
            number = int(ip_address(lessor.take(writer, lease, record).address[:-3])) & 255
        if number in self.freed:
            self.freed.remove(number)
        elif not lease.requested:
            self.cursor = number
        self.held[number] = record
        return number

    @rule()
    def take_any(self) -> None:
        expected = self.expected()
        if expected is None:
            with pytest.raises(RangeFull):
                self.take(self.lease())
        else:
            assert self.take(self.lease()) == expected

    @rule(number=st.sampled_from(span))
    def take_one(self, number: int) -> None:
        if number == self.gateway:
            with pytest.raises(ConfigError):
                self.take(self.lease(number))
        elif number in self.held:
            with pytest.raises(AddressInUse):
                self.take(self.lease(number))
        else:
            assert self.take(self.lease(number)) == number

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        forget(self.store, self.held.pop(number))
        self.freed.append(number)

    @invariant()
    def the_store_agrees(self) -> None:
        with self.store.read() as reader:
            held = {int(lease.address.rsplit(".", 1)[1]) for lease in reader.leases()}
            assert held == set(self.held)
            expected = self.expected()
            if expected is not None:
                assert lessor.peek(reader, self.lease(), "", "").address == f"10.0.0.{expected}/24"


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=40)
