"""The DHCPv4 client until it has a lease: what it sends when, and which answers it takes."""

from __future__ import annotations

from typing import Any

import pytest
from dhcp4_answers import ADDRESS, SERVER, answer, seconds
from dhcp4_peer import MAC, SETTINGS, STRANGER, Hands, sent
from hands import EPOCH, one
from msgspec.structs import replace

from pynet.dhcp import options4
from pynet.dhcp.asking4 import Settings
from pynet.dhcp.client import FOREVER, Bound, Probe, Send
from pynet.dhcp.message4 import ACK, DECLINE, DISCOVER, NAK, OFFER, REQUEST, Message

NEIGHBOUR = "02:00:00:00:00:99"


@pytest.fixture
def hands() -> Hands:
    return Hands()


def test_from_nothing_to_a_lease(hands: Hands) -> None:
    discover = hands.start()
    assert one(hands.actions, Send).to == ""
    assert (discover.kind, discover.ciaddr, discover.broadcast) == (DISCOVER, "", False)
    assert discover.option(options4.CLIENT) == b"\0c1/web/eth0"
    assert discover.option(options4.ASKED) == bytes(options4.ASK)
    request = sent(hands.hear(answer(OFFER, discover)))
    assert one(hands.actions, Send).to == ""
    assert (request.kind, request.xid, request.ciaddr) == (REQUEST, discover.xid, "")
    assert request.option(options4.REQUESTED) == options4.packed(ADDRESS)
    assert request.option(options4.SERVER) == options4.packed(SERVER)
    asked = hands.now
    hands.now += 0.25
    assert hands.hear(answer(ACK, request)) == [Probe(ADDRESS)]
    assert (hands.client.address, hands.client.listening) == ("", False)
    hands.now += 0.25
    lease = one(hands.probed(), Bound).lease
    assert (lease.address, lease.server) == (f"{ADDRESS}/24", SERVER)
    assert lease.since == asked + EPOCH
    assert (lease.renew_after, lease.rebind_after, lease.lifetime) == (1800, 3150, 3600)
    assert (hands.client.address, hands.client.listening, hands.client.trouble) == (
        ADDRESS, False, "",
    )  # fmt: skip


def test_what_is_none_of_ours_changes_nothing(hands: Hands) -> None:
    discover = hands.start()
    due = hands.client.due
    offer = answer(OFFER, discover)
    for payload in (
        b"",
        offer[:200],
        answer(OFFER, discover, xid=discover.xid ^ 1),
        answer(OFFER, discover, mac=NEIGHBOUR),
        answer(ACK, discover),
        answer(NAK, discover),
    ):
        assert hands.hear(payload) == []
    assert hands.client.due == due
    assert sent(hands.hear(offer)).kind == REQUEST
    assert hands.hear(offer) == []  # another server's, or the same again


@pytest.mark.parametrize(
    ("address", "options", "why"),
    [
        ("10.20.0.0", {}, "network"),
        ("10.20.0.255", {}, "broadcast"),
        ("10.20.0.9", {options4.BROADCAST: STRANGER}, "broadcast"),
        ("10.20.1.5", {}, "10.20.1.5/24 is not in the subnet of its gateway 10.20.0.1"),
        (ADDRESS, {options4.STATIC_ROUTES: bytes((9, 0, 0, 0, 9, 0, 0, 1))}, "gateway 9.0.0.1"),
        (ADDRESS, {options4.ROUTES: bytes((0, 9, 0, 0, 1))}, "gateway 9.0.0.1"),
        (SERVER, {}, "the gateway's"),
        ("", {}, "no address of a host"),
        ("127.0.0.5", {options4.ROUTER: None}, "no address of a host"),
        ("224.0.0.5", {options4.ROUTER: None}, "no address of a host"),
        (ADDRESS, {options4.SERVER: None}, "server identifier"),
        (ADDRESS, {options4.SERVER: bytes(4)}, "no address of a host"),
        (ADDRESS, {options4.SUBNET_MASK: None}, "subnet mask"),
        (ADDRESS, {options4.SUBNET_MASK: b"\xff\x00\xff\x00"}, "no subnet mask"),
        (ADDRESS, {options4.LIFETIME: None}, "lease time"),
        (ADDRESS, {options4.LIFETIME: seconds(0)}, "0 seconds"),
        (ADDRESS, {options4.ROUTER: b"\x0a"}, "no IPv4 addresses"),
        (ADDRESS, {options4.ROUTES: b"\x21\x0a"}, "routes"),
    ],
)
def test_offers_that_can_t_be_used(
    hands: Hands, address: str, options: dict[int, Any], why: str
) -> None:
    discover = hands.start()
    assert hands.hear(answer(OFFER, discover, address, options=options)) == []
    assert why in hands.client.trouble
    assert sent(hands.hear(answer(OFFER, discover))).kind == REQUEST


