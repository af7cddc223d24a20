"""rtnetlink on the wire: what is packed can be unpacked, and is what the headers say."""

from __future__ import annotations

import errno
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.kernel.netlink import addresses, links, packed, pairs, ports, routes, rtnl

ADDRESSES = st.ip_addresses()
NETWORKS = st.one_of(
    st.builds(
        lambda raw, length: ipaddress.ip_network((raw, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda raw, length: ipaddress.ip_network((raw, length), strict=False),
        st.integers(2**64, 2**128 - 1),
        st.integers(0, 128),
    ),
)
MACS = st.binary(min_size=6, max_size=6)


def answer(errno_: int, explanation: str = "", capped: bool = True, type_: int = 2) -> bytes:
    """An acknowledgement as the kernel packs it."""
    flags = 0
    body = struct.pack("=i", -errno_)
    if type_ == packed.NLMSG_ERROR:
        request = packed.message(16, 0, 7, b"request!" * 3)
        body += request[:16] if capped else request
        flags |= rtnl.NLM_F_CAPPED if capped else 0
    if explanation:
        flags |= rtnl.NLM_F_ACK_TLVS
        body += packed.string(1, explanation)
    return packed.message(type_, flags, 7, body)


@pytest.mark.parametrize("capped", [True, False])
@pytest.mark.parametrize("explanation", ["", "x", "mtu less than device minimum"])
def test_an_acknowledgement_tells_errno_and_explanation(capped: bool, explanation: str) -> None:
    (reply,) = packed.messages(answer(errno.EINVAL, explanation, capped))
    assert (rtnl.status(reply), rtnl.explanation(reply)) == (errno.EINVAL, explanation)


def test_the_end_of_a_dump_tells_them_too() -> None:
    data = answer(errno.ENOENT, "FIB table does not exist", type_=packed.NLMSG_DONE)
    (reply,) = packed.messages(data)
    assert (rtnl.status(reply), rtnl.explanation(reply)) == (
        errno.ENOENT,
        "FIB table does not exist",
    )
    (good,) = packed.messages(packed.message(packed.NLMSG_DONE, 0, 1, b""))
    assert (rtnl.status(good), rtnl.explanation(good)) == (0, "")


@given(MACS)
def test_a_mac_is_the_same_text_again(raw: bytes) -> None:
    assert rtnl.mac_bytes(rtnl.mac_text(raw)) == raw


@given(ADDRESSES)
def test_an_address_is_the_same_again(address: ipaddress.IPv4Address) -> None:
    raw = rtnl.address_bytes(str(address))
    assert raw == address.packed
    assert rtnl.address_bytes(rtnl.address_text(raw)) == raw
    assert rtnl.split_prefix(str(address)) == (raw, address.max_prefixlen)


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "10.0.0.256", "::g", "1.2.3.4.5", "10.0.0.1 "])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        rtnl.address_bytes(text)


@given(ADDRESSES, st.data())
def test_an_address_of_a_link_comes_back_as_it_was_given(
    address: ipaddress.IPv4Address, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, address.max_prefixlen))
    text = f"{address}/{length}"
    body = addresses.added(7, "eth0", text).body
    found = addresses.parse(body)
    assert (found.link, found.address) == (7, addresses.canonical(text))
    attributes = dict(packed.attributes(body[8:]))
    if address.version == 4 and length < 31:
        network = ipaddress.ip_network(text, strict=False)
        assert attributes[4] == network.broadcast_address.packed
    else:
        assert 4 not in attributes


@pytest.mark.parametrize(
    ("text", "link_local"),
    [("fe80::1/64", True), ("febf::1/64", True), ("fec0::1/64", False), ("fe8::1/64", False),
     ("169.254.0.1/16", False), ("2001:db8::1/64", False)],
)  # fmt: skip
def test_link_local_is_told_from_global(text: str, link_local: bool) -> None:
    found = addresses.parse(addresses.added(7, "eth0", text).body)
    assert found.link_local is link_local


@given(
    dst=NETWORKS,
    via=st.booleans(),
    priority=st.integers(0, 2**32 - 1),
    table=st.integers(1, 2**32 - 1),
    scope=st.sampled_from((None, 0, 253)),
    mtu=st.integers(0, 65535),
    advmss=st.integers(0, 65535),
)
def test_a_route_satisfies_itself_and_not_a_different_one(
    dst: ipaddress.IPv4Network,
    via: bool,
    priority: int,
    table: int,
    scope: int | None,
    mtu: int,
    advmss: int,
) -> None:
    gateway = ("192.0.2.1" if dst.version == 4 else "2001:db8::1") if via else ""
    wanted = routes.route(
        7,
        str(dst),
        gateway,
        priority=priority,
        table=table,
        scope=scope,
        mtu=mtu,
        advmss=advmss,
    )
    operation = routes.prepended(wanted, "")
    (found,) = routes.parse(operation.body)
    assert wanted.satisfied_by(found)
    for change in ({"link": 8}, {"gateway": b"else"}, {"table": table + 1}, {"length": 129}):
        assert not wanted.satisfied_by(found._replace(**change))
    if mtu:
        assert not wanted.satisfied_by(found._replace(mtu=mtu + 1))
    if priority:
        assert not wanted.satisfied_by(found._replace(priority=priority - 1))


