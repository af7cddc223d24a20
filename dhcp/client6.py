"""A DHCPv6 client as a state machine (RFC 8415, section 18.2): no socket, no clock.

Rules that hold here:
- One exchange at a time: a message that is sent again until it is answered, or given up.
- Its lease is held until it ends, is replaced, or a server says that it is no more, whatever
  exchange goes on.
- An answer counts that is for this client and this exchange, and of the server that was asked; all
  else changes nothing.

Where this client differs from the letter:
- Once a server has answered, others have as long again as it took, and 20 ms at least: then the
  best is chosen. Section 18.2.1 has a client wait for a whole second, unless a server's preference
  is 255; but a container waits for it, servers on one link answer within milliseconds, and more
  than one is rare.
- The first SOLICIT is not delayed by up to a second: containers are not all started at once. What
  is sent after a restart of whoever drives the client is, for then a thousand are.
- UseMulticast is no answer: it is sent by multicast anyhow, as RFC 9915 has it.
"""

from __future__ import annotations

from math import inf
from random import Random, SystemRandom

from . import lease6, message6
from .client import FOREVER, Action, Bound, Lease, Lost, Malformed, Probe
from .exchange6 import PACES, Exchange, Settings, limited
from .message6 import Answer, Kind
from .options6 import Address, Association, Code, Status

_COLLECT_SECONDS = 0.02
_LISTEN_SECONDS = 10.0
"""How long an answer is listened for after a message: the next may be ten minutes later."""
_HIGHEST_PREFERENCE = 255
_MOST_OFFERS = 16
_MAX_DELAY = 1.0
"""SOL_MAX_DELAY, CNF_MAX_DELAY and INF_MAX_DELAY."""
_LONGEST_PAUSE = 120.0
_PROBE_AGAIN = 5.0
"""Seconds after which the end of a `Probe`, which takes far less, will not be told any more."""
_TO_ONE_SERVER = (Kind.REQUEST, Kind.RENEW, Kind.RELEASE, Kind.DECLINE)
_ABOUT_THE_HELD = (Kind.CONFIRM, Kind.RENEW, Kind.REBIND)
_KNOWN = frozenset(Code)
_TRY_AGAIN = (Code.UNSPEC_FAIL, Code.USE_MULTICAST)


