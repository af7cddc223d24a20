"""DHCPv4 options and messages: what is built is what is parsed, and no bytes are a surprise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pyroute2.dhcp.dhcp4msg import dhcp4msg

from pynet.dhcp import offers4, options4
from pynet.dhcp.client import Lease, Malformed, Said
from pynet.dhcp.message4 import ACK, DISCOVER, INFORM, OFFER, Message, build, parse

MAC = "02:00:00:00:00:01"
ADDRESSES = st.ip_addresses(v=4).map(str).filter(lambda text: text != "0.0.0.0")
NUMBERS = st.integers(1, 254).filter(lambda number: number not in (52, 53))
MESSAGES = st.builds(
    Message,
    kind=st.integers(DISCOVER, INFORM),
    xid=st.integers(0, 2**32 - 1),
    mac=st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")),
    secs=st.integers(0, 2**16 - 1),
    broadcast=st.booleans(),
    ciaddr=st.just("") | ADDRESSES,
    yiaddr=st.just("") | ADDRESSES,
    options=st.dictionaries(NUMBERS, st.binary(max_size=600), max_size=8).map(
        lambda found: tuple(found.items())
    ),
)
DECODERS = (
    options4.addresses,
    options4.prefix_length,
    options4.static_routes,
    options4.classless_routes,
    options4.name,
    options4.names,
)


@given(MESSAGES)
def test_what_is_built_is_what_is_parsed(message: Message) -> None:
    payload = build(message)
    assert len(payload) >= 300
    assert parse(payload) == message


@given(st.binary(max_size=700), MESSAGES, st.integers(0, 1000), st.integers(0, 255))
def test_no_bytes_raise_anything_else(noise: bytes, message: Message, at: int, value: int) -> None:
    damaged = bytearray(build(message))
    damaged[at % len(damaged)] = value
    for payload in (noise, bytes(damaged), build(message)[:at], build(message)[:236] + noise):
        try:
            parse(payload)
        except Malformed:
            continue


@given(st.binary(max_size=400))
def test_no_data_raises_anything_else(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(data)
        except Malformed:
            continue
    options4.text(data)


@given(st.dictionaries(st.sampled_from([3, 6, 12, 15, 26, 33, 119, 121]), st.binary(max_size=40)))
def test_what_a_lease_says_is_told_or_malformed(data: dict[int, bytes]) -> None:
    options = tuple((number, value.hex()) for number, value in data.items())
    try:
        said = options4.decoded(lease(*options))
    except Malformed:
        assert data.keys() & {3, 33, 121}
    else:
        assert isinstance(said, Said)


def lease(*options: tuple[int, str]) -> Lease:
    return Lease(
        address="10.0.0.5/24",
        server="10.0.0.1",
        since=0,
        renew_after=1,
        rebind_after=2,
        lifetime=3,
        options=options,
    )


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"\x02\x01\x06" + bytes(100), "no DHCP message"),
        (bytes((2, 6, 6)) + bytes(300), "hardware"),
        (bytes((2, 1, 5)) + bytes(300), "hardware"),
        (bytes((2, 1, 6)) + bytes(300), "BOOTP"),
    ],
)
def test_what_is_no_message_for_ethernet(payload: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse(payload)


def test_a_type_goes_one_way_only() -> None:
    payload = bytearray(build(Message(kind=ACK, xid=1, mac=MAC)))
    payload[0] = 1
    with pytest.raises(Malformed, match="does not go this way"):
        parse(bytes(payload))


@pytest.mark.parametrize("kind", [b"", b"\x00", b"\x09", b"\x02\x02"])
def test_a_message_has_one_type(kind: bytes) -> None:
    payload = build(Message(kind=ACK, xid=1, mac=MAC))[:240] + options4.encoded([(53, kind)])
    with pytest.raises(Malformed, match="no such message type"):
        parse(payload)


def test_long_options_are_split_and_joined() -> None:
    data = bytes(range(256)) * 2
    area = options4.encoded([(121, data)])
    assert area[:2] == bytes((121, 255))
    assert options4.split(area) == {121: data}


def test_options_go_on_in_file_and_sname() -> None:
    area = options4.encoded([(52, b"\x03"), (15, b"exam")])
    file = options4.encoded([(15, b"ple."), (12, b"a")])
    sname = options4.encoded([(15, b"org")])
    assert options4.split(area, file, sname) == {15: b"example.org", 12: b"a"}
    unsaid = options4.encoded([(15, b"exam")])
    assert options4.split(unsaid, file, sname) == {15: b"exam"}


@pytest.mark.parametrize("area", [b"\x0c", b"\x0c\x05abcd", b"\x34\x01\x04\xff", b"\x34\x00\xff"])
def test_options_that_do_not_fit(area: bytes) -> None:
    with pytest.raises(Malformed):
        options4.split(area)


def test_classless_routes_win_over_routers_and_static_routes() -> None:
    """RFC 3442."""
    routes = "000a000001" + "080a" + "00000000" + "1ec0a8ffff" + "0a000002"
    found = options4.decoded(lease((3, "0a0000fe"), (33, "c0a801000a000003"), (121, routes)))
    assert found.gateway == "10.0.0.1"
    assert found.routes == (
        ("10.0.0.0/8", ""),
        ("0.0.0.0/0", "10.0.0.1"),
        ("192.168.255.252/30", "10.0.0.2"),  # what is beyond its mask is cut off
    )


def test_static_routes_are_of_classes_and_the_router_is_the_default() -> None:
    found = options4.decoded(
        lease((3, "0a0000fe0a0000fd"), (33, "0b0000000a000002ac1000000a000003c0a801000a000004"))
    )
    assert found.gateway == "10.0.0.254"
    assert found.routes == (
        ("0.0.0.0/0", "10.0.0.254"),
        ("11.0.0.0/8", "10.0.0.2"),
        ("172.16.0.0/16", "10.0.0.3"),
        ("192.168.1.0/24", "10.0.0.4"),
    )


def test_there_is_one_route_for_each_destination() -> None:
    found = options4.decoded(lease((121, "000a000001" + "000a000002" + "080a0a000003")))
    assert found.routes == (("0.0.0.0/0", "10.0.0.1"), ("10.0.0.0/8", "10.0.0.3"))


NOWHERE = ("2000000000", "087f", "207f000001", "04e0", "20e0000001", "20ffffffff", "200a000005")
"""0.0.0.0/32, loopback, multicast, everybody, and 10.0.0.5 itself."""


def test_there_is_no_route_to_where_nobody_is_led() -> None:
    bad = "".join(each + "0a000001" for each in NOWHERE)
    found = options4.decoded(lease((121, bad + "000a000001")))
    assert found.routes == (("0.0.0.0/0", "10.0.0.1"),)
    old = "7f0000000a000001" + "000000000a000001" + "0b0000000a000001"
    assert options4.decoded(lease((33, old))).routes == (("11.0.0.0/8", "10.0.0.1"),)


def test_routes_are_bounded_and_the_default_is_among_them() -> None:
    many = "".join(f"18{20 + i // 256:02x}{i % 256:02x}000a000001" for i in range(600))
    found = options4.decoded(lease((121, many + "000a000001")))
    assert len(found.routes) == options4.MOST_ROUTES
    assert found.routes[0] == ("0.0.0.0/0", "10.0.0.1")


def test_name_servers_that_no_host_is_are_left_out() -> None:
    found = options4.decoded(lease((6, "00000000" + "0a000035" + "7f000035" + "08080808")))
    assert found.nameservers == ("10.0.0.53", "8.8.8.8")


@pytest.mark.parametrize("size", ["0043", "0044", "023f"])
def test_an_mtu_that_is_too_small_is_not_said(size: str) -> None:
    assert options4.decoded(lease((26, size))).mtu == 0
    assert options4.decoded(lease((26, "0240"))).mtu == 576


@pytest.mark.parametrize("router", ["0a000000", "0a0000ff"])
def test_a_router_that_is_no_host_is_not_believed(router: str) -> None:
    with pytest.raises(Malformed, match="is no host of"):
        offers4.lease(offer((3, router)), since=0)


def test_a_gateway_may_be_told_before_the_route_to_it() -> None:
    """RFC 3442 orders nothing: 0.0.0.0/0 via 10.9.9.9, which is on the link."""
    found = offers4.lease(offer((121, "000a090909" + "200a09090900000000")), since=0)
    assert options4.decoded(found).routes == (("10.9.9.9/32", ""), ("0.0.0.0/0", "10.9.9.9"))


def offer(*options: tuple[int, str]) -> Message:
    usual = ((1, "ffffff00"), (51, "00000e10"), (54, "0a000001"))
    said = tuple((number, bytes.fromhex(digits)) for number, digits in (*usual, *options))
    return Message(kind=OFFER, xid=1, mac=MAC, yiaddr="10.0.0.5", options=said)


def test_the_router_of_who_is_alone_in_his_subnet_is_on_the_link() -> None:
    found = options4.decoded(replace(lease((3, "0a0000fe")), address="192.168.7.7/32"))
    assert found.gateway == "10.0.0.254"
    assert found.routes == (("10.0.0.254/32", ""), ("0.0.0.0/0", "10.0.0.254"))


def test_what_else_is_said() -> None:
    search = b"\x01a\x07example\x03org\x00\xc0\x02\x01b\xc0\x02"
    found = options4.decoded(
        lease(
            (6, "0a00003508080808"),
            (12, b"web\0".hex()),
            (15, b"example.org.".hex()),
            (26, "05aa"),
            (119, search.hex()),
        )
    )
    assert found.nameservers == ("10.0.0.53", "8.8.8.8")
    assert (found.hostname, found.domain, found.mtu) == ("web", "example.org", 1450)
    assert found.search == ("a.example.org", "example.org", "b.example.org")


def test_what_makes_no_sense_is_not_said() -> None:
    nonsense = ((6, "7f000001"), (12, "0a"), (15, b"a..b".hex()), (26, "0043"), (119, "c000"))
    assert options4.decoded(lease(*nonsense)) == Said()


@pytest.mark.parametrize(
    "data",
    [
        b"\xc0\x00",  # to itself
        b"\x01a\xc0\x04\x01b\x00",  # forward
        b"\x40" + b"a" * 64 + b"\x00",
        b"\x05abc",
        b"\x01a",
        b"\x01a\xc0",
        b"\x03a\nb\x00",
        (b"\x3f" + b"a" * 63) * 4 + b"\x00",
        b"\x01a" * 300 + b"\x00",
        b"\x00",
    ],
)
def test_search_lists_that_are_none(data: bytes) -> None:
    with pytest.raises(Malformed):
        options4.names(data)


def test_a_long_chain_of_pointers_ends() -> None:
    chain = b"\x01a\x00" + b"".join(
        bytes((0xC0 | (at >> 8), at & 0xFF)) for at in (0, *range(3, 16000, 2))
    )
    with pytest.raises(Malformed, match="no end"):
        options4.names(chain)


@pytest.mark.parametrize(
    "mask", ["00000000", "80000000", "fe000000", "ff00ff00", "ffffff01", "ffffff", ""]
)
def test_masks_that_are_none(mask: str) -> None:
    with pytest.raises(Malformed):
        options4.prefix_length(bytes.fromhex(mask))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dhcp-client-identifier", 61),
        ("subnet-mask", 1),
        ("routers", 3),
        ("host-name", 12),
        ("user-class", 77),
        ("vendor-class-identifier", 60),
        ("119", 119),
        ("012", 12),
    ],
)
def test_the_reference_s_names_of_options(name: str, number: int) -> None:
    assert options4.number_of(name) == number


@pytest.mark.parametrize("name", ["", "0", "255", "256", "-1", "1.0", " 1", "hostname", "\u0661"])
def test_what_names_no_option(name: str) -> None:
    with pytest.raises(Malformed, match="there is no DHCP option"):
        options4.number_of(name)


@pytest.mark.parametrize("name", ["50", "52", "53", "54", "55"])
def test_what_nobody_but_the_protocol_has_a_say_in(name: str) -> None:
    with pytest.raises(Malformed, match="protocol's own"):
        options4.provided(name)
    assert options4.provided("host-name") == 12


def test_the_client_identifier_is_the_reference_s() -> None:
    assert options4.client_id("abc", "web", "eth0") == b"\0abc/web/eth0"
    long = options4.client_id("c" * 300, "web", "eth0")
    assert long == b"\0" + b"c" * 254


def test_another_implementation_reads_what_we_build() -> None:
    message = Message(
        kind=DISCOVER,
        xid=0x01020304,
        mac=MAC,
        secs=3,
        broadcast=True,
        ciaddr="10.0.0.5",
        options=(
            (options4.CLIENT, options4.client_id("c1", "web", "eth0")),
            (options4.SERVER, options4.packed("10.0.0.1")),
            (options4.REQUESTED, options4.packed("10.0.0.5")),
            (options4.ASKED, bytes((1, 3, 6))),
        ),
    )
    read = dhcp4msg(buf=build(message))
    read.decode()
    assert (read["op"], read["xid"], read["secs"], read["flags"]) == (1, 0x01020304, 3, 0x8000)
    assert (read["chaddr"], read["ciaddr"]) == (MAC, "10.0.0.5")
    options = read["options"]
    assert (options["message_type"], options["server_id"]) == (DISCOVER, "10.0.0.1")
    assert (options["requested_ip"], list(options["parameter_list"])) == ("10.0.0.5", [1, 3, 6])
    assert (options["client_id"]["type"], options["client_id"]["key"]) == (0, b"c1/web/eth0")


def test_we_read_what_another_implementation_builds() -> None:
    offer = dhcp4msg(
        {
            "op": 2,
            "xid": 7,
            "yiaddr": "10.0.0.5",
            "chaddr": MAC,
            "options": {
                "message_type": 2,
                "server_id": "10.0.0.1",
                "subnet_mask": "255.255.255.0",
                "router": ["10.0.0.1", "10.0.0.2"],
                "lease_time": 3600,
            },
        }
    )
    offer.encode()
    found = offers4.lease(parse(bytes(offer.buf)), since=0)
    assert (found.address, found.server, found.lifetime) == ("10.0.0.5/24", "10.0.0.1", 3600)
    assert options4.decoded(found).gateway == "10.0.0.1"