def test_a_gateway_outside_is_fine_with_a_route_to_it(hands: Hands) -> None:
    for options in (
        {options4.SUBNET_MASK: b"\xff\xff\xff\xff"},
        {options4.ROUTES: bytes((0, 10, 20, 0, 1, 24, 10, 20, 0, 0, 0, 0, 0))},
    ):
        offer = answer(OFFER, hands.start(), "192.168.7.7", options=options)
        assert sent(hands.hear(offer)).kind == REQUEST


def test_both_addresses_of_a_31_can_be_used(hands: Hands) -> None:
    narrow = {options4.SUBNET_MASK: b"\xff\xff\xff\xfe"}
    offer = answer(OFFER, hands.start(), "10.20.0.0", options=narrow)
    assert sent(hands.hear(offer)).kind == REQUEST


def test_discovers_become_rarer_up_to_a_limit() -> None:
    hands = Hands(replace(SETTINGS, resend_max=8.0))
    first = hands.start()
    pauses = []
    for _ in range(5):
        before = hands.now
        again = sent(hands.wait())
        pauses.append(hands.now - before)
        assert again.kind == DISCOVER
        assert again.secs == int(hands.now - 100)
    for pause, nominal in zip(pauses, (2, 4, 8, 8, 8), strict=True):
        assert abs(pause - nominal) <= 1
    # A server that first sees whether the address is free answers the first of them.
    assert sent(hands.hear(answer(OFFER, first))).xid == first.xid


def test_between_two_discovers_nothing_is_awaited() -> None:
    """The next may be a minute away, and what is open pins the namespace."""
    hands = Hands()
    hands.start()
    heard_nothing = 0
    for _ in range(12):
        if hands.wait() == []:
            heard_nothing += 1
            assert not hands.client.listening
            assert sent(hands.wait()).kind == DISCOVER
        assert hands.client.listening
        assert hands.client.due is not None
        assert hands.client.due <= hands.now + SETTINGS.timeout + 1
    assert heard_nothing


def test_a_probe_whose_end_is_never_told_is_made_again(hands: Hands) -> None:
    request = sent(hands.hear(answer(OFFER, hands.start())))
    hands.hear(answer(ACK, request))
    assert hands.wait() == [Probe(ADDRESS)]
    assert not hands.client.listening
    assert hands.wait() == [Probe(ADDRESS)]
    assert one(hands.probed(), Bound).lease.address == f"{ADDRESS}/24"


def test_a_server_that_offers_and_falls_silent(hands: Hands) -> None:
    request = sent(hands.hear(answer(OFFER, hands.start())))
    for _ in range(2):
        assert sent(hands.wait()).option(options4.REQUESTED) == options4.packed(ADDRESS)
    again = sent(hands.wait())
    assert again.kind == DISCOVER
    assert again.xid != request.xid
    assert "fell silent" in hands.client.trouble


def test_a_lease_counts_from_the_first_request_that_was_answered(hands: Hands) -> None:
    request = sent(hands.hear(answer(OFFER, hands.start())))
    asked = hands.clock
    hands.wait()
    hands.hear(answer(ACK, request))
    assert one(hands.probed(), Bound).lease.since == asked


