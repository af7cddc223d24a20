"""The DHCPv6 client until it has a lease: what it sends when, and which answers it takes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from dhcp6_peer import (
    ADDRESS,
    ANOTHER,
    CAREFUL,
    DUID,
    NEIGHBOUR,
    NO_ADDRESSES,
    NOTHING,
    RAPID,
    RIVAL,
    SERVER,
    Hands,
    answer,
    asked_for,
    knobs,
    offered,
    option,
    refused,
    sent,
    wanted,
    within,
)
from hands import EPOCH, one

from pynet.dhcp import options6
from pynet.dhcp.client import Bound, Client, Probe, Send
from pynet.dhcp.message6 import Kind, Message
from pynet.dhcp.options6 import Association, Code, Option

PREFERRED: Option = (options6.PREFERENCE, b"\xff")


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def careful() -> Hands:
    """Without rapid commit."""
    return Hands(CAREFUL)


def requesting(hands: Hands) -> Message:
    """The REQUEST for what one server has offered."""
    hands.hear(answer(Kind.ADVERTISE, hands.start()))
    return hands.wait_for_message()


# --- a lease ----------------------------------------------------------------------------


def test_from_nothing_to_a_lease(careful: Hands) -> None:
    client: Client = careful.client
    solicit = careful.start()
    assert one(careful.actions, Send).to == ""
    assert (solicit.kind, wanted(solicit)) == (Kind.SOLICIT, ())
    assert option(solicit, options6.CLIENT_ID) == DUID
    assert option(solicit, options6.ELAPSED_TIME) == b"\0\0"
    assert option(solicit, options6.RAPID_COMMIT) is None
    assert asked_for(solicit) == {23, 24, 82}
    assert client.listening
    assert careful.hear(answer(Kind.ADVERTISE, solicit)) == []
    request = careful.wait_for_message()
    assert (request.kind, wanted(request)) == (Kind.REQUEST, (ADDRESS,))
    assert option(request, options6.SERVER_ID) == SERVER
    assert request.transaction != solicit.transaction
    asked = careful.now
    careful.now += 0.25
    assert careful.hear(answer(Kind.REPLY, request)) == [Probe(ADDRESS)]
    assert (client.address, client.listening) == ("", False)
    careful.now += 0.25
    lease = one(careful.probed(), Bound).lease
    assert (lease.address, lease.server) == (f"{ADDRESS}/128", SERVER.hex())
    assert lease.since == asked + EPOCH
    assert (lease.renew_after, lease.rebind_after, lease.lifetime) == (900, 1440, 3600)
    assert options6.preferred(lease) == 1800
    assert (client.address, client.listening, client.trouble) == (ADDRESS, False, "")
    assert client.due == asked + 900


def test_a_probe_whose_end_is_never_told_is_made_again(hands: Hands) -> None:
    hands.hear(answer(Kind.REPLY, hands.start(), None, RAPID))
    assert hands.wait() == [Probe(ADDRESS)]
    assert not hands.client.listening
    assert hands.wait() == [Probe(ADDRESS)]
    assert one(hands.probed(), Bound).lease.address == f"{ADDRESS}/128"


def test_rapid_commit_needs_two_messages(hands: Hands) -> None:
    solicit = hands.start()
    assert option(solicit, options6.RAPID_COMMIT) == b""
    # Without the option the server has given nothing away (18.3.1).
    assert hands.hear(answer(Kind.REPLY, solicit)) == []
    assert hands.hear(answer(Kind.REPLY, solicit, None, RAPID)) == [Probe(ADDRESS)]
    assert one(hands.probed(), Bound).lease.address == f"{ADDRESS}/128"


def test_who_has_not_asked_for_rapid_commit_does_not_take_it(careful: Hands) -> None:
    assert careful.hear(answer(Kind.REPLY, careful.start(), None, RAPID)) == []


def test_what_has_grown_old_on_its_way_is_asked_for_again(hands: Hands) -> None:
    short = offered(preferred=4, valid=5)
    solicit = hands.start()
    hands.now += 4
    request = sent(hands.hear(answer(Kind.REPLY, solicit, short, RAPID)))
    assert (request.kind, wanted(request)) == (Kind.REQUEST, (ADDRESS,))
    assert hands.hear(answer(Kind.REPLY, request, short)) == [Probe(ADDRESS)]


def test_what_is_none_of_ours_changes_nothing(careful: Hands) -> None:
    def ignored(asked: Message, kind: Kind, wrong: Kind) -> None:
        whole, due = answer(kind, asked), careful.client.due
        for payload in (
            b"", whole[:3], whole[:-1], whole[:1] + b"\0" + whole[1:],
            answer(kind, asked, transaction=asked.transaction ^ 1),
            answer(kind, asked, client=b"\0\3\0\1somebody else"),
            answer(kind, asked, client=None), answer(kind, asked, server=b""),
            answer(wrong, asked), answer(Kind.SOLICIT, asked),
        ):  # fmt: skip
            assert careful.hear(payload) == []
        assert careful.client.due == due

    solicit = careful.start()
    ignored(solicit, Kind.ADVERTISE, Kind.REPLY)
    careful.hear(answer(Kind.ADVERTISE, solicit))
    request = careful.wait_for_message()
    ignored(request, Kind.REPLY, Kind.ADVERTISE)
    assert careful.hear(answer(Kind.REPLY, request, server=RIVAL)) == []
    assert careful.hear(answer(Kind.ADVERTISE, solicit)) == []
    reply = answer(Kind.REPLY, request)
    assert careful.hear(reply) == [Probe(ADDRESS)]
    assert careful.hear(reply) == []
    assert careful.probed(address=ANOTHER) == []
    careful.probed()
    assert careful.probed() == careful.hear(reply) == []


def test_it_says_what_it_is_told_to_say() -> None:
    say = (options6.user_class(b"container"), options6.fqdn("web"))
    hands = Hands(knobs(ask=(23, 31), say=say))
    solicit = hands.start()
    assert asked_for(solicit) == {23, 31, 82}
    assert set(say) <= set(solicit.options)
    hands.hear(answer(Kind.REPLY, solicit, None, RAPID))
    hands.probed()
    renew = hands.wait_for_message()
    assert set(say) <= set(renew.options)
    (release,) = hands.client.release()
    assert not set(say) & set(sent([release]).options)


# --- which server -----------------------------------------------------------------------


@pytest.mark.parametrize(("first", "others"), [(0.001, 0.02), (0.2, 0.2), (0.9, 0.2)])
def test_the_best_of_those_who_answer_soon_is_asked(
    careful: Hands, first: float, others: float
) -> None:
    solicit = careful.start()
    careful.now += first
    careful.hear(answer(Kind.ADVERTISE, solicit, offered(ANOTHER), server=RIVAL))
    heard = careful.now
    careful.now += 0.01
    better = (options6.PREFERENCE, b"\x05")
    assert careful.hear(answer(Kind.ADVERTISE, solicit, None, better)) == []
    request = careful.wait_for_message()
    assert careful.now <= heard + others + 0.001
    assert (option(request, options6.SERVER_ID), wanted(request)) == (SERVER, (ADDRESS,))


def test_of_two_alike_the_first_is_asked(careful: Hands) -> None:
    solicit = careful.start()
    for server in (SERVER, RIVAL):
        careful.hear(answer(Kind.ADVERTISE, solicit, server=server))
    assert option(careful.wait_for_message(), options6.SERVER_ID) == SERVER


def test_the_most_preferred_is_asked_at_once(careful: Hands) -> None:
    solicit = careful.start()
    careful.hear(answer(Kind.ADVERTISE, solicit, server=RIVAL))
    request = sent(careful.hear(answer(Kind.ADVERTISE, solicit, None, PREFERRED)))
    assert option(request, options6.SERVER_ID) == SERVER


def test_after_the_first_second_the_first_who_answers_is_asked(careful: Hands) -> None:
    solicit = careful.start()
    assert careful.wait_for_message().transaction == solicit.transaction
    assert sent(careful.hear(answer(Kind.ADVERTISE, solicit))).kind == Kind.REQUEST


def test_who_has_nothing_to_give_is_not_asked(careful: Hands) -> None:
    solicit = careful.start()
    for nothing in (NO_ADDRESSES, refused(Code.NO_ADDRS_AVAIL), within(Association(9))):
        assert careful.hear(answer(Kind.ADVERTISE, solicit, NOTHING, nothing)) == []
        assert SERVER.hex() in careful.client.trouble
    assert careful.wait_for_message().kind == Kind.SOLICIT
    assert "no server answers" not in careful.client.trouble


def test_another_server_is_asked_where_the_first_gives_nothing(careful: Hands) -> None:
    solicit = careful.start()
    careful.hear(answer(Kind.ADVERTISE, solicit, None, (options6.PREFERENCE, b"\1")))
    careful.hear(answer(Kind.ADVERTISE, solicit, offered(ANOTHER), server=RIVAL))
    request = careful.wait_for_message()
    again = sent(careful.hear(answer(Kind.REPLY, request, NOTHING, NO_ADDRESSES)))
    assert (again.kind, option(again, options6.SERVER_ID)) == (Kind.REQUEST, RIVAL)
    last = sent(careful.hear(answer(Kind.REPLY, again, NOTHING, NO_ADDRESSES, server=RIVAL)))
    assert last.kind == Kind.SOLICIT
    assert "NO_ADDRS_AVAIL (sorry)" in careful.client.trouble


def test_it_does_not_begin_anew_over_and_over(careful: Hands) -> None:
    """A server that offers what it then refuses."""
    pauses = []
    solicit = careful.start()
    for _ in range(10):
        careful.hear(answer(Kind.ADVERTISE, solicit, None, PREFERRED))
        request = sent(careful.actions)
        begun = careful.now
        careful.hear(answer(Kind.REPLY, request, NOTHING, NO_ADDRESSES))
        solicit = sent(careful.actions) if careful.actions else careful.wait_for_message()
        assert solicit.kind == Kind.SOLICIT
        pauses.append(careful.now - begun)
    assert pauses[:4] == [0, 1, 2, 4]
    assert pauses[-1] == 120


def test_a_server_that_falls_silent_is_left(careful: Hands) -> None:
    request = requesting(careful)
    for _ in range(9):
        assert careful.wait_for_message().transaction == request.transaction
    assert careful.wait_for_message().kind == Kind.SOLICIT
    assert careful.client.trouble == "no server answers REQUEST"


def test_a_flood_of_servers_is_not_kept(careful: Hands) -> None:
    solicit = careful.start()
    for number in range(500):
        careful.hear(answer(Kind.ADVERTISE, solicit, server=b"\0\1%d" % number))
    assert len(careful.client._offers) < 50


# --- how often --------------------------------------------------------------------------


def test_a_solicit_is_sent_again_ever_more_rarely(hands: Hands) -> None:
    first = hands.start()
    times, spent = [hands.now], [0.0]
    for _ in range(20):
        message = hands.wait_for_message()
        assert message.transaction == first.transaction
        times.append(hands.now)
        spent.append(int.from_bytes(option(message, options6.ELAPSED_TIME) or b""))
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert 1.0 < waits[0] <= 1.1
    for before, after in pairwise(waits[:11]):
        assert 1.9 * before <= after <= 2.1 * before
    assert all(3240 <= wait <= 3960 for wait in waits[-5:])
    assert spent[1] == int((times[1] - times[0]) * 100)
    assert spent[-1] == 0xFFFF
    assert hands.client.trouble == "no server answers SOLICIT"


def test_while_nobody_answers_for_long_the_wire_is_closed(hands: Hands) -> None:
    hands.start()
    while hands.now < 200:
        hands.wait()
    was = hands.client.listening
    hands.wait()
    assert {was, hands.client.listening} == {True, False}


@pytest.mark.parametrize("told", [59, 86401, 0])
def test_a_server_may_set_the_longest_wait_within_limits(hands: Hands, told: int) -> None:
    solicit = hands.start()
    for seconds in (60, told):
        limit = (options6.SOL_MAX_RT, seconds.to_bytes(4))
        assert hands.hear(answer(Kind.ADVERTISE, solicit, NOTHING, limit)) == []
    times = []
    for _ in range(12):
        hands.wait_for_message()
        times.append(hands.now)
    assert all(54 <= later - earlier <= 66 for earlier, later in pairwise(times[-4:]))


@pytest.mark.parametrize("code", [Code.UNSPEC_FAIL, Code.USE_MULTICAST])
def test_who_can_t_just_now_is_asked_again(careful: Hands, code: Code) -> None:
    request = requesting(careful)
    assert careful.hear(answer(Kind.REPLY, request, None, refused(code))) == []
    again = careful.wait_for_message()
    assert (again.kind, again.transaction) == (Kind.REQUEST, request.transaction)
    assert code.name in careful.client.trouble


# --- somebody has the address -----------------------------------------------------------


def test_an_address_that_is_taken_is_declined(hands: Hands) -> None:
    hands.hear(answer(Kind.REPLY, hands.start(), None, RAPID))
    decline = sent(hands.probed(NEIGHBOUR))
    assert (decline.kind, wanted(decline)) == (Kind.DECLINE, (ADDRESS,))
    assert option(decline, options6.SERVER_ID) == SERVER
    assert NEIGHBOUR in hands.client.trouble and ADDRESS in hands.client.trouble
    solicit = sent(hands.hear(answer(Kind.REPLY, decline, NOTHING)))
    assert (solicit.kind, wanted(solicit)) == (Kind.SOLICIT, ())
    hands.hear(answer(Kind.REPLY, solicit, offered(ANOTHER), RAPID))
    assert one(hands.probed(address=ANOTHER), Bound).lease.address == f"{ANOTHER}/128"


def test_a_decline_that_nobody_answers_ends(hands: Hands) -> None:
    hands.hear(answer(Kind.REPLY, hands.start(), None, RAPID))
    hands.probed(NEIGHBOUR)
    assert [hands.wait_for_message().kind for _ in range(4)] == [Kind.DECLINE] * 3 + [Kind.SOLICIT]
