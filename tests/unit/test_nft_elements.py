"""Elements as bytes, held against the layout in linux/netfilter/nf_tables.h."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.kernel.netlink import nf_tables, packed
from pynet.kernel.nft import encoder
from pynet.kernel.nft.layout import NftSet, set_named
from pynet.model.errors import KernelError

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15)
MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
PORTS = NftSet(
    "ports", "inet", ("inet_proto", "inet_service"), "test", ("ipv4_addr", "inet_service")
)


@given(st.ip_addresses())
def test_addresses_are_packed_in_network_order(address: IPv4Address | IPv6Address) -> None:
    packed = encoder.pack_fields((f"ipv{address.version}_addr",), (str(address),))
    assert ip_address(packed) == address


@given(NAMES, MACS)
def test_each_field_of_a_concatenation_starts_at_a_multiple_of_four(name: str, mac: str) -> None:
    packed = encoder.pack_fields(("ifname", "ether_addr"), (name, mac))
    assert len(packed) == 24
    assert packed[:16].rstrip(b"\0").decode() == name
    assert packed[16:22].hex(":") == mac
    assert packed[22:] == b"\0\0"


def test_a_single_field_is_not_padded() -> None:
    assert encoder.pack_fields(("ether_addr",), ("02:00:00:00:00:01",)) == b"\2\0\0\0\0\1"
    assert encoder.pack_fields(("inet_service",), ("80",)) == b"\0P"


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("masquerade4", ("10.0.0.256",)),
        ("masquerade4", ("fd00::1",)),
        ("masquerade4", ()),
        ("masquerade4", ("10.0.0.1", "10.0.0.1")),
        ("masquerade4", ("65536", "10.0.0.1")),
        ("masquerade4", ("0", "0", "10.0.0.1")),
        ("masquerade6", ("10.0.0.1",)),
        ("guarded", ("",)),
        ("guarded", ("sixteen-bytes-xx",)),
        ("allowed", ("veth1", "02:00:00:00:00")),
        ("allowed", ("veth1", "020000000001")),
        ("allowed", ("veth1", "02:00:00:00:00:zz")),
        ("network4_16", ("10.0.0.0",)),
    ],
)
def test_what_is_not_of_its_type_is_refused_by_name(name: str, item: tuple[str, ...]) -> None:
    with pytest.raises(KernelError, match=rf"pynet {name} \{{.*is no element of type"):
        encoder.entry(set_named(name), item)


@pytest.mark.parametrize("value", ["", "10.0.0.1", "10.0.0.1 . 65536", "10.0.0.1 . 80 . 81"])
def test_a_maps_value_has_all_its_fields(value: str) -> None:
    with pytest.raises(KernelError, match=r": ipv4_addr \. inet_service"):
        encoder.entry(PORTS, ("tcp", "8080"), value)


def test_a_set_has_no_values() -> None:
    with pytest.raises(KernelError, match="0 fields are needed"):
        encoder.entry(set_named("masquerade4"), ("10.0.0.1",), "10.0.0.2")


@pytest.mark.parametrize("item", [("10.0.0.1",), ("0", "10.0.0.1")])
def test_a_zone_that_is_left_out_is_0(item: tuple[str, ...]) -> None:
    assert encoder.entry(set_named("masquerade4"), item).key == bytes(4) + b"\n\0\0\1"


def test_a_zone_comes_before_its_address() -> None:
    key = encoder.entry(set_named("masquerade4"), ("5", "10.0.0.1")).key
    assert key == struct.pack("=HH", 5, 0) + b"\n\0\0\1"


def test_an_element_to_the_byte() -> None:
    change = encoder.put(encoder.entry(set_named("closed4"), ("10.0.0.1",)))
    assert nf_tables.message(change, 7) == (
        struct.pack("=IHHII", 64, 10 << 8 | 12, 0x401, 7, 0)
        + b"\1\0\0\0"  # inet, version 0, resource 0
        + struct.pack("=HH", 10, 1) + b"pynet\0\0\0"
        + struct.pack("=HH", 12, 2) + b"closed4\0"
        + struct.pack("=HH", 20, 0x8000 | 3)
        + struct.pack("=HH", 16, 0x8000 | 1)
        + struct.pack("=HH", 12, 0x8000 | 1)
        + struct.pack("=HH", 8, 1) + b"\n\0\0\1"
    )  # fmt: skip


@given(st.ip_addresses(v=4), st.integers(0, 65535))
def test_a_value_comes_back_out_of_its_message(address: IPv4Address, port: int) -> None:
    element = encoder.entry(PORTS, ("udp", "53"), f"{address} . {port}")
    found = encoder.data_in(encoder.put(element).body)
    assert found == address.packed + port.to_bytes(2, "big") + b"\0\0"


def test_a_removal_names_no_value() -> None:
    element = encoder.entry(PORTS, ("udp", "53"), "10.0.0.1 . 53")
    assert encoder.data_in(encoder.remove(element).body) == b""


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=20), st.integers(1, 1 << 20))
def test_a_batch_is_numbered_through_and_acknowledged_once(
    addresses: list[IPv4Address], first: int
) -> None:
    described = set_named("masquerade4")
    changes = [encoder.put(encoder.entry(described, (str(one),))) for one in addresses]
    sent = list(packed.messages(nf_tables.batch(changes, first)))
    assert [one.sequence for one in sent] == list(range(first, first + len(changes) + 2))
    acknowledged = [one.sequence for one in sent if one.flags & packed.NLM_F_ACK]
    assert acknowledged == [first + len(changes)]
    assert (sent[0].type, sent[-1].type) == (0x10, 0x11)
    assert sent[0].body == sent[-1].body == b"\0\0\0\x0a"


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40)), max_size=10))
def test_attributes_come_back_as_they_went(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(packed.attribute(*pair) for pair in pairs)
    assert len(data) % 4 == 0
    assert list(packed.attributes(data)) == pairs


@given(st.binary(max_size=64))
def test_torn_bytes_end_the_reading(data: bytes) -> None:
    assert sum(4 + len(value) for _, value in packed.attributes(data)) <= len(data) + 3
    assert sum(16 + len(one.body) for one in packed.messages(data)) <= len(data) + 3
