"""A DHCPv6 server without a socket, and a client: what tests of the client begin with."""

from __future__ import annotations

from random import Random
from typing import Any

from hands import Held, one

from pynet.dhcp import options6
from pynet.dhcp.client import Action, Bound, Lease, Send
from pynet.dhcp.client6 import Client6
from pynet.dhcp.exchange6 import Settings
from pynet.dhcp.message6 import Kind, Message, pack, unpack
from pynet.dhcp.options6 import Address, Association, Code, Option

DUID, IAID = options6.duid("c1", "web", "eth0"), options6.iaid("c1", "web", "eth0")
SETTINGS = Settings(duid=DUID, iaid=IAID)
CAREFUL = Settings(duid=DUID, iaid=IAID, rapid_commit=False)
SERVER, RIVAL = b"\0\3\0\1server", b"\0\3\0\1rival"
ADDRESS, ANOTHER = "2001:db8::5", "2001:db8::6"
NEIGHBOUR = "02:00:00:00:00:99"
NOTHING = Association(0)
RAPID: Option = (options6.RAPID_COMMIT, b"")


def offered(address: str = ADDRESS, preferred: int = 1800, valid: int = 3600) -> Association:
    return Association(IAID, 0, 0, (Address(address, preferred, valid),))


def refused(code: int) -> Option:
    return options6.STATUS_CODE, code.to_bytes(2, "big") + b"sorry"


def within(association: Association, *more: Option) -> Option:
    """An IA_NA, with options beside its addresses."""
    return options6.IA_NA, options6.pack_association(association) + options6.pack(more)


def answer(
    kind: Kind,
    asked: Message,
    given: Association | None = None,
    *options: Option,
    server: bytes = SERVER,
    client: bytes | None = DUID,
    transaction: int | None = None,
) -> bytes:
    """What a server says to `asked`; `given` is its IA_NA, None for the usual one."""
    said: list[Option] = [(options6.SERVER_ID, server)] if server else []
    if client is not None:
        said.append((options6.CLIENT_ID, client))
    if given is not NOTHING:
        said.append(within(offered() if given is None else given))
    number = asked.transaction if transaction is None else transaction
    return pack(Message(kind, number, (*said, *options)))


NO_ADDRESSES = within(Association(IAID), refused(Code.NO_ADDRS_AVAIL))


class Hands(Held):
    def __init__(self, settings: Settings = SETTINGS) -> None:
        super().__init__()
        self.client: Client6 = Client6(settings, Random(7))

    def start(self) -> Message:
        self.actions = self.client.start(self.now)
        return sent(self.actions)

    def resume(self, lease: Lease) -> list[Action]:
        self.actions = self.client.resume(lease, self.now, self.clock)
        return self.actions

    def probed(self, taken_by: str = "", address: str = ADDRESS) -> list[Action]:
        return self.find(address, taken_by)

    def wait_for_message(self) -> Message:
        """To when it sends something by itself."""
        for _ in range(5):
            if self.wait():
                return sent(self.actions)
        raise AssertionError(f"{self.client.trouble}, {self.client.due}")

    def bound(self, given: Association | None = None, *options: Option) -> Lease:
        """From nothing to a lease, by rapid commit."""
        asked = self.start()
        self.hear(answer(Kind.REPLY, asked, given, RAPID, *options))
        return one(self.probed(), Bound).lease


def sent(actions: list[Action]) -> Message:
    return unpack(one(actions, Send).payload)


def option(message: Message, code: int) -> bytes | None:
    return options6.first(message.options, code)


def wanted(message: Message) -> tuple[str, ...]:
    """The addresses in its IA_NA."""
    data = option(message, options6.IA_NA)
    assert data is not None
    return tuple(each.address for each in options6.association(data).addresses)


def asked_for(message: Message) -> set[int]:
    """The options it wants to be told."""
    data = option(message, options6.ORO) or b""
    return {int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)}


class Server:
    """A well-behaved one: who may have which address until when, as it understands it."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.ends: dict[str, float] = {}

    def serve(self, payload: bytes, now: float) -> bytes | None:
        asked = unpack(payload)
        has = next(iter(wanted(asked)), "")
        server = option(asked, options6.SERVER_ID)
        assert server in (None, SERVER)
        if asked.kind == Kind.SOLICIT:
            rapid = option(asked, options6.RAPID_COMMIT) is not None
            return self._give(asked, now, rapid)
        if asked.kind == Kind.REQUEST:
            return self._give(asked, now, True)
        if asked.kind == Kind.CONFIRM:
            return answer(Kind.REPLY, asked, NOTHING, refused(Code.SUCCESS))
        if asked.kind in (Kind.RENEW, Kind.REBIND):
            if self.ends.get(has, 0) > now:
                return self._give(asked, now, True)
            return answer(Kind.REPLY, asked, NOTHING, within(Association(IAID), refused(3)))
        if asked.kind in (Kind.RELEASE, Kind.DECLINE):
            self.ends.pop(has, None)
        return answer(Kind.REPLY, asked, NOTHING)

    def forget(self) -> None:
        """It comes up again with an empty table."""
        self.ends = dict.fromkeys(self.ends, 0.0)

    def _give(self, asked: Message, now: float, commit: bool) -> bytes:
        known = [text for text, end in self.ends.items() if end > now]
        address = (known or [f"2001:db8::{5 + len(self.ends) % 200}"])[0]
        given = offered(address, self.lifetime // 2, self.lifetime)
        if not commit:
            return answer(Kind.ADVERTISE, asked, given)
        self.ends[address] = max(self.ends.get(address, 0), now + self.lifetime)
        solicited = asked.kind == Kind.SOLICIT
        return answer(Kind.REPLY, asked, given, *((RAPID,) if solicited else ()))


def knobs(**changes: Any) -> Settings:
    return Settings(**{"duid": DUID, "iaid": IAID, **changes})
