"""The DHCPv6 client with a lease: when it asks again, what ends it, and how it is given back."""

from __future__ import annotations

import pytest
from dhcp6_peer import (
    ADDRESS,
    ANOTHER,
    IAID,
    NO_ADDRESSES,
    NOTHING,
    RAPID,
    RIVAL,
    SERVER,
    Hands,
    answer,
    offered,
    option,
    refused,
    sent,
    wanted,
    within,
)
from hands import EPOCH, one
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pynet.dhcp import options6
from pynet.dhcp.client import FOREVER, Bound, Lease, Lost, Probe, Send
from pynet.dhcp.message6 import Kind
from pynet.dhcp.options6 import Address, Association, Code

NO_BINDING = within(Association(IAID), refused(Code.NO_BINDING))
TAKEN_BACK = Association(IAID, 0, 0, (Address(ADDRESS),))


@pytest.fixture
def hands() -> Hands:
    return Hands()


# --- while it lasts ---------------------------------------------------------------------


def test_it_is_renewed_and_rebound_and_lost(hands: Hands) -> None:
    begun = hands.now
    hands.bound(offered(preferred=1000, valid=2000))
    renew = hands.wait_for_message()
    assert hands.now == begun + 500
    assert (renew.kind, wanted(renew)) == (Kind.RENEW, (ADDRESS,))
    assert option(renew, options6.SERVER_ID) == SERVER
    sent_at = []
    while (message := hands.wait_for_message()).kind == Kind.RENEW:
        sent_at.append(hands.now)
    assert 9 <= sent_at[0] - begun - 500 <= 11
    assert (message.kind, hands.now) == (Kind.REBIND, begun + 800)
    assert option(message, options6.SERVER_ID) is None
    while not any(isinstance(action, Lost) for action in hands.actions):
        assert hands.client.address == ADDRESS
        hands.wait()
    assert hands.now == begun + 2000
    assert "no server has renewed it" in one(hands.actions, Lost).why
    solicit = sent(hands.actions)
    assert (solicit.kind, wanted(solicit), hands.client.address) == (Kind.SOLICIT, (ADDRESS,), "")


@pytest.mark.parametrize("kind", [Kind.RENEW, Kind.REBIND])
def test_what_is_given_again_needs_no_probe(hands: Hands, kind: Kind) -> None:
    first = hands.bound()
    while (message := hands.wait_for_message()).kind != kind:
        pass
    server = RIVAL if kind == Kind.REBIND else SERVER
    asked = hands.now
    hands.now += 1
    lease = one(hands.hear(answer(Kind.REPLY, message, server=server)), Bound).lease
    assert lease == replace(first, since=asked + EPOCH, server=server.hex())
    assert hands.client.due == asked + 900


def test_a_server_that_has_forgotten_is_asked_for_it_anew(hands: Hands) -> None:
    hands.bound()
    renew = hands.wait_for_message()
    request = sent(hands.hear(answer(Kind.REPLY, renew, NOTHING, NO_BINDING)))
    assert (request.kind, wanted(request)) == (Kind.REQUEST, (ADDRESS,))
    assert hands.client.address == ADDRESS
    assert one(hands.hear(answer(Kind.REPLY, request)), Bound).lease.address == f"{ADDRESS}/128"


def test_a_server_that_has_forgotten_may_give_another(hands: Hands) -> None:
    hands.bound()
    renew = hands.wait_for_message()
    request = sent(hands.hear(answer(Kind.REPLY, renew, NOTHING, NO_BINDING)))
    assert hands.hear(answer(Kind.REPLY, request, offered(ANOTHER))) == [Probe(ANOTHER)]
    assert hands.client.address == ADDRESS
    lost, bound = hands.probed(address=ANOTHER)
    assert isinstance(lost, Lost) and ADDRESS in lost.why
    assert isinstance(bound, Bound) and bound.lease.address == f"{ANOTHER}/128"
    assert hands.client.address == ANOTHER


