"""The DHCPv4 client with a lease: when it asks again, what ends it, and how it is given back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from dhcp4_answers import ADDRESS, SERVER, answer, seconds
from dhcp4_peer import STRANGER, Hands, sent
from hands import one

from pynet.dhcp import options4
from pynet.dhcp.client import FOREVER, Bound, Lease, Lost, Send
from pynet.dhcp.message4 import ACK, DISCOVER, NAK, OFFER, RELEASE, REQUEST


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def lease(hands: Hands) -> Lease:
    return hands.bound()


def test_a_lease_for_ever_is_left_alone(hands: Hands) -> None:
    lease = hands.bound(options={options4.LIFETIME: seconds(FOREVER)})
    assert (lease.renew_after, lease.rebind_after, lease.lifetime) == (FOREVER,) * 3
    assert hands.client.due is None
    again = Hands()
    again.resume(lease)
    again.hear(answer(ACK, sent(again.actions), options={options4.LIFETIME: seconds(FOREVER)}))
    assert again.client.due is None


def test_renewal_asks_the_server_itself(hands: Hands) -> None:
    lease = hands.bound()
    request = sent(hands.wait())
    assert 0.95 * 1800 <= hands.clock - lease.since <= 1800
    assert one(hands.actions, Send).to == SERVER
    assert (request.kind, request.ciaddr, request.secs) == (REQUEST, ADDRESS, 0)
    assert request.option(options4.REQUESTED) is request.option(options4.SERVER) is None
    assert hands.client.listening
    asked = hands.clock
    hands.now += 0.5
    renewed = one(hands.hear(answer(ACK, request)), Bound).lease
    assert renewed.since == asked
    assert not hands.client.listening


def test_without_an_answer_it_asks_again_everybody_and_then_has_nothing(hands: Hands) -> None:
    lease = hands.bound()
    asked: list[tuple[float, str]] = []
    while True:
        for action in hands.wait():
            if isinstance(action, Send):
                asked.append((hands.clock - lease.since, action.to))
        if any(isinstance(action, Lost) for action in hands.actions):
            break
        assert hands.client.address == ADDRESS
    assert hands.clock - lease.since == 3600
    assert sent(hands.actions).kind == DISCOVER
    assert hands.client.address == ""
    *tries, (_, last) = asked
    renewing = [at for at, to in tries if to == SERVER]
    rebinding = [at for at, to in tries if to == ""]
    assert last == ""
    assert len(renewing) >= 4
    assert rebinding[0] == 3150
    assert renewing[1] - renewing[0] == pytest.approx((3150 - renewing[0]) / 2)
    for times in (renewing, rebinding):
        assert min(after - before for before, after in pairwise(times)) >= 60


def test_nothing_is_listened_for_long_after_a_message(hands: Hands) -> None:
    hands.bound()
    request = sent(hands.wait())
    asked = hands.now
    assert hands.client.listening
    assert hands.wait() == []
    assert hands.now == asked + 10
    assert not hands.client.listening
    assert one(hands.hear(answer(ACK, request)), Bound)  # who is late all the same is heard


def test_a_lease_of_five_seconds_is_asked_for_more_than_once(hands: Hands) -> None:
    lease = hands.bound(options={options4.LIFETIME: seconds(5)})
    asked = []
    while hands.client.address:
        hands.wait()
        asked += [hands.clock - lease.since for action in hands.actions if isinstance(action, Send)]
    assert len([at for at in asked if at < 4.375]) >= 2
    assert len([at for at in asked if 4.375 <= at < 5]) >= 2


@pytest.mark.parametrize("state", ["renewing", "rebinding", "rebooting"])
def test_a_nak_ends_a_lease(hands: Hands, state: str) -> None:
    lease = hands.bound()
    if state == "rebooting":
        hands = Hands()
        request = hands.resume(lease)
    else:
        request = sent(hands.wait())
        while state == "rebinding" and one_to(hands) != "":
            request = sent(actions) if (actions := hands.wait()) else request
    stranger = hands.hear(answer(NAK, request, options={options4.SERVER: STRANGER}))
    if state == "renewing":
        assert stranger == []
        hands.hear(answer(NAK, request))
    assert "refuses" in one(hands.actions, Lost).why
    assert sent(hands.actions).kind == DISCOVER
    assert hands.client.address == ""


def one_to(hands: Hands) -> str:
    return next((action.to for action in hands.actions if isinstance(action, Send)), SERVER)


def test_an_ack_of_another_address_does_not_renew(hands: Hands) -> None:
    hands.bound()
    request = sent(hands.wait())
    assert hands.hear(answer(ACK, request, "10.20.0.6")) == []
    assert hands.client.address == ADDRESS


def test_after_a_restart_the_lease_is_confirmed(lease: Lease) -> None:
    hands = Hands()
    hands.now += 600
    request = hands.resume(lease)
    assert one(hands.actions, Send).to == ""
    assert (request.kind, request.ciaddr) == (REQUEST, "")
    assert request.option(options4.REQUESTED) == options4.packed(ADDRESS)
    assert request.option(options4.SERVER) is None
    assert (hands.client.address, hands.client.listening) == (ADDRESS, True)
    confirmed = one(hands.hear(answer(ACK, request)), Bound).lease
    assert confirmed.since == hands.clock


def test_after_a_restart_silence_takes_nothing_away(lease: Lease) -> None:
    hands = Hands()
    hands.now += 600
    hands.resume(lease)
    for _ in range(2):
        assert sent(hands.wait()).option(options4.REQUESTED)
    while not hands.wait():
        assert hands.client.address == ADDRESS
    assert one(hands.actions, Bound).lease == lease
    assert not hands.client.listening
    assert sent(hands.wait()).ciaddr == ADDRESS
    assert hands.clock - lease.since <= 1800


def test_after_a_long_time_away_it_goes_on_asking(lease: Lease) -> None:
    hands = Hands()
    hands.now += 3155
    hands.resume(lease)
    while not any(isinstance(action, Bound) for action in hands.wait()):
        assert hands.client.address == ADDRESS
    assert hands.client.due == hands.now
    assert sent(hands.wait()).ciaddr == ADDRESS
    assert one(hands.actions, Send).to == ""


def test_a_lease_that_has_ended_meanwhile_is_gone(lease: Lease) -> None:
    for go_on in ("resume", "hold"):
        hands = Hands()
        hands.now += 3600
        actions = getattr(hands.client, go_on)(lease, hands.now, hands.clock)
        assert ADDRESS in one(actions, Lost).why
        assert sent(actions).kind == DISCOVER
        assert hands.client.address == ""


def test_a_clock_that_was_set_back_makes_no_lease_longer(lease: Lease) -> None:
    hands = Hands()
    hands.client.resume(lease, hands.now, hands.clock - 100_000)
    began = hands.now
    while hands.client.address:
        hands.wait()
    assert hands.now - began == 3600


def test_what_was_just_given_is_held_without_a_word(lease: Lease) -> None:
    hands = Hands()
    assert hands.client.hold(lease, hands.now, hands.clock) == []
    assert (hands.client.address, hands.client.listening) == (ADDRESS, False)
    assert sent(hands.wait()).ciaddr == ADDRESS


@pytest.mark.parametrize("state", ["probing", "bound", "renewing", "rebooting"])
def test_release_from_each_state_that_has_something(state: str) -> None:
    hands = Hands()
    if state == "probing":
        hands.hear(answer(ACK, sent(hands.hear(answer(OFFER, hands.start())))))
    else:
        lease = hands.bound()
        if state == "renewing":
            hands.wait()
        if state == "rebooting":
            hands = Hands()
            hands.resume(lease)
    release = hands.did(hands.client.release())
    assert one(hands.actions, Send).to == SERVER
    assert (release.kind, release.ciaddr) == (RELEASE, ADDRESS)
    assert {number for number, _ in release.options} == {options4.CLIENT, options4.SERVER}
    assert (hands.client.due, hands.client.listening) == (None, False)
    assert hands.client.address == ADDRESS  # for the wire that it goes by
    assert hands.client.release() == []
    assert hands.client.address == ""


def test_without_a_lease_there_is_nothing_to_release(hands: Hands) -> None:
    assert hands.client.release() == []
    hands.start()
    assert hands.client.release() == []
    assert hands.client.due is None
