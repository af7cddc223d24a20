"""A DHCPv4 server without a socket, and a client: what tests of the client begin with."""

from __future__ import annotations

from random import Random
from typing import Any

from dhcp4_answers import ADDRESS, answer, seconds
from hands import Held, one

from pynet.dhcp import options4
from pynet.dhcp.asking4 import Settings
from pynet.dhcp.client import Action, Lease, Send
from pynet.dhcp.client4 import Client4
from pynet.dhcp.message4 import ACK, DISCOVER, NAK, OFFER, RELEASE, REQUEST, Message, parse

MAC = "02:00:00:00:00:01"
SETTINGS = Settings(mac=MAC, client_id=b"\0c1/web/eth0")
STRANGER = options4.packed("10.20.0.9")  # another server


class Hands(Held):
    def __init__(self, settings: Settings = SETTINGS) -> None:
        super().__init__()
        self.client: Client4 = Client4(settings, Random(7))

    def start(self) -> Message:
        return self.did(self.client.start(self.now))

    def resume(self, lease: Lease) -> Message:
        return self.did(self.client.resume(lease, self.now, self.clock))

    def probed(self, taken_by: str = "", address: str = ADDRESS) -> list[Action]:
        return self.find(address, taken_by)

    def did(self, actions: list[Action]) -> Message:
        """The message it sent."""
        self.actions = actions
        return sent(actions)

    def bound(self, **options: Any) -> Lease:
        """From nothing to a lease."""
        offer = answer(OFFER, self.start(), **options)
        asked = sent(self.hear(offer))
        self.hear(answer(ACK, asked, **options))
        (bound,) = self.probed()
        lease: Lease = getattr(bound, "lease")  # noqa: B009
        return lease


def sent(actions: list[Action]) -> Message:
    return parse(one(actions, Send).payload)


class Server:
    """A well-behaved one: who may have which address until when, as it understands it."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.ends: dict[str, float] = {}

    def serve(self, payload: bytes, now: float) -> bytes | None:
        asked = parse(payload)
        address = f"10.20.0.{5 + len(self.ends) % 200}"
        wanted = asked.option(options4.REQUESTED)
        has = asked.ciaddr or (options4.unpacked(wanted) if wanted else "")
        if asked.kind == DISCOVER:
            known = [text for text, end in self.ends.items() if end > now]
            return answer(OFFER, asked, (known or [address])[0], options=self._options())
        if asked.kind == REQUEST:
            chosen = asked.option(options4.SERVER)
            if chosen is None and self.ends.get(has, 0) <= now:
                return answer(NAK, asked)
            self.ends[has] = max(self.ends.get(has, 0), now + self.lifetime)
            return answer(ACK, asked, has, options=self._options())
        if asked.kind == RELEASE:
            self.ends.pop(has, None)
        return None

    def forget(self) -> None:
        """It comes up again with an empty table."""
        self.ends = dict.fromkeys(self.ends, 0.0)

    def _options(self) -> dict[int, bytes]:
        return {options4.LIFETIME: seconds(self.lifetime)}