@pytest.mark.parametrize("kind", [Kind.RENEW, Kind.REBIND])
def test_it_is_lost_where_it_is_not_of_the_link_any_more(hands: Hands, kind: Kind) -> None:
    hands.bound()
    while (message := hands.wait_for_message()).kind != kind:
        pass
    gone = within(Association(IAID), refused(Code.NOT_ON_LINK))
    lost, send = hands.hear(answer(Kind.REPLY, message, NOTHING, gone))
    assert isinstance(lost, Lost) and "not of this link" in lost.why
    assert sent([send]).kind == Kind.SOLICIT


def test_an_address_that_is_taken_back_is_lost(hands: Hands) -> None:
    hands.bound()
    renew = hands.wait_for_message()
    lost, send = hands.hear(answer(Kind.REPLY, renew, TAKEN_BACK))
    assert isinstance(lost, Lost) and sent([send]).kind == Kind.SOLICIT


def test_an_address_may_be_exchanged_for_another(hands: Hands) -> None:
    """A server whose prefix has changed (18.2.10.1)."""
    hands.bound()
    renew = hands.wait_for_message()
    both = Association(IAID, 0, 0, (*TAKEN_BACK.addresses, *offered(ANOTHER).addresses))
    lost, probe = hands.hear(answer(Kind.REPLY, renew, both))
    assert isinstance(lost, Lost) and probe == Probe(ANOTHER)
    assert [type(action) for action in hands.probed(address=ANOTHER)] == [Bound]


def test_what_says_nothing_of_the_address_changes_nothing(hands: Hands) -> None:
    hands.bound()
    renew = hands.wait_for_message()
    for nothing in (NO_ADDRESSES, within(Association(IAID)), refused(Code.NO_ADDRS_AVAIL)):
        assert hands.hear(answer(Kind.REPLY, renew, NOTHING, nothing)) == []
    assert hands.client.address == ADDRESS
    assert hands.wait_for_message().transaction == renew.transaction


@given(st.binary(max_size=80), st.booleans())
def test_noise_that_knows_whom_to_tell_changes_nothing(noise: bytes, to_us: bool) -> None:
    hands = Hands()
    hands.bound()
    renew = hands.wait_for_message()
    head = b"\x07" + renew.transaction.to_bytes(3)
    assert hands.hear(answer(Kind.REPLY, renew, NOTHING) + noise if to_us else head + noise) == []
    assert hands.client.address == ADDRESS


def test_a_lease_for_ever_is_left_alone(hands: Hands) -> None:
    lease = hands.bound(offered(preferred=FOREVER, valid=FOREVER))
    assert (lease.lifetime, hands.client.due) == (FOREVER, None)


# --- restarts ---------------------------------------------------------------------------


@pytest.fixture
def lease() -> Lease:
    return Hands().bound()


def test_after_a_restart_it_is_confirmed(hands: Hands, lease: Lease) -> None:
    hands.now += 60
    assert hands.resume(lease) == []
    assert hands.client.address == ADDRESS
    confirm = hands.wait_for_message()
    assert hands.now <= 161
    assert (confirm.kind, wanted(confirm)) == (Kind.CONFIRM, (ADDRESS,))
    assert option(confirm, options6.SERVER_ID) is option(confirm, options6.ORO) is None
    answered = answer(Kind.REPLY, confirm, NOTHING, refused(Code.SUCCESS), server=RIVAL)
    assert one(hands.hear(answered), Bound).lease == lease
    assert hands.client.due == 1000


def test_after_a_restart_elsewhere_another_is_asked_for(hands: Hands, lease: Lease) -> None:
    hands.resume(lease)
    confirm = hands.wait_for_message()
    lost, send = hands.hear(answer(Kind.REPLY, confirm, NOTHING, refused(Code.NOT_ON_LINK)))
    assert isinstance(lost, Lost)
    assert (sent([send]).kind, wanted(sent([send]))) == (Kind.SOLICIT, ())


