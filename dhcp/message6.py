"""DHCPv6 messages (RFC 8415, section 8): a client's as bytes, and what a server says in one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ..model.value import Value
from . import options6
from .client import Malformed
from .options6 import Association, Option, Status

_HEADER = 4
_OTHER_FORMAT = (12, 13)
"""Between relays (section 9); no client gets one."""
_ACTED_ON = frozenset({
    options6.CLIENT_ID, options6.SERVER_ID, options6.PREFERENCE, options6.STATUS_CODE,
    options6.RAPID_COMMIT,
})  # fmt: skip


class Kind(IntEnum):
    """Section 7.3."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    INFORMATION_REQUEST = 11


class Message(Value):
    """One message; `kind` is one of `Kind`, or what a later standard has added."""

    kind: int
    transaction: int
    options: tuple[Option, ...] = ()


class Answer(Value):
    """What a server says, as far as a client acts upon it; `rest` is for others.

    `refresh`, `solicit_most` and `information_most` (options 32, 82, 83) are seconds, None where
    they are not told. The associations stand in `rest`, too, as they came.
    """

    kind: int
    transaction: int
    client: bytes
    server: bytes
    preference: int
    status: Status
    rapid_commit: bool
    associations: tuple[Association, ...]
    refresh: int | None
    solicit_most: int | None
    information_most: int | None
    rest: tuple[Option, ...]

    def association(self, iaid: int) -> Association | None:
        return next((each for each in self.associations if each.iaid == iaid), None)


def pack(message: Message) -> bytes:
    header = message.kind << 24 | message.transaction
    return header.to_bytes(_HEADER, "big") + options6.pack(message.options)


def unpack(payload: bytes) -> Message:
    """Raises `Malformed`."""
    if len(payload) < _HEADER:
        raise Malformed("a message ends in its header")
    if payload[0] in _OTHER_FORMAT:
        raise Malformed("a message between relays")
    transaction = int.from_bytes(payload[1:_HEADER], "big")
    return Message(payload[0], transaction, options6.unpack(payload[_HEADER:]))


def answer(payload: bytes) -> Answer:
    """An ADVERTISE or a REPLY that has what sections 16.3 and 16.10 ask of one.

    Raises `Malformed` for everything else.
    """
    message = unpack(payload)
    if message.kind not in (Kind.ADVERTISE, Kind.REPLY):
        raise Malformed("no answer of a server's")
    options = message.options
    return Answer(
        kind=message.kind,
        transaction=message.transaction,
        client=options6.duid_of(options, options6.CLIENT_ID),
        server=options6.duid_of(options, options6.SERVER_ID),
        preference=options6.octet(options, options6.PREFERENCE),
        status=options6.status(options),
        rapid_commit=options6.first(options, options6.RAPID_COMMIT) is not None,
        associations=_associations(options),
        refresh=options6.seconds(options, options6.INFORMATION_REFRESH_TIME),
        solicit_most=options6.seconds(options, options6.SOL_MAX_RT),
        information_most=options6.seconds(options, options6.INF_MAX_RT),
        rest=tuple(each for each in options if each[0] not in _ACTED_ON),
    )


def _associations(options: Iterable[Option]) -> tuple[Association, ...]:
    inside = (data for code, data in options if code == options6.IA_NA)
    return tuple(map(options6.association, inside))
