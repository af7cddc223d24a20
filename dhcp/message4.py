"""A DHCPv4 message as bytes, and back (RFC 2131, section 2; the options' own rules: options4).

Strict where a stranger could matter: what is parsed is Ethernet's, has the magic cookie, one
message type, and the direction which that type goes in. What a client never needs (`hops`,
`siaddr`, `giaddr`, and `sname` and `file` but as room for options) is not kept.
"""

from __future__ import annotations

import socket
from struct import Struct

from ..model.value import Value
from . import options4
from .client import Malformed

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
REPLIES = (OFFER, ACK, NAK)

_HEADER = Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_BOOTREQUEST, _BOOTREPLY = 1, 2
_ETHERNET, _MAC_LENGTH = 1, 6
_BROADCAST = 0x8000
_COOKIE = bytes((99, 130, 83, 99))
_SMALLEST = 300
"""BOOTP's length (RFC 951): some relays drop what is shorter."""
_MOST_SECONDS = 0xFFFF


class Message(Value):
    """`options` are without the message type, which is `kind`. No address is ""."""

    kind: int
    xid: int
    mac: str
    secs: int = 0
    broadcast: bool = False
    ciaddr: str = ""
    yiaddr: str = ""
    options: tuple[tuple[int, bytes], ...] = ()

    def option(self, number: int) -> bytes | None:
        return dict(self.options).get(number)


def build(message: Message) -> bytes:
    """The UDP payload."""
    kind = (options4.MESSAGE_TYPE, bytes((message.kind,)))
    header = _HEADER.pack(
        _BOOTREPLY if message.kind in REPLIES else _BOOTREQUEST,
        _ETHERNET,
        _MAC_LENGTH,
        0,
        message.xid,
        min(message.secs, _MOST_SECONDS),
        _BROADCAST if message.broadcast else 0,
        _packed(message.ciaddr),
        _packed(message.yiaddr),
        bytes(4),
        bytes(4),
        bytes.fromhex(message.mac.replace(":", "")),
        b"",
        b"",
        _COOKIE,
    )
    return (header + options4.encoded((kind, *message.options))).ljust(_SMALLEST, b"\0")


def parse(payload: bytes) -> Message:
    """Raises `Malformed`."""
    if len(payload) < _HEADER.size:
        raise Malformed(f"{len(payload)} bytes are no DHCP message")
    (operation, hardware, length, _, xid, secs, flags, ciaddr, yiaddr, _, _, mac, sname, file,
     cookie) = _HEADER.unpack_from(payload)  # fmt: skip
    if (hardware, length) != (_ETHERNET, _MAC_LENGTH):
        raise Malformed(f"it is for hardware of type {hardware} with addresses of {length} bytes")
    if cookie != _COOKIE:
        raise Malformed("BOOTP, not DHCP")
    options = options4.split(payload[_HEADER.size :], file, sname)
    kind = options.pop(options4.MESSAGE_TYPE, b"")
    if len(kind) != 1 or not DISCOVER <= kind[0] <= INFORM:
        raise Malformed(f"no such message type: {kind.hex() or 'none'}")
    if operation != (_BOOTREPLY if kind[0] in REPLIES else _BOOTREQUEST):
        raise Malformed(f"a message of type {kind[0]} does not go this way")
    return Message(
        kind=kind[0],
        xid=xid,
        mac=mac[:_MAC_LENGTH].hex(":"),
        secs=secs,
        broadcast=bool(flags & _BROADCAST),
        ciaddr=_text(ciaddr),
        yiaddr=_text(yiaddr),
        options=tuple(options.items()),
    )


def _packed(address: str) -> bytes:
    return socket.inet_aton(address or "0.0.0.0")


def _text(address: bytes) -> str:
    return socket.inet_ntoa(address) if any(address) else ""
