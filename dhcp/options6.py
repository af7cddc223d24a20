"""DHCPv6 options as bytes (RFC 8415, section 21): packing, unpacking, nothing sent.

Rules that hold here:
- Whatever a server has sent, the one error is `Malformed`.
- Of an option that stands twice where one is meant, the first counts.
- Text from outside is printable, and a domain name is one that a resolv.conf may hold.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from hashlib import sha256
from uuid import UUID, uuid5

from ..model.value import Value
from .client import Lease, Malformed, Said

Option = tuple[int, bytes]

CLIENT_ID = 1
SERVER_ID = 2
IA_NA = 3
IAADDR = 5
ORO = 6
PREFERENCE = 7
ELAPSED_TIME = 8
STATUS_CODE = 13
RAPID_COMMIT = 14
USER_CLASS = 15
DNS_SERVERS = 23  # RFC 3646
DOMAIN_LIST = 24
SNTP_SERVERS = 31  # RFC 4075
INFORMATION_REFRESH_TIME = 32
CLIENT_FQDN = 39  # RFC 4704
SOL_MAX_RT = 82
INF_MAX_RT = 83

ASK = (DNS_SERVERS, DOMAIN_LIST)
"""What a container needs to know."""
ASKED_AS = {6: DNS_SERVERS, 15: DOMAIN_LIST, 42: SNTP_SERVERS, 119: DOMAIN_LIST}
"""What a number of DHCPv4's asks for has these numbers here; others have none."""
_HOST_NAME, _USER_CLASS = 12, 77
"""Numbers of DHCPv4's (RFC 2132, RFC 3004)."""