def test_an_ack_of_something_else_is_none(hands: Hands) -> None:
    request = sent(hands.hear(answer(OFFER, hands.start())))
    assert hands.hear(answer(ACK, request, "10.20.0.6")) == []
    assert "10.20.0.6" in hands.client.trouble
    assert hands.hear(answer(ACK, request, options={options4.SERVER: STRANGER})) == []
    assert hands.hear(answer(NAK, request, options={options4.SERVER: STRANGER})) == []
    assert hands.hear(answer(ACK, request)) == [Probe(ADDRESS)]


def test_who_refuses_his_own_offers_is_asked_ever_less_often(hands: Hands) -> None:
    message = hands.start()
    pauses = []
    for _ in range(4):
        request = sent(hands.hear(answer(OFFER, message)))
        reason = {options4.REASON: b"wrong\x1b address"}
        if actions := hands.hear(answer(NAK, request, options=reason)):
            message = sent(actions)
            pauses.append(0.0)
        else:
            assert not hands.client.listening
            before = hands.now
            message = sent(hands.wait())
            pauses.append(hands.now - before)
        assert hands.client.trouble == f"{SERVER} refuses {ADDRESS}: wrong address"
        assert message.kind == DISCOVER
    for pause, nominal in zip(pauses, (0, 2, 4, 8), strict=True):
        assert abs(pause - nominal) <= min(1, nominal)


def test_an_address_in_use_is_declined_and_another_asked_for_later(hands: Hands) -> None:
    hands.hear(answer(ACK, sent(hands.hear(answer(OFFER, hands.start())))))
    assert hands.probed(NEIGHBOUR, "10.20.0.6") == []  # nobody asked about that
    decline = sent(hands.probed(NEIGHBOUR))
    assert (decline.kind, decline.ciaddr) == (DECLINE, "")
    assert {number for number, _ in decline.options} == {
        options4.CLIENT, options4.REQUESTED, options4.SERVER,
    }  # fmt: skip
    assert NEIGHBOUR in hands.client.trouble
    assert (hands.client.address, hands.client.listening) == ("", False)
    before = hands.now
    assert sent(hands.wait()).kind == DISCOVER
    assert hands.now - before == 10


@pytest.mark.parametrize(
    ("renew", "rebind", "expected"),
    [
        (600, 900, (600, 900)),
        (None, None, (1800, 3150)),
        (900, 600, (1800, 3150)),
        (0, 900, (1800, 3150)),
        (600, 4000, (1800, 3150)),
        (FOREVER, FOREVER, (1800, 3150)),
        (600, None, (600, 3150)),
    ],
)
def test_t1_and_t2(
    hands: Hands, renew: int | None, rebind: int | None, expected: tuple[int, int]
) -> None:
    times = {options4.RENEW_AFTER: renew, options4.REBIND_AFTER: rebind}
    said = {number: seconds(value) for number, value in times.items() if value is not None}
    lease = hands.bound(options=said)
    assert (lease.renew_after, lease.rebind_after) == expected
    assert not {number for number, _ in lease.options} & said.keys()


def test_what_the_server_is_told_and_asked() -> None:
    said = ((options4.HOST_NAME, b"web"), (options4.CLIENT, b"mine"))
    wishes = Settings(mac=MAC, client_id=b"x", ask=(1, 3), say=said, broadcast=True)
    hands = Hands(wishes)
    discover = hands.start()
    request = sent(hands.hear(answer(OFFER, discover)))
    for message in (discover, request):
        assert message.broadcast
        assert message.option(options4.HOST_NAME) == b"web"
        assert message.option(options4.CLIENT) == b"mine"
        assert message.option(options4.ASKED) == bytes((1, 3))
    hands.hear(answer(ACK, request))
    hands.probed()
    assert not sent(hands.wait()).broadcast
    release: Message = hands.did(hands.client.release())
    assert release.option(options4.CLIENT) == b"mine"
    assert release.option(options4.HOST_NAME) is None


def test_who_asks_for_nothing_has_no_empty_list() -> None:
    assert Hands(replace(SETTINGS, ask=())).start().option(options4.ASKED) is None