class Client6:
    """One attachment's (see `client.Client`).

    After `release`, the same again sends it once more, and `released` tells that it was answered.
    """

    def __init__(self, settings: Settings, randomness: Random | None = None) -> None:
        self.due: float | None = None
        self.listening = False
        self.address = ""
        self.trouble = ""
        self.released = False
        self._settings = settings
        self._randomness = randomness or SystemRandom()
        self._paces = dict(PACES)
        self._exchange: Exchange | None = None
        self._held: Lease | None = None
        self._begun = 0.0
        """When what is held was asked for, by the clock of `now`."""
        self._offers: list[tuple[Answer, Address]] = []
        self._probing: Lease | None = None
        self._probe_again = inf
        self._hint = ""
        """The address to ask for: what it had last."""
        self._failures = 0
        """How often it has begun anew since it had a lease."""

    # --- what the driver calls ----------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        return self._settled(now, self._ask(now))

    def resume(self, lease: Lease, now: float, clock: float) -> list[Action]:
        """Nobody answers for ten seconds: it is held as it was (18.2.3), and said to be `Bound`."""
        self._keep(lease, now - max(0.0, clock - lease.since))
        delay = self._delay()
        if now >= self._end(lease.lifetime):
            return self._settled(now, [self._gone("it has ended"), *self._ask(now, delay)])
        if not lease.address:
            return self._settled(now, self._ask(now, delay))
        kind, server = Kind.CONFIRM, b""
        if now >= self._end(lease.rebind_after):
            kind = Kind.REBIND
        elif now >= self._end(lease.renew_after):
            kind, server = Kind.RENEW, _server(lease)
        return self._settled(now, self._begin(kind, now, server, (_bare(lease),), delay))

    def hold(self, lease: Lease, now: float, clock: float) -> list[Action]:
        self._keep(lease, now - max(0.0, clock - lease.since))
        self._exchange = self._probing = None
        return self._settled(now, [])

    def receive(self, payload: bytes, now: float, clock: float) -> list[Action]:
        try:
            answer = message6.answer(payload)
        except Malformed:
            return []
        exchange = self._exchange
        if exchange is None or not self._is_awaited(answer, exchange):
            return []
        self._learn(answer, exchange)
        return self._settled(now, self._answered(answer, exchange, now, clock))

    def probed(self, address: str, taken_by: str, now: float, clock: float) -> list[Action]:
        lease = self._probing
        if lease is None or _bare(lease) != address:
            return []
        self._probing = None
        if not taken_by:
            return self._settled(now, self._bind(lease, now, clock))
        self.trouble = f"{address}, which a server gave, is in use by {taken_by}"
        declined = self._begin(Kind.DECLINE, now, _server(lease), (address,))
        return self._settled(now, declined)

    def tick(self, now: float, clock: float) -> list[Action]:
        return self._settled(now, self._passed(now))

    def release(self) -> list[Action]:
        exchange = self._exchange
        if exchange is None or exchange.kind is not Kind.RELEASE:
            given = [each for each in (self._probing, self._held) if each and each.address]
            self._forget()
            if not given:
                self.released = True
                return []
            addresses = tuple(map(_bare, given))
            self._begin(Kind.RELEASE, inf, _server(given[0]), addresses, delay=inf)
            self.listening = True
        return [self._exchange.again(self._settings, 0.0)] if self._exchange else []

    # --- answers --------------------------------------------------------------------------

    def _is_awaited(self, answer: Answer, exchange: Exchange) -> bool:
        """Sections 16.3 and 16.10; whether it has what it must, `message6.answer` has seen."""
        if (answer.transaction, answer.client) != (exchange.transaction, self._settings.duid):
            return False
        if exchange.kind in _TO_ONE_SERVER and answer.server != exchange.server:
            return False
        if exchange.kind is Kind.SOLICIT:
            offered = answer.kind == Kind.ADVERTISE
            return offered or (answer.rapid_commit and self._settings.rapid_commit)
        return answer.kind == Kind.REPLY

    def _learn(self, answer: Answer, exchange: Exchange) -> None:
        """Also of one that offers nothing (21.24)."""
        for kind, told in (
            (Kind.SOLICIT, answer.solicit_most),
            (Kind.INFORMATION_REQUEST, answer.information_most),
        ):
            self._paces[kind] = limited(self._paces[kind], told)
        exchange.retransmission.pace = self._paces[exchange.kind]

    def _answered(
        self, answer: Answer, exchange: Exchange, now: float, clock: float
    ) -> list[Action]:
        kind = exchange.kind
        exchange.heard = True
        if kind is Kind.RELEASE:
            self.released = True
            self._forget()
            return []
        if kind is Kind.DECLINE:
            return self._ask_anew(now)
        status = self._status(answer)
        if status.code:
            self.trouble = f"server {answer.server.hex()} answers {kind.name}: {_words(status)}"
        if status.code in _TRY_AGAIN:
            return []
        if status.code == Code.NOT_ON_LINK and self._held is not None:
            return self._lose("it is not of this link, a server says", now)
        if kind is Kind.CONFIRM:
            return [] if status.code else self._keep_on()
        # Which of several alike was granted can't be told; to count from the first is safe.
        since = clock - (now - exchange.retransmission.began)
        if kind is Kind.INFORMATION_REQUEST:
            given = lease6.configuration(answer, since)
            return [] if status.code else self._bind(given, now, clock)
        association = answer.association(self._settings.iaid) or Association(0)
        wanted = exchange.addresses[0] if exchange.addresses else ""
        address = lease6.usable(association, wanted)
        if status.code or address is None:
            return self._given_nothing(answer, association, status, exchange, now)
        if answer.kind == Kind.ADVERTISE:
            return self._offered(answer, address, exchange, now)
        lease = lease6.lease(answer, association, address, since)
        if clock >= since + lease.renew_after:  # it has grown old on the way: that would not last
            return self._begin(Kind.REQUEST, now, answer.server, (address.address,))
        return self._granted(lease, association, now, clock)

    def _status(self, answer: Answer) -> Status:
        """The message's, or that of its association, which is where most servers put it."""
        association = answer.association(self._settings.iaid)
        if answer.status.code == Code.SUCCESS and association is not None:
            return association.status
        return answer.status

    def _offered(
        self, answer: Answer, address: Address, exchange: Exchange, now: float
    ) -> list[Action]:
        if len(self._offers) < _MOST_OFFERS:
            self._offers.append((answer, address))
        # After the first second, the first who answers is asked (18.2.1).
        if answer.preference == _HIGHEST_PREFERENCE or exchange.retransmission.count > 1:
            return self._ask_next(now)
        if len(self._offers) == 1:
            retransmission = exchange.retransmission
            others = max(_COLLECT_SECONDS, now - retransmission.began)
            retransmission.due = min(retransmission.due, now + others)
        return []

    def _granted(
        self, lease: Lease, association: Association, now: float, clock: float
    ) -> list[Action]:
        """Of a renewal, the same address; else one that nobody may have yet."""
        if self._held is not None and lease.address == self._held.address:
            return self._bind(lease, now, clock)
        lost = []
        if self._held is not None and lease6.withdrawn(association, self.address):
            lost = [self._gone("the server has taken it back, and gives another")]
        self._exchange = None
        self._probing = lease
        return [*lost, *self._probe(lease, now)]

    def _probe(self, lease: Lease, now: float) -> list[Action]:
        """Once more where its end was never told: who looked could not go on."""
        self._probe_again = now + _PROBE_AGAIN
        return [Probe(_bare(lease))]

    def _given_nothing(
        self, answer: Answer, association: Association, status: Status, exchange: Exchange,
        now: float,
    ) -> list[Action]:  # fmt: skip
        """Sections 18.2.9 and 18.2.10.1. What one server does not give, another may."""
        if not status.code:
            self.trouble = f"server {answer.server.hex()} gives no address that can be used"
        if exchange.kind is Kind.SOLICIT:
            return []
        if exchange.kind is Kind.REQUEST:
            return self._ask_next(now)
        if status.code == Code.NO_BINDING:
            return self._begin(Kind.REQUEST, now, answer.server, exchange.addresses)
        if lease6.withdrawn(association, self.address):
            return self._lose("the server has taken it back", now)
        return []

    # --- time -----------------------------------------------------------------------------

    def _passed(self, now: float) -> list[Action]:
        held, exchange = self._held, self._exchange
        if held is not None and now >= self._end(held.lifetime):
            lost = self._gone("it has ended, and no server has renewed it")
            goes_on = self._probing is not None or (
                exchange is not None and exchange.kind not in _ABOUT_THE_HELD
            )
            return [lost] if goes_on else [lost, *self._ask(now)]
        if exchange is not None:
            return self._send_again(exchange, now)
        if self._probing is not None and now >= self._probe_again:
            return self._probe(self._probing, now)
        if held is None or self._probing is not None or now < self._end(held.renew_after):
            return []
        if not held.address:
            return self._ask(now, self._delay())
        if now < self._end(held.rebind_after):
            return self._begin(Kind.RENEW, now, _server(held), (_bare(held),))
        return self._begin(Kind.REBIND, now, b"", (_bare(held),))

    def _send_again(self, exchange: Exchange, now: float) -> list[Action]:
        kind, retransmission = exchange.kind, exchange.retransmission
        if kind is Kind.RENEW and self._held and now >= self._end(self._held.rebind_after):
            return self._begin(Kind.REBIND, now, b"", exchange.addresses)
        if now < retransmission.due:
            return []
        if kind is Kind.SOLICIT and self._offers:
            return self._ask_next(now)
        if retransmission.count and not exchange.heard:
            self.trouble = f"no server answers {kind.name}"
        if not retransmission.is_over(now):
            return [exchange.send(self._settings, now)]
        if kind is Kind.REQUEST:
            return self._ask_next(now)
        return self._keep_on() if kind is Kind.CONFIRM else self._ask_anew(now)

    # --- moves ----------------------------------------------------------------------------

    def _ask(self, now: float, delay: float = 0.0) -> list[Action]:
        if self._settings.stateless:
            return self._begin(Kind.INFORMATION_REQUEST, now, delay=delay)
        self._offers = []
        return self._begin(Kind.SOLICIT, now, b"", (self._hint,) if self._hint else (), delay)

    def _ask_next(self, now: float) -> list[Action]:
        """The best of those who have offered something, or everybody again.

        The one of the highest preference, of these the first.
        """
        if not self._offers:
            return self._ask_anew(now)
        best = max(self._offers, key=lambda offer: offer[0].preference)
        self._offers.remove(best)
        answer, address = best
        return self._begin(Kind.REQUEST, now, answer.server, (address.address,))

    def _ask_anew(self, now: float) -> list[Action]:
        """At once, but not over and over: what could not be had a moment ago can't be had now."""
        pause = min(_LONGEST_PAUSE, 2.0 ** (self._failures - 1)) if self._failures else 0.0
        self._failures += 1
        self._hint = ""
        return self._ask(now, pause)

    def _begin(
        self, kind: Kind, now: float, server: bytes = b"", addresses: tuple[str, ...] = (),
        delay: float = 0.0,
    ) -> list[Action]:  # fmt: skip
        self._exchange = Exchange(
            kind, server, addresses,
            pace=self._paces[kind], due=now + delay, randomness=self._randomness,
        )  # fmt: skip
        return [] if delay else [self._exchange.send(self._settings, now)]

    # --- what it has ------------------------------------------------------------------------

    def _keep(self, lease: Lease, begun: float) -> None:
        self._held, self._begun = lease, begun
        self.address = self._hint = _bare(lease)
        self._offers = []
        self._failures = 0

    def _bind(self, lease: Lease, now: float, clock: float) -> list[Action]:
        lost = []
        if self._held is not None and lease.address != self._held.address:
            lost = [self._gone(f"another is given: {_bare(lease)}")]
        self._keep(lease, now - max(0.0, clock - lease.since))
        return [*lost, *self._keep_on()]

    def _keep_on(self) -> list[Action]:
        self._exchange = None
        self.trouble = ""
        return [Bound(self._held)] if self._held else []

    def _lose(self, why: str, now: float) -> list[Action]:
        return [self._gone(why), *self._ask_anew(now)]

    def _gone(self, why: str) -> Lost:
        lost = Lost(f"the lease of {self.address} is gone: {why}")
        self._held, self.address = None, ""
        return lost

    def _forget(self) -> None:
        self._exchange = self._held = self._probing = None
        self.address = ""
        self.due, self.listening = None, False

    def _settled(self, now: float, actions: list[Action]) -> list[Action]:
        """`due` and `listening` are what they have to be after `actions`."""
        exchange, held = self._exchange, self._held
        times = [inf]
        self.listening = False
        if exchange is not None:
            times.append(exchange.retransmission.due)
            if now < exchange.sent + _LISTEN_SECONDS:
                self.listening = True
                times.append(exchange.sent + _LISTEN_SECONDS)
        elif self._probing is not None:
            times.append(self._probe_again)
        if held is not None:
            times.append(self._end(held.lifetime))
            if exchange is None and self._probing is None:
                times.append(self._end(held.renew_after))
            elif exchange is not None and exchange.kind is Kind.RENEW:
                times.append(self._end(held.rebind_after))
        first = min(times)
        self.due = None if first == inf else max(now, first)
        return actions

    def _end(self, seconds: float) -> float:
        return inf if seconds >= FOREVER else self._begun + seconds

    def _delay(self) -> float:
        return self._randomness.random() * _MAX_DELAY


def _bare(lease: Lease) -> str:
    return lease.address.partition("/")[0]


def _server(lease: Lease) -> bytes:
    return bytes.fromhex(lease.server)


def _words(status: Status) -> str:
    name = Code(status.code).name if status.code in _KNOWN else f"status {status.code}"
    return f"{name} ({status.text})" if status.text else name