def test_where_nobody_confirms_it_is_kept(hands: Hands, lease: Lease) -> None:
    hands.resume(lease)
    while not hands.actions or isinstance(hands.actions[0], Send):
        hands.wait()
    assert one(hands.actions, Bound).lease == lease
    assert hands.now <= 111.1
    assert hands.client.due == 1000


@pytest.mark.parametrize(
    ("later", "kind"), [(0, Kind.CONFIRM), (900, Kind.RENEW), (1440, Kind.REBIND)]
)
def test_a_restart_goes_on_where_it_was(
    hands: Hands, lease: Lease, later: float, kind: Kind
) -> None:
    hands.now += later
    hands.resume(lease)
    message = hands.wait_for_message()
    assert message.kind == kind
    assert option(message, options6.SERVER_ID) == (SERVER if kind == Kind.RENEW else None)
    assert hands.hear(answer(Kind.REPLY, message))[0] == Bound(hands.client._held or lease)


def test_a_lease_that_ended_meanwhile_is_lost(hands: Hands, lease: Lease) -> None:
    hands.now += 3600
    (lost,) = hands.resume(lease)
    assert isinstance(lost, Lost)
    solicit = hands.wait_for_message()
    assert (solicit.kind, wanted(solicit)) == (Kind.SOLICIT, (ADDRESS,))


def test_it_may_end_while_it_is_confirmed(hands: Hands) -> None:
    lease = Hands().bound(Association(IAID, 5, 5, (Address(ADDRESS, 6, 6),)))
    hands.now += 4.5
    hands.resume(lease)
    while not any(isinstance(action, Lost) for action in hands.actions):
        hands.wait()
    assert hands.now == 106


def test_what_came_due_while_it_was_confirmed_is_done_then(hands: Hands) -> None:
    lease = Hands().bound(Association(IAID, 5, 500, (Address(ADDRESS, 600, 600),)))
    hands.now += 4
    hands.resume(lease)
    while not any(isinstance(action, Bound) for action in hands.actions):
        hands.wait()
    assert hands.client.due == hands.now
    assert sent(hands.wait()).kind == Kind.RENEW


def test_a_clock_that_was_put_back_makes_no_lease_longer(hands: Hands, lease: Lease) -> None:
    hands.client.hold(lease, hands.now, lease.since - 5000)
    assert hands.client.due == hands.now + 900


def test_what_another_has_just_got_is_held(hands: Hands, lease: Lease) -> None:
    hands.now += 60
    assert hands.client.hold(lease, hands.now, hands.clock) == []
    assert (hands.client.address, hands.client.due) == (ADDRESS, 1000)
    assert hands.wait_for_message().kind == Kind.RENEW


# --- the end ----------------------------------------------------------------------------


def test_it_is_given_back_as_often_as_asked(hands: Hands) -> None:
    hands.bound()
    (action,) = hands.client.release()
    release = sent([action])
    assert (release.kind, wanted(release)) == (Kind.RELEASE, (ADDRESS,))
    assert option(release, options6.SERVER_ID) == SERVER
    assert (hands.client.address, hands.client.due) == ("", None)
    assert hands.client.listening
    assert hands.client.release() == [action]
    assert hands.hear(answer(Kind.REPLY, release, NOTHING, server=RIVAL)) == []
    assert not hands.client.released
    assert hands.hear(answer(Kind.REPLY, release, NOTHING)) == []
    assert hands.client.released
    assert not hands.client.listening
    assert hands.client.release() == []


def test_what_was_given_and_never_used_is_given_back_too(hands: Hands) -> None:
    hands.hear(answer(Kind.REPLY, hands.start(), None, RAPID))
    assert wanted(sent(hands.client.release())) == (ADDRESS,)


def test_who_has_nothing_has_nothing_to_give_back(hands: Hands) -> None:
    assert hands.client.release() == []
    assert hands.client.released
