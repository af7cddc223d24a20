"""DHCPv4 as a client: the states of RFC 2131, 4.4, without a socket or a clock.

Rules that hold here:
- Each message sent is remembered with its time under its xid; only an answer to one of those
  counts, and a lease counts from when what it answers was first sent: never longer than the
  server's.
- Whatever happens to a lease, the address is ours until `Lost` says otherwise, and never after.
- A message that is not expected, or can't be used, changes nothing but `trouble`.
"""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from random import Random, SystemRandom

from msgspec.structs import replace

from . import asking4, offers4, options4
from .asking4 import Settings, host_of
from .client import FOREVER, Action, Bound, Lease, Lost, Malformed, Probe, Send
from .message4 import ACK, NAK, OFFER, REPLIES, Message, parse

_FIRST = 2.0
"""Seconds until what had no answer is sent again, twice that for each time after it. RFC 2131,
4.1, has 4 for its slow Ethernet; the reference has 2. A container waits for this."""
_TRIES = 3
"""How often a REQUEST is sent before something else is tried."""
_SLOWEST = 60.0
"""Seconds between two attempts to renew, at least (RFC 2131, 4.4.5) ..."""
_SHARE = 1 / 16
"""... or this much of the lease where that is less: one of seconds is asked for more than once."""
_FUZZ = 0.05
"""Leases given at the same time are not renewed at the same time (RFC 2131, 4.4.5)."""
_LINGER = 1.0
"""Seconds that an offer is listened for beyond `timeout`: whoever asks gives up before that."""
_PROBE_AGAIN = 5.0
"""Seconds after which the end of a `Probe`, which takes far less, will not be told any more."""
_REMEMBERED = 8
"""Messages to which an answer still counts."""
_SYSTEM = SystemRandom()


class State(Enum):
    INIT = auto()
    """Nothing is wanted, or not yet."""
    SELECTING = auto()
    REQUESTING = auto()
    PROBING = auto()
    REBOOTING = auto()
    BOUND = auto()
    RENEWING = auto()
    REBINDING = auto()


_HOLDING = (State.REBOOTING, State.BOUND, State.RENEWING, State.REBINDING)


