"""What a DHCPv4 client says, message by message (RFC 2131, table 5)."""

from __future__ import annotations

from ..model.value import Value
from . import options4
from .client import Lease
from .message4 import DECLINE, DISCOVER, RELEASE, REQUEST, Message, build

_ROOM = (1400).to_bytes(2, "big")
"""The longest message we take: fragments are not put together, and an overlay's MTU is 1450."""


class Settings(Value):
    """Whose lease, and how it is asked for.

    `client_id` is option 61; `ask` what option 55 asks for; `say` further options (number, data)
    that the server is told, all of them `options4.provided`; they win over `client_id`.
    `broadcast`: answers are to be broadcast, for an interface that gets no packets for an address
    it does not have yet (ipvlan). Seconds: `resend_max` is the longest pause before a message is
    sent again, `timeout` how long an answer is listened for while there is a lease,
    `decline_wait` the pause after an address was declined (RFC 2131, 3.1 (5): 10 at least).
    """

    mac: str
    client_id: bytes
    ask: tuple[int, ...] = options4.ASK
    say: tuple[tuple[int, bytes], ...] = ()
    broadcast: bool = False
    resend_max: float = 62.0
    timeout: float = 10.0
    decline_wait: float = 10.0


def discover(by: Settings, xid: int, secs: float) -> bytes:
    return _asked(by, DISCOVER, xid, secs)


def request_of_offer(by: Settings, xid: int, secs: float, offer: Lease) -> bytes:
    """SELECTING: other servers hear that theirs is not taken."""
    return _asked(by, REQUEST, xid, secs, _wanted(offer), _server(offer))


def request_of_known(by: Settings, xid: int, secs: float, lease: Lease) -> bytes:
    """INIT-REBOOT: whether it is still good."""
    return _asked(by, REQUEST, xid, secs, _wanted(lease))


def request_of_more(by: Settings, xid: int, secs: float, lease: Lease) -> bytes:
    """RENEWING and REBINDING: for longer."""
    return _asked(by, REQUEST, xid, secs, ciaddr=host_of(lease))


def decline(by: Settings, xid: int, lease: Lease) -> bytes:
    return _told(by, DECLINE, xid, _wanted(lease), _server(lease))


def release(by: Settings, xid: int, lease: Lease) -> bytes:
    return _told(by, RELEASE, xid, _server(lease), ciaddr=host_of(lease))


def host_of(lease: Lease) -> str:
    """The address without its prefix length."""
    return lease.address.partition("/")[0]


def _asked(
    by: Settings, kind: int, xid: int, secs: float, *ours: tuple[int, bytes], ciaddr: str = ""
) -> bytes:
    said = {options4.CLIENT: by.client_id, options4.LONGEST: _ROOM, **dict(by.say), **dict(ours)}
    if by.ask:
        said[options4.ASKED] = bytes(by.ask)
    message = Message(
        kind=kind,
        xid=xid,
        mac=by.mac,
        secs=int(secs),
        # What goes to an address that is had comes in.
        broadcast=by.broadcast and not ciaddr,
        ciaddr=ciaddr,
        options=tuple(said.items()),
    )
    return build(message)


def _told(by: Settings, kind: int, xid: int, *ours: tuple[int, bytes], ciaddr: str = "") -> bytes:
    """Without what is for a lease to come."""
    known = dict(by.say).get(options4.CLIENT, by.client_id)
    options = ((options4.CLIENT, known), *ours)
    return build(Message(kind=kind, xid=xid, mac=by.mac, ciaddr=ciaddr, options=options))


def _wanted(lease: Lease) -> tuple[int, bytes]:
    return options4.REQUESTED, options4.packed(host_of(lease))


def _server(lease: Lease) -> tuple[int, bytes]:
    return options4.SERVER, options4.packed(lease.server)
