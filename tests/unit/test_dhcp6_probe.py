"""Which packets show that an IPv6 address is taken, and which routers are believed."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.dhcp import advertised
from pynet.dhcp.advertised import Advertised
from pynet.dhcp.probe6 import is_claim
from pynet.kernel import icmpv6

OWN, NEIGHBOUR = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
ADDRESS, ANOTHER = "2001:db8::5", "2001:db8::6"
SOLICITATION, ADVERTISEMENT = icmpv6.NEIGHBOUR_SOLICITATION, icmpv6.NEIGHBOUR_ADVERTISEMENT


def packed(address: str) -> bytes:
    return IPv6Address(address).packed


def packet(kind: int, source: str, target: str) -> bytes:
    message = bytes((kind,)) + bytes(7) + packed(target)
    return icmpv6.packet(packed(source), packed("ff02::1"), message)


@pytest.mark.parametrize(
    ("kind", "source", "target", "mac", "taken"),
    [
        (ADVERTISEMENT, ADDRESS, ADDRESS, NEIGHBOUR, True),
        (ADVERTISEMENT, ANOTHER, ADDRESS, NEIGHBOUR, True),  # who has several
        (ADVERTISEMENT, ADDRESS, ADDRESS, OWN, True),  # on ipvlan all have one MAC
        (ADVERTISEMENT, ANOTHER, ANOTHER, NEIGHBOUR, False),
        (SOLICITATION, "::", ADDRESS, NEIGHBOUR, True),  # who is about to take it
        (SOLICITATION, "::", ADDRESS, OWN, False),  # our own, come back
        (SOLICITATION, "::", ANOTHER, NEIGHBOUR, False),
        (SOLICITATION, ADDRESS, ANOTHER, NEIGHBOUR, True),  # who has it asks for another
        (SOLICITATION, ANOTHER, ADDRESS, NEIGHBOUR, False),  # who wants to talk to it
    ],
)
def test_what_shows_that_it_is_taken(
    kind: int, source: str, target: str, mac: bytes, taken: bool
) -> None:
    whole = packet(kind, source, target)
    assert is_claim(whole, mac, packed(ADDRESS), OWN) is taken
    assert not is_claim(whole[:-1], mac, packed(ADDRESS), OWN)
    through_a_router = whole[:7] + b"\x40" + whole[8:]
    assert not is_claim(through_a_router, mac, packed(ADDRESS), OWN)


@given(st.binary(max_size=80), st.integers(0, 255))
def test_bytes_of_any_sort_are_no_router(message: bytes, hops: int) -> None:
    found = advertised.read(message, hops, "fe80::1%eth0")
    assert found is None or (message[0], hops) == (134, 255)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (0x80, Advertised(True, False)),
        (0x40, Advertised(False, True)),
        (0xC0, Advertised(True, True)),
        (0x3F, Advertised(False, False)),
    ],
)
def test_what_a_router_says(flags: int, said: Advertised) -> None:
    message = bytes((134, 0, 0, 0, 64, flags)) + bytes(10)
    assert advertised.read(message, 255, "fe80::1%eth0") == said
    assert advertised.read(message, 254, "fe80::1%eth0") is None
    assert advertised.read(message, 255, "2001:db8::1") is None
    assert advertised.read(message[:-1], 255, "fe80::1") is None
    assert advertised.read(b"\x86\1" + message[2:], 255, "fe80::1") is None
