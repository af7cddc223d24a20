"""The DHCPv6 client that has its addresses from elsewhere, and asks for configuration alone."""

from __future__ import annotations

import pytest
from dhcp6_peer import NOTHING, Hands, answer, asked_for, knobs, option, refused
from hands import one

from pynet.dhcp import options6
from pynet.dhcp.client import FOREVER, Bound
from pynet.dhcp.client6 import Client6
from pynet.dhcp.exchange6 import Settings
from pynet.dhcp.message6 import Kind
from pynet.dhcp.options6 import Code, Option

STATELESS: Settings = knobs(stateless=True)
DNS: Option = (options6.DNS_SERVERS, bytes(15) + b"\1")


@pytest.mark.parametrize(
    ("told", "then"), [(None, 86400), (3600, 3600), (5, 600), (FOREVER, FOREVER)]
)
def test_configuration_alone(told: int | None, then: float) -> None:
    hands = Hands(STATELESS)
    asked = hands.start()
    assert asked.kind == Kind.INFORMATION_REQUEST
    assert asked_for(asked) == {23, 24, 32, 83}
    assert option(asked, options6.IA_NA) is None
    refresh = [] if told is None else [(options6.INFORMATION_REFRESH_TIME, told.to_bytes(4))]
    reply = answer(Kind.REPLY, asked, NOTHING, DNS, *refresh)
    lease = one(hands.hear(reply), Bound).lease
    assert (lease.address, lease.renew_after, lease.lifetime) == ("", then, FOREVER)
    assert options6.decoded(lease).nameservers == ("::1",)
    assert options6.preferred(lease) == 0
    assert hands.client.due == (None if then == FOREVER else 100 + then)
    assert hands.client.release() == []


def test_configuration_is_asked_for_again() -> None:
    hands = Hands(STATELESS)
    hands.hear(answer(Kind.REPLY, hands.start(), NOTHING, DNS))
    again = hands.wait_for_message()
    assert 86500 <= hands.now <= 86501
    assert again.kind == Kind.INFORMATION_REQUEST
    refusal = answer(Kind.REPLY, again, NOTHING, refused(Code.UNSPEC_FAIL))
    assert hands.hear(refusal) == []
    (bound,) = hands.hear(answer(Kind.REPLY, again, NOTHING))
    assert isinstance(bound, Bound) and options6.decoded(bound.lease).nameservers == ()


def test_configuration_is_asked_for_after_a_restart() -> None:
    hands = Hands(STATELESS)
    hands.hear(answer(Kind.REPLY, hands.start(), NOTHING, DNS))
    lease = one(hands.actions, Bound).lease
    fresh = Hands(STATELESS)
    assert fresh.resume(lease) == []
    assert fresh.wait_for_message().kind == Kind.INFORMATION_REQUEST


def test_two_clients_are_no_copies_of_each_other() -> None:
    one_of, other = (Client6(STATELESS).start(0.0) for _ in range(2))
    assert one_of != other