_HEADER = struct.Struct("!HH")
_SHORT = struct.Struct("!H")
_LONG = struct.Struct("!I")
_ASSOCIATION = struct.Struct("!III")  # IAID, T1, T2
_ADDRESS = struct.Struct("!16sII")  # address, preferred and valid lifetime
_DUID_UUID = 4  # RFC 6355
_OURS = UUID("fb9c9c0e-6f0c-5a3c-9d0e-4a4e2c6c1f5b")
"""Chosen once and for all: with another one every container would be a new client."""
_SHORTEST_DUID, _LONGEST_DUID = 3, 130  # section 11.1: two of them are its type
_LONGEST_LABEL, _LONGEST_NAME = 63, 255  # RFC 1035, section 3.1
_LABEL = re.compile(rb"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_SERVER_UPDATES = 0x01  # RFC 4704, section 4.1: the S bit


class Code(IntEnum):
    """Section 21.13; a server may send others."""

    SUCCESS = 0
    UNSPEC_FAIL = 1
    NO_ADDRS_AVAIL = 2
    NO_BINDING = 3
    NOT_ON_LINK = 4
    USE_MULTICAST = 5


class Status(Value):
    code: int = Code.SUCCESS
    text: str = ""


class Address(Value):
    """IAADDR; the lifetimes are seconds."""

    address: str
    preferred: int = 0
    valid: int = 0
    status: Status = Status()


class Association(Value):
    """IA_NA: the addresses of one interface, T1 and T2 in seconds."""

    iaid: int
    renew_after: int = 0
    rebind_after: int = 0
    addresses: tuple[Address, ...] = ()
    status: Status = Status()


# --- options in a row ---------------------------------------------------------------------


def pack(options: Iterable[Option]) -> bytes:
    return b"".join(_HEADER.pack(code, len(data)) + data for code, data in options)


def unpack(data: bytes) -> tuple[Option, ...]:
    """In their order. Raises `Malformed`."""
    found = []
    offset = 0
    while offset < len(data):
        if len(data) - offset < _HEADER.size:
            raise Malformed("an option ends in its header")
        code, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size + length
        if offset > len(data):
            raise Malformed(f"option {code} is longer than what it is in")
        found.append((code, data[offset - length : offset]))
    return tuple(found)


def first(options: Iterable[Option], wanted: int) -> bytes | None:
    return next((data for code, data in options if code == wanted), None)


# --- what is inside of them ---------------------------------------------------------------


def pack_association(association: Association) -> bytes:
    """The data of an IA_NA as a client sends it: without a status."""
    addresses = [
        (IAADDR, _ADDRESS.pack(_packed(each.address), each.preferred, each.valid))
        for each in association.addresses
    ]
    times = association.renew_after, association.rebind_after
    return _ASSOCIATION.pack(association.iaid, *times) + pack(addresses)


def association(data: bytes) -> Association:
    """Raises `Malformed`."""
    if len(data) < _ASSOCIATION.size:
        raise Malformed("an IA_NA is cut off")
    inside = unpack(data[_ASSOCIATION.size :])
    addresses = tuple(_address(each) for code, each in inside if code == IAADDR)
    iaid, renew, rebind = _ASSOCIATION.unpack_from(data)
    return Association(iaid, renew, rebind, addresses, status(inside))


def _address(data: bytes) -> Address:
    if len(data) < _ADDRESS.size:
        raise Malformed("an IAADDR is cut off")
    raw, preferred, valid = _ADDRESS.unpack_from(data)
    return Address(_text(raw), preferred, valid, status(unpack(data[_ADDRESS.size :])))


def status(options: Iterable[Option]) -> Status:
    """Success where none is told (section 21.13). Raises `Malformed`."""
    data = first(options, STATUS_CODE)
    if data is None:
        return Status()
    if len(data) < _SHORT.size:
        raise Malformed("a status is cut off")
    told = data[_SHORT.size :].decode(errors="replace")
    printable = "".join(each if each.isprintable() else "?" for each in told)
    return Status(_SHORT.unpack_from(data)[0], printable)


def duid_of(options: Iterable[Option], code: int) -> bytes:
    """The client's or the server's. Raises `Malformed` where there is none."""
    data = first(options, code)
    if data is None or not _SHORTEST_DUID <= len(data) <= _LONGEST_DUID:
        raise Malformed(f"option {code} is missing, or no DUID")
    return data


def octet(options: Iterable[Option], code: int) -> int:
    """0 where there is none. Raises `Malformed`."""
    data = first(options, code)
    if data is not None and len(data) != 1:
        raise Malformed(f"option {code} is not one octet")
    return data[0] if data else 0


def seconds(options: Iterable[Option], code: int) -> int | None:
    """None where there is none. Raises `Malformed`."""
    data = first(options, code)
    if data is None:
        return None
    if len(data) != _LONG.size:
        raise Malformed(f"option {code} is no time")
    return int(_LONG.unpack(data)[0])


def addresses(data: bytes) -> tuple[str, ...]:
    """Raises `Malformed`."""
    if len(data) % 16:
        raise Malformed("a list of addresses is cut off")
    return tuple(_text(data[at : at + 16]) for at in range(0, len(data), 16))


def domains(data: bytes) -> tuple[str, ...]:
    """Names as RFC 1035 has them, never compressed (section 10). Raises `Malformed`."""
    names = []
    labels: list[bytes] = []
    start = offset = 0
    while offset < len(data):
        length = data[offset]
        label = data[offset + 1 : offset + 1 + length]
        offset += 1 + length
        if length > _LONGEST_LABEL or offset > len(data) or offset - start > _LONGEST_NAME:
            raise Malformed("a domain name is cut off, compressed, or too long")
        if length:
            if not _LABEL.fullmatch(label):
                raise Malformed("a domain name has characters that none has")
            labels.append(label)
            continue
        if labels:  # the root alone is nothing to search in
            names.append(b".".join(labels).decode())
        labels, start = [], offset
    if labels:
        raise Malformed("a domain name has no end")
    return tuple(names)


# --- what a client says -------------------------------------------------------------------


def asked(codes: Iterable[int]) -> Option:
    """The option request option, each number once."""
    return ORO, b"".join(_SHORT.pack(code) for code in dict.fromkeys(codes))


def elapsed(since_first: float) -> Option:
    """Hundredths of a second since the exchange began; those of 11 minutes at most (21.9)."""
    return ELAPSED_TIME, _SHORT.pack(min(0xFFFF, max(0, int(since_first * 100))))


def user_class(*classes: bytes) -> Option:
    return USER_CLASS, _counted(classes)


def fqdn(name: str) -> Option:
    """The client's name, for the server to enter into DNS; one without a dot is completed there.

    Raises `Malformed` for what is no domain name.
    """
    labels = [label.encode("ascii", "replace") for label in name.rstrip(".").split(".")]
    if not all(_LABEL.fullmatch(label) and len(label) <= _LONGEST_LABEL for label in labels):
        raise Malformed(f"{name!r} is no host name")
    wire = b"".join(bytes((len(label),)) + label for label in labels)
    if len(wire) >= _LONGEST_NAME:
        raise Malformed(f"{name!r} is too long for a host name")
    end = b"\0" if len(labels) > 1 else b""
    return CLIENT_FQDN, bytes((_SERVER_UPDATES,)) + wire + end


def told_as(number: int, value: bytes) -> Option | None:
    """What says here what option `number` of DHCPv4 says there; None where nothing does.

    Raises `Malformed`.
    """
    if number == _HOST_NAME:
        return fqdn(value.decode(errors="replace"))
    return user_class(value) if number == _USER_CLASS else None


def duid(container: str, network: str, interface: str) -> bytes:
    """Who an attachment is to servers, whatever restarts: a DUID-UUID (RFC 6355)."""
    name = "/".join((container, network, interface))
    return _SHORT.pack(_DUID_UUID) + uuid5(_OURS, name).bytes


def iaid(container: str, network: str, interface: str) -> int:
    """The number of its association, the same after a restart (RFC 8415, section 12)."""
    name = "/".join((container, network, interface))
    return int.from_bytes(sha256(name.encode()).digest()[:4], "big")


# --- what is told -------------------------------------------------------------------------


def decoded(lease: Lease) -> Said:
    """What can't be read counts as not said: the address is not lost for it."""
    options = _options(lease)
    return Said(
        nameservers=_read(addresses, first(options, DNS_SERVERS)),
        search=_read(domains, first(options, DOMAIN_LIST)),
    )


def preferred(lease: Lease) -> int:
    """For how many seconds from `Lease.since` on its address is to be chosen for what is begun.

    It may be 0, and `FOREVER` (RFC 4862, section 5.5.4).
    """
    own = lease.address.partition("/")[0]
    try:
        ours = [association(data) for code, data in _options(lease) if code == IA_NA]
    except Malformed:
        return 0
    given = (each for one in ours for each in one.addresses)
    return next((each.preferred for each in given if each.address == own), 0)


def _options(lease: Lease) -> tuple[Option, ...]:
    return tuple((code, bytes.fromhex(data)) for code, data in lease.options)


def _read(reader: Callable[[bytes], tuple[str, ...]], data: bytes | None) -> tuple[str, ...]:
    try:
        return reader(data or b"")
    except Malformed:
        return ()


def _counted(items: Iterable[bytes]) -> bytes:
    return b"".join(_SHORT.pack(len(item)) + item for item in items)


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def _text(raw: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, raw)
