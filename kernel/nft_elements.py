"""Set elements as netlink messages: the packed encoder behind every element change.

libnftables reads other people's whole ruleset before each change; a packed message costs
the same however much there is. Nothing is sent here. Layouts are those of
linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..model.errors import KernelError
from . import netlink
from .nft_layout import TABLE, NftSet

NFNL_SUBSYS_NFTABLES = 10
NFNL_MSG_BATCH_BEGIN = 0x10
NFNL_MSG_BATCH_END = 0x11

NFT_MSG_NEWSETELEM = 12
NFT_MSG_GETSETELEM = 13
NFT_MSG_DELSETELEM = 14

NFPROTO = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}

_NFTA_SET_ELEM_LIST_TABLE = 1
_NFTA_SET_ELEM_LIST_SET = 2
_NFTA_SET_ELEM_LIST_ELEMENTS = 3
_NFTA_LIST_ELEM = 1
_NFTA_SET_ELEM_KEY = 1
_NFTA_SET_ELEM_DATA = 2
_NFTA_DATA_VALUE = 1

_IFNAMSIZ = 16
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132, "udplite": 136}


class Entry(NamedTuple):
    """One element, packed. `text` is the element as `nft` writes it, for messages."""

    set: NftSet
    key: bytes
    data: bytes
    text: str


class Change(NamedTuple):
    """One message of a transaction, still without a sequence number."""

    type: int
    flags: int
    family: str
    body: bytes


# --- fields -------------------------------------------------------------------


def _ifname(text: str) -> bytes:
    name = text.encode()
    if not 0 < len(name) < _IFNAMSIZ:
        raise ValueError(f"an interface name has 1 to {_IFNAMSIZ - 1} bytes")
    return name.ljust(_IFNAMSIZ, b"\0")


def _ether_addr(text: str) -> bytes:
    raw = bytes.fromhex(text.replace(":", ""))
    if len(raw) != 6 or text.count(":") != 5:
        raise ValueError("a MAC address has six bytes with colons between")
    return raw


def _inet_service(text: str) -> bytes:
    return struct.pack("!H", int(text))


def _inet_proto(text: str) -> bytes:
    return struct.pack("B", _PROTOCOLS[text] if text in _PROTOCOLS else int(text))


PACKERS: dict[str, Callable[[str], bytes]] = {
    "ipv4_addr": lambda text: socket.inet_pton(socket.AF_INET, text),
    "ipv6_addr": lambda text: socket.inet_pton(socket.AF_INET6, text),
    "ifname": _ifname,
    "ether_addr": _ether_addr,
    "inet_service": _inet_service,
    "inet_proto": _inet_proto,
}
"""nft's type name -> its value's bytes. Addresses and ports are in network order."""


def pack_fields(types: Sequence[str], texts: Sequence[str]) -> bytes:
    """A key or a value: one field as it is, several each padded to 4 bytes.

    Raises ValueError, OSError or struct.error on a field that is not of its type.
    """
    if len(types) != len(texts):
        raise ValueError(f"{len(types)} fields are needed, {len(texts)} are given")
    fields = [PACKERS[type_](text) for type_, text in zip(types, texts, strict=True)]
    return fields[0] if len(fields) == 1 else b"".join(map(netlink.padded, fields))


def entry(described: NftSet, item: Sequence[str], value: str = "") -> Entry:
    """An element of `described`; `value` is a map's, its fields divided by " . ".

    Raises `KernelError` that names set and element.
    """
    text = f"{described.family} {TABLE} {described.name} {{ {' . '.join(item)} }}"
    if value:
        text = f"{text[:-2]} : {value} }}"
    try:
        key = pack_fields(described.key, item)
        data = pack_fields(described.data, value.split(" . ") if value else ())
    except (ValueError, OSError, struct.error) as error:
        kind = " . ".join(described.key) + (" : " if described.data else "")
        raise KernelError(
            f"{text} is no element of type {kind}{' . '.join(described.data)}: {error}"
        ) from None
    return Entry(described, key, data, text)


# --- messages -----------------------------------------------------------------


def put(element: Entry) -> Change:
    """`nft add element`: no NLM_F_EXCL, so that one that is there already is no error."""
    return Change(
        NFT_MSG_NEWSETELEM,
        netlink.NLM_F_CREATE,
        element.set.family,
        _element_body(element, element.data),
    )


def remove(element: Entry) -> Change:
    """`nft delete element`: by key alone, whatever its value."""
    return Change(NFT_MSG_DELSETELEM, 0, element.set.family, _element_body(element, b""))


def lookup(element: Entry) -> Change:
    """`nft get element`: the one element, not a list of all; answered by a NEWSETELEM."""
    return Change(NFT_MSG_GETSETELEM, 0, element.set.family, _element_body(element, b""))


def _element_body(element: Entry, data: bytes) -> bytes:
    parts = [_data(_NFTA_SET_ELEM_KEY, element.key)]
    if data:
        parts.append(_data(_NFTA_SET_ELEM_DATA, data))
    return (
        netlink.string(_NFTA_SET_ELEM_LIST_TABLE, TABLE)
        + netlink.string(_NFTA_SET_ELEM_LIST_SET, element.set.name)
        + netlink.nested(_NFTA_SET_ELEM_LIST_ELEMENTS, netlink.nested(_NFTA_LIST_ELEM, *parts))
    )


def _data(type_: int, value: bytes) -> bytes:
    return netlink.nested(type_, netlink.attribute(_NFTA_DATA_VALUE, value))


def data_in(body: bytes) -> bytes:
    """The value of the first element in a NEWSETELEM answer; b"" for a set's element."""
    found = body
    for type_ in (
        _NFTA_SET_ELEM_LIST_ELEMENTS,
        _NFTA_LIST_ELEM,
        _NFTA_SET_ELEM_DATA,
        _NFTA_DATA_VALUE,
    ):
        found = dict(netlink.attributes(found)).get(type_, b"")
    return found


