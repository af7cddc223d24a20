"""One exchange of a DHCPv6 client: what it sends, and how often (RFC 8415, 7.6 and 18.2)."""

from __future__ import annotations

from math import inf
from random import Random

from msgspec.structs import replace

from ..model.value import Value
from . import message6, options6
from .client import Send
from .message6 import Kind, Message
from .options6 import Address, Association, Option
from .retransmission6 import Pace, Retransmission

PACES = {  # those of SOLICIT and INFORMATION-REQUEST are the servers' to change
    Kind.SOLICIT: Pace(1.0, 3600.0, late=True),
    Kind.REQUEST: Pace(1.0, 30.0, count=10),
    Kind.CONFIRM: Pace(1.0, 4.0, duration=10.0),
    Kind.RENEW: Pace(10.0, 600.0),
    Kind.REBIND: Pace(10.0, 600.0),
    Kind.RELEASE: Pace(inf),  # for the caller to say, who has the time for it
    Kind.DECLINE: Pace(1.0, count=4),
    Kind.INFORMATION_REQUEST: Pace(1.0, 3600.0),
}
_LIMITS = range(60, 86401)
"""What SOL_MAX_RT and INF_MAX_RT may be set to (sections 21.24 and 21.25)."""
_ASKED_BESIDE = {
    Kind.SOLICIT: (options6.SOL_MAX_RT,),
    Kind.REQUEST: (options6.SOL_MAX_RT,),
    Kind.RENEW: (options6.SOL_MAX_RT,),
    Kind.REBIND: (options6.SOL_MAX_RT,),
    Kind.INFORMATION_REQUEST: (options6.INFORMATION_REFRESH_TIME, options6.INF_MAX_RT),
}
"""What each message that asks for something has to ask for, too."""


class Settings(Value):
    """Who the client is, and what it asks for.

    `ask` are numbers of options (RFC 8415, 21.7), `say` options that go along with whatever asks
    for something. A `stateless` client asks for configuration alone.
    """

    duid: bytes
    iaid: int
    stateless: bool = False
    ask: tuple[int, ...] = options6.ASK
    say: tuple[Option, ...] = ()
    rapid_commit: bool = True


class Exchange:
    """`server` is who is asked, b"" for all; `addresses` what it is about.

    `sent` is when it was sent last. `heard` says whether anybody has answered, be it of no use.
    """

    def __init__(
        self, kind: Kind, server: bytes, addresses: tuple[str, ...], *, pace: Pace, due: float,
        randomness: Random,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.server = server
        self.addresses = addresses
        self.transaction = randomness.getrandbits(24)
        self.retransmission = Retransmission(pace, due, randomness)
        self.sent = -inf
        self.heard = False

    def send(self, own: Settings, now: float) -> Send:
        """Now, and `retransmission.due` is when again."""
        self.retransmission.sent(now)
        self.sent = now
        return self.again(own, now - self.retransmission.began)

    def again(self, own: Settings, spent: float) -> Send:
        """The message, `spent` seconds after the first."""
        options = [(options6.CLIENT_ID, own.duid)]
        if self.server:
            options.append((options6.SERVER_ID, self.server))
        options.append(options6.elapsed(spent))
        if self.kind in _ASKED_BESIDE:
            options += [options6.asked((*own.ask, *_ASKED_BESIDE[self.kind])), *own.say]
        if self.kind is Kind.SOLICIT and own.rapid_commit:
            options.append((options6.RAPID_COMMIT, b""))
        if self.kind is not Kind.INFORMATION_REQUEST:
            wanted = Association(own.iaid, addresses=tuple(map(Address, self.addresses)))
            options.append((options6.IA_NA, options6.pack_association(wanted)))
        return Send(message6.pack(Message(self.kind, self.transaction, tuple(options))))


def limited(pace: Pace, told: int | None) -> Pace:
    """With the longest wait a server has told, where it has told one that may be."""
    if told is None or told not in _LIMITS:
        return pace
    return replace(pace, longest=float(told))
