"""DHCPv6 options and messages: packed and read again; bytes of any sort end in one error."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv6Address

import pytest
from dhcp6_peer import ADDRESS, DUID, IAID, SERVER, offered, within
from hypothesis import given
from hypothesis import strategies as st

from pynet.dhcp import lease6, message6, options6
from pynet.dhcp.client import FOREVER, Lease, Malformed
from pynet.dhcp.message6 import Kind, Message
from pynet.dhcp.options6 import Address, Association, Code

SHORT, LONG = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
DATA = st.binary(max_size=300)
OPTIONS = st.lists(st.tuples(SHORT, DATA), max_size=8).map(tuple)
ADDRESSES = st.integers(0, 2**128 - 1).map(lambda number: options6._text(number.to_bytes(16)))
MESSAGES = st.builds(
    Message, kind=st.sampled_from(list(Kind)), transaction=st.integers(0, 2**24 - 1),
    options=OPTIONS,
)  # fmt: skip
LABELS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)


def wire(*names: str) -> bytes:
    written = b""
    for name in names:
        for label in name.split("."):
            written += bytes((len(label),)) + label.encode()
        written += b"\0"
    return written


def lease(*options: tuple[int, bytes]) -> Lease:
    in_hex = tuple((code, data.hex()) for code, data in options)
    return Lease(f"{ADDRESS}/128", SERVER.hex(), 0.0, 1.0, 2.0, 3.0, in_hex)


@given(OPTIONS)
def test_options_come_back_in_their_order(options: tuple[tuple[int, bytes], ...]) -> None:
    assert options6.unpack(options6.pack(options)) == options


@given(MESSAGES)
def test_messages_come_back(message: Message) -> None:
    assert message6.unpack(message6.pack(message)) == message


@given(LONG, LONG, LONG, st.lists(st.builds(Address, ADDRESSES, LONG, LONG), max_size=4))
def test_associations_come_back(
    iaid: int, renew: int, rebind: int, addresses: list[Address]
) -> None:
    association = Association(iaid, renew, rebind, tuple(addresses))
    assert options6.association(options6.pack_association(association)) == association


@given(st.lists(NAMES, max_size=4))
def test_names_come_back(names: list[str]) -> None:
    assert options6.domains(wire(*names)) == tuple(names)


@given(st.binary(max_size=400))
def test_bytes_of_any_sort_are_read_or_malformed(data: bytes) -> None:
    for read in (
        options6.unpack, options6.association, options6.addresses, options6.domains,
        message6.unpack, message6.answer,
    ):  # fmt: skip
        with suppress(Malformed):
            read(data)


@given(st.data())
def test_an_answer_with_any_byte_changed_is_read_or_malformed(data: st.DataObject) -> None:
    whole = bytearray(
        message6.pack(
            Message(Kind.REPLY, 5, (
                (options6.CLIENT_ID, DUID), (options6.SERVER_ID, SERVER), within(offered()),
                (options6.STATUS_CODE, b"\0\0fine"), (options6.SOL_MAX_RT, bytes(4)),
                (options6.DNS_SERVERS, bytes(16)), (options6.DOMAIN_LIST, wire("a.example")),
            ))
        )
    )  # fmt: skip
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Malformed):
        answer = message6.answer(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
        for each in answer.associations:
            address = lease6.usable(each, ADDRESS)
            if address is not None:
                renew, rebind = lease6.times(each, address)
                assert 0 < renew <= rebind <= FOREVER
                assert renew < address.valid or address.valid == FOREVER
        options6.decoded(lease(*answer.rest))


@pytest.mark.parametrize(
    "data",
    [
        b"\5abc",
        b"\4host",  # no end
        b"\xc0\0",  # compressed
        b"\4ho\nt\0",
        b"\4ho t\0",
        b"\x40" + b"a" * 64 + b"\0",
        (b"\x3f" + b"a" * 63) * 4 + b"\0",
    ],
)
def test_what_is_no_list_of_names(data: bytes) -> None:
    with pytest.raises(Malformed):
        options6.domains(data)
    assert options6.decoded(lease((options6.DOMAIN_LIST, data))).search == ()


def test_the_root_is_nothing_to_search_in() -> None:
    assert options6.domains(b"\0" + wire("a.example") + b"\0") == ("a.example",)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (((options6.CLIENT_ID, DUID),), "server"),
        (((options6.SERVER_ID, SERVER),), "client"),
        (((options6.SERVER_ID, b"\0\1"), (options6.CLIENT_ID, DUID)), "too short"),
        (((options6.SERVER_ID, bytes(131)), (options6.CLIENT_ID, DUID)), "too long"),
    ],
)
def test_who_says_it_and_to_whom_is_said(
    options: tuple[tuple[int, bytes], ...], missing: str
) -> None:
    with pytest.raises(Malformed):
        message6.answer(message6.pack(Message(Kind.REPLY, 5, options)))


def test_only_servers_answer() -> None:
    both = (options6.CLIENT_ID, DUID), (options6.SERVER_ID, SERVER)
    for kind in (*Kind, 12, 13):
        payload = message6.pack(Message(kind, 5, both))
        if kind in (Kind.ADVERTISE, Kind.REPLY):
            assert message6.answer(payload).server == SERVER
        else:
            with pytest.raises(Malformed):
                message6.answer(payload)


def test_a_status_is_fit_to_be_shown() -> None:
    status = options6.status([(options6.STATUS_CODE, b"\0\2no\x1b[31m\n\xff")])
    assert status == options6.Status(Code.NO_ADDRS_AVAIL, "no?[31m?\N{REPLACEMENT CHARACTER}")


def test_what_a_client_says_of_itself() -> None:
    assert options6.user_class(b"a", b"bc") == (15, b"\0\1a\0\2bc")
    assert options6.fqdn("web.example.") == (39, b"\1\3web\7example\0")
    assert options6.fqdn("web") == (39, b"\1\3web")
    assert options6.asked([23, 24, 23]) == (6, b"\0\x17\0\x18")
    assert options6.elapsed(1.239) == (8, b"\0\x7b")
    assert options6.elapsed(86400.0) == (8, b"\xff\xff")
    for name in ("", "a..b", "a b", "ä", "a" * 64, ".".join(["a" * 60] * 5)):
        with pytest.raises(Malformed):
            options6.fqdn(name)


def test_what_is_told_to_servers_of_either_family() -> None:
    assert options6.told_as(12, b"web") == options6.fqdn("web")
    assert options6.told_as(77, b"blue") == options6.user_class(b"blue")
    assert options6.told_as(60, b"vendor") is None
    for name in (b"", b"a b", b"\xff"):
        with pytest.raises(Malformed):
            options6.told_as(12, name)


def test_who_an_attachment_is_does_not_change() -> None:
    assert options6.duid("c1", "web", "eth0").hex() == DUID.hex()
    assert DUID[:2] == b"\0\4"  # DUID-UUID
    assert len(DUID) == 18
    assert DUID[8] >> 4 == 5  # RFC 9562: made of a name
    others = [("c2", "web", "eth0"), ("c1", "db", "eth0"), ("c1", "web", "eth1")]
    assert len({DUID, *(options6.duid(*each) for each in others)}) == 4
    assert len({IAID, *(options6.iaid(*each) for each in others)}) == 4
    # What an earlier version has told servers.
    assert DUID.hex() == "0004a138a5d6754650da966b77292e482d12"
    assert IAID == 3238454016


def test_what_a_lease_says() -> None:
    given = lease(
        within(Association(7, 0, 0, (Address("2001:db8::9", 1, 2),))), within(offered()),
        (options6.DNS_SERVERS, IPv6Address("2001:db8::53").packed + bytes(15) + b"\1"),
        (options6.DOMAIN_LIST, wire("a.example", "b")),
    )  # fmt: skip
    said = options6.decoded(given)
    assert (said.nameservers, said.search) == (("2001:db8::53", "::1"), ("a.example", "b"))
    assert options6.preferred(given) == 1800
    assert options6.preferred(lease((options6.IA_NA, b"x"))) == 0
    assert options6.decoded(lease((options6.DNS_SERVERS, b"x"))).nameservers == ()


@pytest.mark.parametrize(
    ("told", "lifetimes", "then"),
    [
        ((100, 200), (300, 400), (100, 200)),
        ((0, 0), (300, 400), (150, 240)),
        ((0, 0), (0, 400), (200, 320)),
        ((0, 200), (300, 400), (150, 200)),
        ((0, 100), (300, 400), (100, 100)),
        ((100, 0), (300, 400), (100, 240)),
        ((FOREVER, FOREVER), (300, 400), (150, 240)),
        ((400, 500), (300, 400), (150, 240)),
        ((0, 0), (FOREVER, FOREVER), (FOREVER, FOREVER)),
        ((0, 0), (300, FOREVER), (150, 240)),
        ((100, 200), (FOREVER, FOREVER), (100, 200)),
        ((FOREVER, FOREVER), (FOREVER, FOREVER), (FOREVER, FOREVER)),
        ((0, 0), (1, 1), (0.5, 0.8)),
    ],
)
def test_when_to_renew(
    told: tuple[int, int], lifetimes: tuple[int, int], then: tuple[float, float]
) -> None:
    address = Address(ADDRESS, *lifetimes)
    assert lease6.times(Association(IAID, *told, (address,)), address) == then


@pytest.mark.parametrize(
    "given",
    [
        Association(IAID, 0, 0, ()),
        Association(IAID, 200, 100, (Address(ADDRESS, 1, 2),)),
        Association(IAID, 0, 0, (Address(ADDRESS, 1, 2),), options6.Status(Code.NO_ADDRS_AVAIL)),
        Association(IAID, 0, 0, (Address(ADDRESS, 1, 2, options6.Status(Code.NO_BINDING)),)),
        *(
            Association(IAID, 0, 0, (Address(address, preferred, valid),))
            for address, preferred, valid in (
                (ADDRESS, 0, 0), (ADDRESS, 3, 2), ("::", 1, 2), ("::1", 1, 2), ("ff02::1", 1, 2),
                ("fe80::1", 1, 2), ("::ffff:10.0.0.1", 1, 2),
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_address_to_take(given: Association) -> None:
    assert lease6.usable(given, ADDRESS) is None
    assert lease6.usable(None, ADDRESS) is None


def test_of_several_addresses_the_wanted_one_is_taken() -> None:
    both = Association(IAID, 0, 0, (Address("2001:db8::1", 1, 2), Address(ADDRESS, 1, 2)))
    for wanted, taken in ((ADDRESS, ADDRESS), ("", "2001:db8::1"), ("2001:db8::7", "2001:db8::1")):
        address = lease6.usable(both, wanted)
        assert address is not None and address.address == taken