class Client4:
    """The `client.Client` of IPv4."""

    def __init__(self, settings: Settings, randomness: Random = _SYSTEM) -> None:
        self.due: float | None = None
        self.listening = False
        self.address = ""
        self.trouble = ""
        self.state = State.INIT
        self._settings = settings
        self._random = randomness
        self._sent: dict[int, float] = {}
        """When what is not answered yet was first sent, by xid."""
        self._began = 0.0
        self._tries = 0
        self._refusals = 0
        self._lease: Lease | None = None
        """What is had, or in SELECTING .. PROBING what is on offer."""
        self._start = 0.0
        """When the lease began, in monotonic time."""
        self._again = self._until = inf
        """While there is a lease, and in SELECTING: when to ask again, how long to listen."""

    # What the caller wants

    def start(self, now: float) -> list[Action]:
        return self._discover(now)

    def hold(self, lease: Lease, now: float, clock: float) -> list[Action]:
        if self._take(lease, now, clock):
            self._rest(now)
            return []
        return self._lose("it ended while nobody held it", now)

    def resume(self, lease: Lease, now: float, clock: float) -> list[Action]:
        if not self._take(lease, now, clock):
            return self._lose("it ended while nobody held it", now)
        self._enter(State.REBOOTING, now)
        return self._ask_again(now)

    def release(self) -> list[Action]:
        lease, state = self._lease, self.state
        self._forget()
        if lease is None or state not in (*_HOLDING, State.PROBING):
            return []
        # Where the interface has it still, the message is sent from there.
        self.address = host_of(lease)
        return [Send(asking4.release(self._settings, self._xid(), lease), to=lease.server)]

    def has_mac(self, mac: str) -> None:
        """The interface's, from now on: answers come to that one."""
        self._settings = replace(self._settings, mac=mac)

    # What happens

    def receive(self, payload: bytes, now: float, clock: float) -> list[Action]:
        try:
            message = parse(payload)
        except Malformed:
            return []
        if message.mac != self._settings.mac or message.kind not in REPLIES:
            return []
        if (sent := self._sent.get(message.xid)) is None:
            return []
        try:
            return self._answered(message, sent, now, clock)
        except Malformed as error:
            self.trouble = f"what {_server(message)} offers can't be used: {error}"
            return []

    def probed(self, address: str, taken_by: str, now: float, clock: float) -> list[Action]:
        lease = self._lease
        if self.state is not State.PROBING or lease is None or address != host_of(lease):
            return []
        if not taken_by:
            return self._bind(lease, now, clock)
        self._forget()
        self.trouble = f"{address} of {lease.server} is in use by {taken_by}: declined"
        self.due = now + self._settings.decline_wait
        return [Send(asking4.decline(self._settings, self._xid(), lease))]

    def tick(self, now: float, clock: float) -> list[Action]:
        if self.due is None or now < self.due:
            return []
        if self.state in _HOLDING:
            return self._keep(now)
        if self.state is State.REQUESTING and self._tries < _TRIES:
            return self._request(now)
        if self.state is State.REQUESTING:
            self.trouble = f"{self._offer().server} offered an address, and then fell silent"
        if self.state is State.PROBING:
            return self._probe(now)
        if self.state is not State.SELECTING:
            return self._discover(now)
        if now < self._again:
            self._set_due_selecting(now)
            return []
        return self._discover_again(now)

    # Getting a lease

    def _discover(self, now: float) -> list[Action]:
        self._forget()
        self._began = now
        self._enter(State.SELECTING, now)
        return self._discover_again(now)

    def _discover_again(self, now: float) -> list[Action]:
        self._wait(now)
        self._again = self.due or now
        self._until = now + self._settings.timeout + _LINGER
        self._set_due_selecting(now)
        return [Send(asking4.discover(self._settings, self._noted(now), now - self._began))]

    def _request(self, now: float) -> list[Action]:
        """What was offered; the xid stays the offer's (RFC 2131, 4.4.1)."""
        self._wait(now)
        (xid,) = self._sent
        secs = now - self._began
        return [Send(asking4.request_of_offer(self._settings, xid, secs, self._offer()))]

    def _answered(self, message: Message, sent: float, now: float, clock: float) -> list[Action]:
        """Raises `Malformed` for an offer that can't be used."""
        if self.state is State.SELECTING and message.kind == OFFER:
            self._lease = offers4.lease(message, clock)
            self._enter(State.REQUESTING, now)
            self._sent = {message.xid: now}
            return self._request(now)
        if message.kind == NAK:
            return self._refused(message, now)
        if message.kind != ACK or self.state not in (State.REQUESTING, *_HOLDING):
            return []
        lease = offers4.lease(message, clock - (now - sent))
        asked = self._offer()
        if host_of(lease) != host_of(asked):
            raise Malformed(
                f"it acknowledges {host_of(lease)} where {host_of(asked)} was asked for"
            )
        if self.state is not State.REQUESTING:
            return self._bind(lease, now, clock)
        if lease.server != asked.server:
            raise Malformed(f"{asked.server} was asked")
        self._lease = lease
        self._enter(State.PROBING, now)
        return self._probe(now)

    def _probe(self, now: float) -> list[Action]:
        """Once more where its end was never told: who looked could not go on."""
        self.listening, self.due = False, now + _PROBE_AGAIN
        return [Probe(host_of(self._offer()))]

    def _refused(self, message: Message, now: float) -> list[Action]:
        """A NAK: of the server that was asked, or, where all were, of any."""
        server = _server(message)
        alone = self.state in (State.REQUESTING, State.RENEWING)
        if self.state is State.SELECTING or (alone and server != self._offer().server):
            return []
        reason = options4.text(message.option(options4.REASON) or b"")
        why = f"{server} refuses {host_of(self._offer())}" + (f": {reason}" if reason else "")
        self._refusals += 1
        if self.state is not State.REQUESTING:
            return self._lose(why, now)
        self.trouble = why
        if self._refusals == 1:
            return self._discover(now)
        # One that refuses what it offers itself is not asked as fast as it can answer.
        self._forget()
        self._tries = self._refusals - 2
        self._wait(now)
        self.listening = False
        return []

    # Having one

    def _bind(self, lease: Lease, now: float, clock: float) -> list[Action]:
        self.trouble, self._refusals = "", 0
        if not self._take(lease, now, clock):
            return self._lose("it was over before it began", now)
        self._rest(now)
        return [Bound(lease)]

    def _take(self, lease: Lease, now: float, clock: float) -> bool:
        """Whether it is still good."""
        self._lease, self.address = lease, host_of(lease)
        # A clock that was set back since makes no lease longer.
        self._start = now - max(0.0, clock - lease.since)
        return now < self._end()

    def _rest(self, now: float) -> None:
        """BOUND, until it is time to renew."""
        renew = self._offer().renew_after
        self._enter(State.BOUND, now)
        self._again = self._at(renew) - renew * _FUZZ * self._random.random()
        self._set_due(now)

    def _keep(self, now: float) -> list[Action]:
        lease = self._offer()
        if now >= self._end():
            return self._lose("it was not renewed in time", now)
        if now >= self._rebind():
            self._enter(State.REBINDING, now)
            return self._ask_again(now)
        if now < self._again:
            self._set_due(now)
            return []
        if self.state is State.REBOOTING and self._tries >= _TRIES:
            # Nobody says that it is not ours (RFC 2131, 3.2 (3)).
            self._rest(now)
            return [Bound(lease)]
        if self.state is State.BOUND:
            self._enter(State.RENEWING, now)
        return self._ask_again(now)

    def _ask_again(self, now: float) -> list[Action]:
        """REQUEST: of the server that gave it, or of all."""
        lease, to = self._offer(), ""
        whose = self._settings, self._noted(now), now - self._began
        if self.state is State.REBOOTING:
            self._wait(now)
            self._again = self.due or now
            message = asking4.request_of_known(*whose, lease)
        else:
            limit = self._end()
            if self.state is State.RENEWING:
                limit, to = self._at(lease.rebind_after), lease.server
            least = min(_SLOWEST, lease.lifetime * _SHARE)
            self._again = now + max((limit - now) / 2, least)
            message = asking4.request_of_more(*whose, lease)
        self._until = now + self._settings.timeout
        self._set_due(now)
        return [Send(message, to=to)]

    def _lose(self, why: str, now: float) -> list[Action]:
        lost = f"the lease of {self.address} is gone: {why}"
        again = self._discover(now)
        self.trouble = lost
        return [Lost(lost), *again]

    # How it is done

    def _offer(self) -> Lease:
        assert self._lease is not None, self.state
        return self._lease

    def _enter(self, state: State, now: float) -> None:
        if state is not State.REQUESTING:
            self._began = now
        self.state, self._tries = state, 0
        self._sent = {}
        self._until = -inf

    def _forget(self) -> None:
        """INIT: nothing is had, nothing is awaited."""
        self.state, self._lease, self.address = State.INIT, None, ""
        self.due, self.listening = None, False
        self._sent = {}

    def _noted(self, now: float) -> int:
        xid = self._xid()
        self._sent = dict([*self._sent.items()][1 - _REMEMBERED :]) | {xid: now}
        return xid

    def _xid(self) -> int:
        return self._random.getrandbits(32)

    def _wait(self, now: float) -> None:
        """Longer for each try, and never as long as others (RFC 2131, 4.1)."""
        delay = min(_FIRST * 2**self._tries, self._settings.resend_max)
        jitter = min(1.0, delay / 2)
        self._tries = min(self._tries + 1, 16)
        self.due = now + delay + self._random.uniform(-jitter, jitter)
        self.listening = True

    def _set_due_selecting(self, now: float) -> None:
        """The next DISCOVER may be a minute away: nothing is open for so long."""
        self.listening = now < self._until
        self.due = min(self._again, self._until) if self.listening else self._again

    def _set_due(self, now: float) -> None:
        """While there is a lease: what comes first."""
        self.listening = now < self._until
        listened = self._until if self.listening else inf
        first = min(self._again, listened, self._rebind(), self._end())
        self.due = None if first == inf else max(first, now)

    def _rebind(self) -> float:
        """When everybody is to be asked, where that is not what it does already."""
        if self.state in (State.REBINDING, State.REBOOTING):
            return inf
        return self._at(self._offer().rebind_after)

    def _end(self) -> float:
        return self._at(self._offer().lifetime)

    def _at(self, after: float) -> float:
        return self._start + after if after < FOREVER else inf


def _server(message: Message) -> str:
    data = message.option(options4.SERVER) or b""
    return options4.unpacked(data) if len(data) == 4 else "a server that does not say who it is"
