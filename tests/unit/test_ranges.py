"""Ranges: defaults, refusals, and what holds of every range; `ipaddress` is the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pynet.model import ranges as ranges_module
from pynet.model.errors import ConfigError
from pynet.model.ranges import RangeText, parse_range, parse_range_sets
from pynet.model.resources import Range

MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses, written in IPv6


def parse_sets(sets: Sequence[Sequence[RangeText]]) -> tuple[tuple[Range, ...], ...]:
    return parse_range_sets(tuple(map(tuple, sets)))


@st.composite
def subnets(draw: st.DrawFn) -> IPv4Network | IPv6Network:
    bits = draw(st.sampled_from([32, 128]))
    length = draw(st.integers(0, bits - 2))
    number = draw(st.integers(0, 2**bits - 1)) >> (bits - length) << (bits - length)
    network = IPv4Network((number, length)) if bits == 32 else IPv6Network((number, length))
    assume(network.version == 4 or not network.overlaps(MAPPED))
    return network


@given(subnets())
def test_defaults(subnet: IPv4Network | IPv6Network) -> None:
    first, last, length, gateway = parse_range(RangeText(str(subnet)))
    assert ip_address(first) == subnet.network_address + 1
    assert ip_address(gateway) == subnet.network_address + 1
    assert ip_address(last) == subnet.broadcast_address - (subnet.version == 4)
    assert length == subnet.prefixlen


@given(subnets(), st.data())
def test_a_range_stays_within_its_subnet_and_off_its_ends(
    subnet: IPv4Network | IPv6Network, data: st.DataObject
) -> None:
    inside = st.integers(int(subnet.network_address), int(subnet.broadcast_address))
    build = type(subnet.network_address)
    start, end, gateway = (build(data.draw(inside)) for _ in range(3))
    text = RangeText(str(subnet), str(start), str(end), str(gateway))
    try:
        first, last, _, given_gateway = parse_range(text)
    except ConfigError:
        usable = range(
            max(int(start), int(subnet.network_address) + 1),
            min(int(end), int(subnet.broadcast_address) - (subnet.version == 4)) + 1,
        )
        assert start > end or len(usable) == 0 or list(usable[:2]) == [int(gateway)]
        return
    assert ip_address(given_gateway) == gateway
    assert start <= ip_address(first) <= ip_address(last) <= end  # type: ignore[operator]
    assert ip_address(first) != subnet.network_address
    assert subnet.version == 6 or ip_address(last) != subnet.broadcast_address


@given(subnets(), subnets())
def test_overlaps_are_refused_wherever_they_are(
    one: IPv4Network | IPv6Network, two: IPv4Network | IPv6Network
) -> None:
    overlap = one.version == two.version and one.overlaps(two)
    texts = RangeText(str(one), where="a"), RangeText(str(two), where="b")
    for sets in ([[texts[0]], [texts[1]]], [list(texts)]):
        try:
            parsed = parse_sets(sets)
        except ConfigError as error:
            assert ("overlap" in error.msg) is overlap
            assert overlap or (len(sets) == 1 and one.version != two.version)
        else:
            assert not overlap
            assert [len(ranges) for ranges in parsed] == [len(texts) for texts in sets]


@given(subnets(), st.ip_addresses())
def test_range_of_finds_what_is_within(subnet: IPv4Network | IPv6Network, ip: object) -> None:
    range = parse_range(RangeText(str(subnet)))
    address = ip_address(str(ip))
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    within = address.version == subnet.version and (
        int(ip_address(range[0])) <= int(address) <= int(ip_address(range[1]))
    )
    assert ranges_module.range_of([range], str(ip)) == (range if within else None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RangeText("10.0.0.1/24"), ["ipam.subnet", '"10.0.0.1/24"', "10.0.0.0/24"]),
        (RangeText("2001:db8::1/64"), ["host bits", "2001:db8::/64"]),
        (RangeText("10.0.0.0/31"), ["too small"]),
        (RangeText("10.0.0.0/32"), ["too small"]),
        (RangeText("2001:db8::/127"), ["too small"]),
        (RangeText("2001:db8::/128"), ["too small"]),
        (RangeText(""), ["ipam.subnet", "not a subnet"]),
        (RangeText("10.0.0.0"), ["not a subnet"]),
        (RangeText("10.0.0.0/33"), ['"33"', "0 to 32"]),
        (RangeText("10.0.0.0/-1"), ['"-1"']),
        (RangeText("10.0.0.0/\u0663"), ["0 to 32"]),
        (RangeText("010.0.0.0/8"), ["not an IP address"]),
        (RangeText("10.0.0.0\0/8"), ["not an IP address"]),
        (RangeText("example/24"), ["not an IP address"]),
        (RangeText("fe80::1%eth0/64"), ["not an IP address"]),
        (RangeText("::/64"), ["ipam.subnet", "::ffff:0:0/96"]),
        (RangeText("::ffff:10.0.0.0/120"), ['"120"', "0 to 32"]),
        (RangeText("10.0.0.0/24", start="10.0.1.1"), ["ipam.rangeStart", '"10.0.1.1"']),
        (RangeText("10.0.0.0/24", end="10.0.1.1"), ["ipam.rangeEnd", "10.0.0.0/24"]),
        (RangeText("10.0.0.0/24", gateway="::1"), ["ipam.gateway", '"::1"']),
        (RangeText("10.0.0.0/24", start="10.0.0.9", end="10.0.0.8"), ["rangeStart", "comes after"]),
        (RangeText("10.0.0.0/24", start="10.0.0.255"), ["rangeStart", "comes after"]),
        (RangeText("10.0.0.0/24", end="10.0.0.0"), ["comes after"]),
        (RangeText("10.0.0.0/24", end="10.0.0.1"), ["no address can be given out"]),
    ],
)
def test_each_refusal_names_key_and_value(text: RangeText, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_range(text)
    assert caught.value.code == 7
    for part in told:
        assert part in caught.value.msg


def test_sets_are_refused_by_the_path_of_their_key() -> None:
    v4, v6 = "10.0.0.0/24", "2001:db8::/64"
    first = RangeText(v4, where="ipam.ranges[0][0]")
    with pytest.raises(
        ConfigError, match=r"ipam\.ranges\[0\]\[1\]\.subnet.*another address family"
    ):
        parse_sets([[first, RangeText(v6, where="ipam.ranges[0][1]")]])
    with pytest.raises(ConfigError, match=r"ipam\.ranges\[1\]\[0\].*of ipam\.ranges\[0\]\[0\]"):
        parse_sets([[first], [RangeText("10.0.0.128/25", where="ipam.ranges[1][0]")]])
    with pytest.raises(ConfigError, match=r"ipam\.ranges\[1\] is empty"):
        parse_sets([[first], []])


def test_ranges_of_one_subnet_need_not_overlap() -> None:
    halves = [
        RangeText("10.0.0.0/24", end="10.0.0.127"),
        RangeText("10.0.0.0/24", start="10.0.0.128"),
    ]
    ((low, high),) = parse_sets([halves])
    assert low == ("10.0.0.1", "10.0.0.127", 24, "10.0.0.1")
    assert high == ("10.0.0.128", "10.0.0.254", 24, "10.0.0.1")
    assert (ranges_module.size(low), ranges_module.size(high)) == (127, 127)


def test_a_requested_address_is_placed_or_refused() -> None:
    ranges = parse_sets([[RangeText("10.0.0.0/24"), RangeText("10.0.1.0/24")]])[0]
    assert ranges_module.place_requested(ranges, "10.0.1.7", "x") == ranges[1]
    assert ranges_module.place_requested(ranges, "::ffff:10.0.0.7", "x") == ranges[0]
    for address, told in (
        ("10.0.2.1", "is not in 10.0.0.0/24, 10.0.1.0/24"),
        ("10.0.1.1", "the gateway's"),
        ("nonsense", "not an IP address"),
    ):
        with pytest.raises(ConfigError, match=f"runtimeConfig.ips.*{address}.*{told}"):
            ranges_module.place_requested(ranges, address, "runtimeConfig.ips[0]")


@pytest.mark.parametrize(
    ("subnet", "gateway"), [("2001:db8:5:333::/64", "fe80::1"), ("10.0.0.0/24", "10.0.1.1")]
)
def test_a_gateway_may_be_outside_of_the_subnet(subnet: str, gateway: str) -> None:
    (ranges,) = parse_range_sets(((RangeText(subnet, gateway=gateway),),))
    assert ranges[0][3] == gateway


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RangeText("10.1.0.0/24"), "10.1.0.0/24"),
        (RangeText("fd00:1::/64"), "fd00:1::/64"),
        (RangeText("10.1.0.0/24", "10.1.0.9", "10.1.0.20"), "10.1.0.9-10.1.0.20/24"),
    ],
)
def test_a_whole_subnet_is_called_by_its_name(text: RangeText, said: str) -> None:
    assert ranges_module.described_shortly(parse_range(text)) == said