def test_each_next_hop_is_a_route() -> None:
    hops = b"".join(
        struct.pack("=HBBi", 16, 0, 0, index)
        + packed.attribute(5, rtnl.address_bytes(f"10.0.0.{index}"))
        for index in (3, 4)
    )
    header = struct.pack("=BBBBBBBBI", 2, 16, 0, 0, 254, 3, 0, 1, 0)
    body = header + packed.attribute(1, bytes((10, 7, 0, 0))) + packed.attribute(9, hops)
    found = list(routes.parse(body))
    assert [(each.link, each.gateway[-1]) for each in found] == [(3, 3), (4, 4)]
    unreachable = struct.pack("=BBBBBBBBI", 2, 16, 0, 0, 254, 3, 0, 7, 0)
    assert list(routes.parse(unreachable)) == []


# --- bridge ports ---------------------------------------------------------------------------


def vlan_entries(operation: rtnl.Operation) -> list[tuple[int, int]]:
    """(flags, VLAN) of each bridge_vlan_info in a message of family AF_BRIDGE (7)."""
    family, _, index, _, _ = struct.unpack_from("=BxHiII", operation.body)
    assert (family, index) == (7, 9)
    (spec,) = packed.attributes(operation.body[16:])
    assert spec[0] == 26  # IFLA_AF_SPEC
    found = list(packed.attributes(spec[1]))
    assert {kind for kind, _ in found} == {2}  # IFLA_BRIDGE_VLAN_INFO
    return [struct.unpack("=HH", payload) for _, payload in found]


def test_vlans_are_packed_as_the_bridge_header_says() -> None:
    operation = ports.vlans_added(9, "veth1", 20, ((30, 32), (40, 40)))
    assert operation.type == rtnl.RTM_SETLINK
    pvid, untagged, begin, end = 2, 4, 8, 16
    assert vlan_entries(operation) == [(begin, 30), (end, 32), (0, 40), (pvid | untagged, 20)]
    removal = ports.vlan_removed(9, "veth1", 1)
    assert removal.type == rtnl.RTM_DELLINK
    assert vlan_entries(removal) == [(0, 1)]


def vlan_message(*entries: tuple[int, int, int]) -> bytes:
    """The body of an RTM_NEWVLAN message with (flags, first, last) entries."""
    parts = []
    for flags, first, last in entries:
        info = packed.attribute(1, struct.pack("=HH", flags, first))
        limit = packed.attribute(2, struct.pack("=H", last)) if last else b""
        parts.append(packed.nested(1, info, limit))
    return struct.pack("=BBHI", 7, 0, 0, 9) + b"".join(parts)


def test_vlans_of_a_port_are_unpacked_ranges_too() -> None:
    found = ports.parse_vlans(
        [vlan_message((6, 20, 0), (0, 30, 32)), vlan_message((4, 50, 0), (0, 40, 0))]
    )
    assert found == ports.Vlans(20, True, frozenset({30, 31, 32, 40}), frozenset({50}))
    assert ports.parse_vlans([]) == ports.Vlans(0, False, frozenset(), frozenset())


def test_port_flags_are_given_as_a_bridges_slave_data() -> None:
    operation = ports.flags("veth1", hairpin=True, isolated=False)
    found = dict(packed.attributes(operation.body[16:]))
    info = dict(packed.attributes(found[18]))  # IFLA_LINKINFO
    assert rtnl.text(info[4]) == "bridge"  # IFLA_INFO_SLAVE_KIND
    assert dict(packed.attributes(info[5])) == {4: b"\1", 33: b"\0"}


# --- links ------------------------------------------------------------------------------------


@given(name=st.text("abcdef.-_0123", min_size=1, max_size=15), mac=MACS)
def test_a_pair_is_one_message_with_both_ends(name: str, mac: bytes) -> None:
    text = rtnl.mac_text(mac)
    operation = pairs.pair(
        "veth", name, text, "eth0", text, index=7, peer_index=8, mtu=1400, peer_namespace=5
    )
    outer = dict(packed.attributes(operation.body[16:]))
    data = dict(packed.attributes(dict(packed.attributes(outer[18]))[2]))
    peer = dict(packed.attributes(data[1][16:]))  # VETH_INFO_PEER, after its ifinfomsg
    assert links.is_about(operation.body, 7) and links.is_about(data[1], 8)
    assert rtnl.text(outer[3]) == name
    assert rtnl.text(peer[3]) == "eth0"
    assert outer[1] == peer[1] == mac
    assert rtnl.number(outer[4]) == rtnl.number(peer[4]) == 1400
    assert 28 not in outer
    assert rtnl.number(peer[28]) == 5


def test_a_port_that_leaves_is_not_a_link_that_ends() -> None:
    assert links.is_about(links.header(7), 7)
    assert not links.is_about(links.header(8), 7)
    assert not links.is_about(links.header(7, family=7), 7)