def keys_in(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(set, key) of each element that a message is about."""
    held = dict(netlink.attributes(body))
    name = held.get(_NFTA_SET_ELEM_LIST_SET, b"").rstrip(b"\0").decode(errors="replace")
    for _, element in netlink.attributes(held.get(_NFTA_SET_ELEM_LIST_ELEMENTS, b"")):
        key = dict(netlink.attributes(element)).get(_NFTA_SET_ELEM_KEY, b"")
        yield name, dict(netlink.attributes(key)).get(_NFTA_DATA_VALUE, b"")


def message(change: Change, sequence: int, flags: int = 0) -> bytes:
    """`change` as an nf_tables message."""
    return netlink.message(
        NFNL_SUBSYS_NFTABLES << 8 | change.type,
        netlink.NLM_F_REQUEST | change.flags | flags,
        sequence,
        struct.pack("!BBH", NFPROTO[change.family], 0, 0) + change.body,
    )


def batch(changes: Sequence[Change], first: int) -> bytes:
    """A transaction: begin with sequence `first`, `changes` with the following ones, end.

    Only the last change asks for an acknowledgement: errors come unasked, before it, and
    a thousand acknowledgements would not fit in the socket's buffer.
    """
    last = len(changes) - 1
    parts = [_bracket(NFNL_MSG_BATCH_BEGIN, first)]
    parts += [
        message(change, first + 1 + index, netlink.NLM_F_ACK if index == last else 0)
        for index, change in enumerate(changes)
    ]
    parts.append(_bracket(NFNL_MSG_BATCH_END, first + 1 + len(changes)))
    return b"".join(parts)


def _bracket(type_: int, sequence: int) -> bytes:
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES)
    return netlink.message(type_, netlink.NLM_F_REQUEST, sequence, body)
