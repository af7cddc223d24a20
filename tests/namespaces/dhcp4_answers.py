"""What a DHCPv4 server says, well or badly."""

from __future__ import annotations

from typing import Any

from pynet.dhcp import options4
from pynet.dhcp.message4 import NAK, Message, build

SERVER, ADDRESS = "10.20.0.1", "10.20.0.5"


def answer(kind: int, asked: Message, address: str = ADDRESS, **changes: Any) -> bytes:
    """What a server says to `asked`; `options` come on top, None takes one away."""
    options: dict[int, bytes | None] = {options4.SERVER: options4.packed(SERVER)}
    if kind != NAK:
        options |= {
            options4.SUBNET_MASK: bytes((255, 255, 255, 0)),
            options4.ROUTER: options4.packed(SERVER),
            options4.LIFETIME: seconds(3600),
        }
    options |= changes.pop("options", {})
    said = Message(
        kind=kind,
        xid=changes.pop("xid", asked.xid),
        mac=changes.pop("mac", asked.mac),
        yiaddr="" if kind == NAK else address,
        options=tuple((number, data) for number, data in options.items() if data is not None),
    )
    assert not changes
    return build(said)


def seconds(number: int) -> bytes:
    return number.to_bytes(4, "big")
