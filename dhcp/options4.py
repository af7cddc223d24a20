"""DHCPv4 options: numbers, bytes, and what they mean (RFC 2132, 3396, 3397, 3442).

Whatever a server sends, these functions give a value or raise `Malformed`, in time and memory
bounded by the message.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network
from typing import TypeVar

from .client import Lease, Malformed, Said

T = TypeVar("T")

(
    SUBNET_MASK, ROUTER, NAME_SERVERS, HOST_NAME, DOMAIN, MTU, BROADCAST, STATIC_ROUTES,
    REQUESTED, LIFETIME, OVERLOAD, MESSAGE_TYPE, SERVER, ASKED, REASON, LONGEST, RENEW_AFTER,
    REBIND_AFTER, CLASS, CLIENT, USER_CLASS, SEARCH, ROUTES,
) = (
    1, 3, 6, 12, 15, 26, 28, 33, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 77, 119, 121
)  # fmt: skip
_PAD, _END = 0, 255

ASK = (
    SUBNET_MASK, ROUTES, ROUTER, STATIC_ROUTES, NAME_SERVERS, HOST_NAME, DOMAIN, SEARCH, MTU,
    BROADCAST, LIFETIME, SERVER, RENEW_AFTER, REBIND_AFTER,
)  # fmt: skip
"""What is asked for (option 55); routes in this order (RFC 3442, "DHCP Client Behavior")."""
_OURS = frozenset((REQUESTED, OVERLOAD, MESSAGE_TYPE, SERVER, ASKED))
"""What makes a message what it is: nobody else has a say in these."""

_NUMBERS = {  # the reference's names
    "dhcp-client-identifier": CLIENT,
    "subnet-mask": SUBNET_MASK,
    "routers": ROUTER,
    "host-name": HOST_NAME,
    "user-class": USER_CLASS,
    "vendor-class-identifier": CLASS,
}
_LONGEST_ID = 254
"""Of option 61 without its type: the reference cuts there, so that one octet holds the length."""
_LONGEST = 255
_DEFAULT = "0.0.0.0/0"
_SMALLEST_MTU = 576
"""What every host takes (RFC 791, 3.1): one that says less has been set up wrong."""
_SHORTEST_PREFIX = 8
"""Nobody has more than a class A network: a shorter mask would take half the Internet for near."""
MOST_ROUTES = 500
_NOWHERE = tuple(
    map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"))
)
"""To these a router leads nobody (RFC 6890, 2.2.2)."""
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253
_STEPS = 256


def number_of(name: str) -> int:
    """The number of an option that is called by the reference's name for it, or "119".

    Raises `Malformed`.
    """
    if name in _NUMBERS:
        return _NUMBERS[name]
    if re.fullmatch("[0-9]{1,3}", name) and _PAD < int(name) < _END:
        return int(name)
    known = ", ".join(_NUMBERS)
    raise Malformed(f"there is no DHCP option {name!r}; use a number from 1 to 254, or {known}")


def provided(name: str) -> int:
    """The same, of an option that a client may be made to send. Raises `Malformed`."""
    number = number_of(name)
    if number in _OURS:
        raise Malformed(f"DHCP option {number} is the protocol's own; nobody can provide it")
    return number


def client_id(container: str, network: str, interface: str) -> bytes:
    """Option 61 as the reference has it, so that reservations at the server carry over."""
    return b"\0" + f"{container}/{network}/{interface}".encode()[:_LONGEST_ID]


def encoded(options: Iterable[tuple[int, bytes]]) -> bytes:
    """With the end mark; what is too long for one option in several (RFC 3396)."""
    area = bytearray()
    for number, data in options:
        for at in range(0, len(data) or 1, _LONGEST):
            part = data[at : at + _LONGEST]
            area += bytes((number, len(part))) + part
    return bytes(area) + bytes((_END,))


def split(area: bytes, file: bytes = b"", sname: bytes = b"") -> dict[int, bytes]:
    """Data by number, fragments joined; from `file` and `sname` too where option 52 says so.

    Raises `Malformed` where an option does not fit in.
    """
    found: dict[int, bytes] = {}
    _gather(area, found)
    overload = found.pop(OVERLOAD, b"\0")
    if len(overload) != 1 or overload[0] > 3:
        raise Malformed(f"option {OVERLOAD} is {overload.hex() or 'empty'}")
    if overload[0] & 1:  # in this order: RFC 3396, section 5
        _gather(file, found)
    if overload[0] & 2:
        _gather(sname, found)
    return found


def _gather(area: bytes, found: dict[int, bytes]) -> None:
    at = 0
    while at < len(area) and area[at] != _END:
        if area[at] == _PAD:
            at += 1
            continue
        data = area[at + 2 :][: area[at + 1]] if at + 1 < len(area) else b""
        if at + 2 > len(area) or len(data) != area[at + 1]:
            raise Malformed(f"option {area[at]} is cut off")
        found[area[at]] = found.get(area[at], b"") + data
        at += 2 + len(data)


packed = socket.inet_aton
unpacked = socket.inet_ntoa


def addresses(data: bytes) -> tuple[str, ...]:
    """At least one, each of a host. Raises `Malformed`."""
    if not data or len(data) % 4:
        raise Malformed(f"{len(data)} bytes are no IPv4 addresses")
    return tuple(host(data[at : at + 4]) for at in range(0, len(data), 4))


def host(data: bytes) -> str:
    """An address that one host can have on a network. Raises `Malformed`."""
    if len(data) != 4:
        raise Malformed(f"{len(data)} bytes are no IPv4 address")
    text = socket.inet_ntoa(data)
    if data[0] in (0, 127) or data[0] >= 224:
        raise Malformed(f"{text} is no address of a host")
    return text


def prefix_length(data: bytes) -> int:
    """Of a mask. Raises `Malformed`."""
    bits = f"{number(data):032b}"
    length = bits.count("1")
    if length < _SHORTEST_PREFIX or "01" in bits:
        raise Malformed(f"{socket.inet_ntoa(data)} is no subnet mask")
    return length


def number(data: bytes, size: int = 4) -> int:
    """Raises `Malformed` where it is not of `size` bytes."""
    if len(data) != size:
        raise Malformed(f"a number of {len(data)} bytes, not {size}")
    return int.from_bytes(data, "big")


def static_routes(data: bytes) -> tuple[tuple[str, str], ...]:
    """Of option 33: the networks are of the classes there once were. Raises `Malformed`."""
    if not data or len(data) % 8:
        raise Malformed(f"{len(data)} bytes are no static routes")
    return tuple(
        (_classful(data[at : at + 4]), host(data[at + 4 : at + 8])) for at in range(0, len(data), 8)
    )


def _classful(data: bytes) -> str:
    return _network(data, 8 if data[0] < 128 else 16 if data[0] < 192 else 24)


def classless_routes(data: bytes) -> tuple[tuple[str, str], ...]:
    """Of option 121 (RFC 3442): destination, and gateway or "" for on the link.

    Raises `Malformed`.
    """
    routes = []
    at = 0
    while at < len(data):
        width = data[at]
        octets = (width + 7) // 8
        after = at + 1 + octets
        if width > 32 or after + 4 > len(data):
            raise Malformed("its routes are cut off, or of more than 32 bits")
        gateway = data[after : after + 4]
        destination = _network(data[at + 1 : after].ljust(4, b"\0"), width)
        routes.append((destination, host(gateway) if any(gateway) else ""))
        at = after + 4
    if not routes:
        raise Malformed("no route at all")
    return tuple(routes)


def _network(data: bytes, width: int) -> str:
    mask = 0xFFFFFFFF << (32 - width) & 0xFFFFFFFF
    masked = int.from_bytes(data, "big") & mask
    return f"{socket.inet_ntoa(masked.to_bytes(4, 'big'))}/{width}"


def name(data: bytes) -> str:
    """Of a host or a domain, without a dot at the end. Raises `Malformed`."""
    text = data.rstrip(b"\0").decode("ascii", "replace").removesuffix(".")
    return _checked(text)


def _checked(text: str) -> str:
    if len(text) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, text.split("."))):
        raise Malformed(f"{text[:64]!r} is no name")
    return text


def names(data: bytes) -> tuple[str, ...]:
    """Of option 119: compressed as in the DNS (RFC 3397, RFC 1035 4.1.4). Raises `Malformed`."""
    found: list[str] = []
    at = 0
    while at < len(data):
        text, at = _expanded(data, at)
        found.append(text)
    if not found:
        raise Malformed("no name at all")
    return tuple(found)


def _expanded(data: bytes, start: int) -> tuple[str, int]:
    """The name that begins at `start`, and where the next one does.

    Each pointer leads to before the one that led there; a name that takes more steps than any
    name has labels is none.
    """
    labels: list[str] = []
    at = first = start
    after = 0
    for _ in range(_STEPS):
        length = _octet(data, at)
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | _octet(data, at + 1)
            after = after or at + 2
            if target >= first:
                raise Malformed("a compressed name leads forward")
            at = first = target
        elif length > 63:
            raise Malformed("a label is too long")
        elif length == 0:
            return _checked(".".join(labels)), after or at + 1
        elif at + length >= len(data):
            raise Malformed("a name is cut off")
        else:
            labels.append(data[at + 1 : at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
    raise Malformed("a name has no end")


def _octet(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Malformed("a name is cut off")
    return data[at]


def text(data: bytes) -> str:
    """For people: what can be printed of it, and not too much."""
    shown = data[:200].decode("ascii", "replace")
    return "".join(letter for letter in shown if letter.isprintable()).strip()


def decoded(lease: Lease) -> Said:
    """What the lease says of the network.

    With classless routes, routers and static routes are ignored (RFC 3442). Names, servers and
    MTU that make no sense are as if they had not been said; routes were looked at before the
    lease was taken.
    """
    data = {number: bytes.fromhex(digits) for number, digits in lease.options}
    gateway, routes = routing(data, lease.address)
    return Said(
        gateway=gateway,
        routes=routes,
        mtu=_sensible(_mtu, data.get(MTU), 0),
        nameservers=tuple(_hosts(data.get(NAME_SERVERS, b""))),
        domain=_sensible(name, data.get(DOMAIN), ""),
        search=_sensible(names, data.get(SEARCH), ()),
        hostname=_sensible(name, data.get(HOST_NAME), ""),
    )


def routing(data: dict[int, bytes], own: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The default gateway, and all routes, of who has the address `own`. Raises `Malformed`.

    There is one for each destination, the first, and none to where nobody is led. Those on the
    link come first, as others' gateways are reached by them, then the default, and no more than
    `MOST_ROUTES` in all. A gateway that nothing but a router's option tells of is on the link of
    an address that is alone in its subnet (public clouds have those).
    """
    if ROUTES in data:
        found = classless_routes(data[ROUTES])
    else:
        found = static_routes(data[STATIC_ROUTES]) if STATIC_ROUTES in data else ()
        if ROUTER in data:
            gateway = addresses(data[ROUTER])[0]
            on_the_link = ((f"{gateway}/32", ""),) if own.endswith("/32") else ()
            found = (*on_the_link, *found, (_DEFAULT, gateway))
    routes: dict[str, str] = {}
    for destination, via in found:
        if _leads_on(IPv4Network(destination), IPv4Interface(own)):
            routes.setdefault(destination, via)
    ordered = sorted(routes.items(), key=lambda each: (bool(each[1]), each[0] != _DEFAULT))
    return routes.get(_DEFAULT, ""), tuple(ordered[:MOST_ROUTES])


def _leads_on(destination: IPv4Network, own: IPv4Interface) -> bool:
    if any(map(destination.subnet_of, _NOWHERE)):
        return False
    return destination != IPv4Network(own.ip)


def _hosts(data: bytes) -> Iterator[str]:
    """Those of the addresses that a host can have; of what is no list of addresses none."""
    for at in range(0, 0 if len(data) % 4 else len(data), 4):
        with suppress(Malformed):
            yield host(data[at : at + 4])


def _mtu(data: bytes) -> int:
    if (size := number(data, 2)) < _SMALLEST_MTU:
        raise Malformed(f"an MTU of {size}")
    return size


def _sensible(decode: Callable[[bytes], T], data: bytes | None, otherwise: T) -> T:
    try:
        return decode(data) if data is not None else otherwise
    except Malformed:
        return otherwise
