"""What a DHCP client and whoever drives one say to each other, whatever the family.

A client is a state machine without a socket or a clock: it is told what has come in and what time
it is, and answers what is to be done. So it can be killed between any two packets, resumed from
the lease alone, and a thousand of them are driven by one thread.
"""

from __future__ import annotations

from typing import Protocol

from ..model.value import Value

FOREVER = 0xFFFFFFFF
"""A lifetime of this many seconds never ends (RFC 2131, 3.3; RFC 8415, 7.7)."""


class Malformed(ValueError):
    """Bytes that are no message, no option, or none that can be used: why, for people."""


class Lease(Value):
    """What a server has given: all that a restart needs to go on with it.

    Times are seconds: `since` since 1970, when the message that was granted was sent; the others
    from then on, `FOREVER` for never. Of stateless DHCPv6 `address` is "", and `renew_after` when
    to ask anew. `server` is how the server calls itself: an IPv4 address, or a DUID in
    hexadecimal digits. `options` are the rest of what it has said, as it came: (number, data in
    hexadecimal digits), in the order of the message, fragments joined.
    """

    address: str
    """In CIDR form; of IPv6 /128."""
    server: str
    since: float
    renew_after: float
    rebind_after: float
    lifetime: float
    options: tuple[tuple[int, str], ...] = ()


class Said(Value):
    """What the options of a lease say of the network; what they don't say is empty.

    `routes` are (destination in CIDR form, gateway or "" for on the link). `mtu` is in bytes, 0
    where nothing was said of it.
    """

    gateway: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    mtu: int = 0
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    hostname: str = ""


class Send(Value):
    """A message for the wire. `to` is the server's address, "" for every server there is."""

    payload: bytes
    to: str = ""


class Probe(Value):
    """Whether somebody else uses `address` is to be found out, and `Client.probed` to be told."""

    address: str


class Bound(Value):
    """`lease` is given, renewed, or confirmed; or nobody answered who could have confirmed it."""

    lease: Lease


class Lost(Value):
    """There is no lease any more: `why`, for people. The client has begun to look for another."""

    why: str


Action = Send | Probe | Bound | Lost


class Client(Protocol):
    """One lease of one interface. Times are `time.monotonic()` seconds.

    `due` is when `tick` wants to be called, None for when there is nothing to wait for. While
    `listening`, an answer is awaited, and the wire has to be open; when not, nothing need pin the
    namespace. `address` is what the client has, without prefix length, "" for nothing; after
    `release` what it had, for the wire. `trouble` is what went wrong last, for people, "" for
    nothing.
    """

    due: float | None
    listening: bool
    address: str
    trouble: str

    def start(self, now: float) -> list[Action]:
        """Ask for a lease."""

    def resume(self, lease: Lease, now: float, clock: float) -> list[Action]:
        """Go on with what was given before a restart: it is confirmed with the server.

        `clock` is the time now in seconds since 1970.
        """

    def hold(self, lease: Lease, now: float, clock: float) -> list[Action]:
        """Go on with it as it is: it was given, or confirmed, a moment ago by another client."""

    def receive(self, payload: bytes, now: float, clock: float) -> list[Action]:
        """A message has come in: the UDP payload. What is none of ours, or no DHCP, changes
        nothing.
        """

    def probed(self, address: str, taken_by: str, now: float, clock: float) -> list[Action]:
        """The end of a `Probe`: the MAC of who uses the address, "" where nobody does."""

    def tick(self, now: float, clock: float) -> list[Action]:
        """`due` has come."""

    def release(self) -> list[Action]:
        """Give back what it has: one message, to which IPv4 has no answer."""
