"""Set elements as netlink messages: the packed encoder behind every element change.

libnftables reads other people's whole ruleset before each change; a packed message costs
the same however much there is. Nothing is sent here. Layouts are those of
linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from ...model.errors import KernelError
from ...model.value import Value
from ..netlink import packed
from ..netlink.nf_tables import (
    NFT_MSG_DELSETELEM,
    NFT_MSG_GETSETELEM,
    NFT_MSG_NEWSETELEM,
    TABLE,
    Change,
)
from .shapes import ZONE, NftSet

_NFTA_SET_ELEM_LIST_TABLE = 1
_NFTA_SET_ELEM_LIST_SET = 2
_NFTA_SET_ELEM_LIST_ELEMENTS = 3
_NFTA_LIST_ELEM = 1
_NFTA_SET_ELEM_KEY = 1
_NFTA_SET_ELEM_DATA = 2
_NFTA_SET_ELEM_USERDATA = 6
_NFTA_DATA_VALUE = 1

_TWO_HEADS = struct.Struct("=HHHH")
"""Of an attribute, and of the one that is all it holds."""
_LIST = _NFTA_SET_ELEM_LIST_ELEMENTS | packed.NLA_F_NESTED

_IFNAMSIZ = 16
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132, "udplite": 136}


class Entry(Value):
    """One element, packed. `text` is the element as `nft` writes it, for messages."""

    set: NftSet
    key: bytes
    data: bytes
    text: str


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
    return struct.pack("B", PROTOCOLS[text] if text in PROTOCOLS else int(text))


def _zone(text: str) -> bytes:
    return struct.pack("=H", int(text))


def _mark(text: str) -> bytes:
    return struct.pack("=I", int(text))


PACKERS: dict[str, Callable[[str], bytes]] = {
    "ipv4_addr": lambda text: socket.inet_pton(socket.AF_INET, text),
    "ipv6_addr": lambda text: socket.inet_pton(socket.AF_INET6, text),
    "ifname": _ifname,
    "ether_addr": _ether_addr,
    "inet_service": _inet_service,
    "inet_proto": _inet_proto,
    ZONE: _zone,
    "mark": _mark,
}
"""nft's type name -> its value's bytes. Addresses and ports are in network order."""


def pack_fields(types: Sequence[str], texts: Sequence[str]) -> bytes:
    """A key or a value: one field as it is, several each padded to 4 bytes.

    Raises ValueError, OSError or struct.error on a field that is not of its type.
    """
    if len(types) != len(texts):
        raise ValueError(f"{len(types)} fields are needed, {len(texts)} are given")
    fields = [PACKERS[type_](text) for type_, text in zip(types, texts, strict=True)]
    return fields[0] if len(fields) == 1 else b"".join(map(packed.padded, fields))


def entry(described: NftSet, item: Sequence[str], value: str = "") -> Entry:
    """An element of `described`; `value` is a map's, its fields divided by " . ".

    A zone that is left out is 0. Raises `KernelError` that names set and element.
    """
    text = f"{described.family} {TABLE} {described.name} {{ {' . '.join(item)} }}"
    if value:
        text = f"{text[:-2]} : {value} }}"
    try:
        key = pack_fields(described.key, zoned(described, item))
        data = pack_fields(described.data, value.split(" . ") if value else ())
    except (ValueError, OSError, struct.error) as error:
        kind = " . ".join(described.key) + (" : " if described.data else "")
        raise KernelError(
            f"{text} is no element of type {kind}{' . '.join(described.data)}: {error}"
        ) from None
    return Entry(described, key, data, text)


def zoned(described: NftSet, item: Sequence[str]) -> Sequence[str]:
    """`item` with its zone, which records leave out where it is 0."""
    if described.is_zoned and len(item) == len(described.key) - 1:
        return ("0", *item)
    return item


# --- messages -----------------------------------------------------------------


def put(element: Entry, userdata: bytes = b"") -> Change:
    """`nft add element`: no NLM_F_EXCL, so that one that is there already is no error."""
    return Change(
        NFT_MSG_NEWSETELEM,
        packed.NLM_F_CREATE,
        element.set.family,
        _element_body(element, element.data, userdata),
    )


def remove(element: Entry) -> Change:
    """`nft delete element`: by key alone, whatever its value."""
    return Change(NFT_MSG_DELSETELEM, 0, element.set.family, _element_body(element, b""))


def lookup(element: Entry) -> Change:
    """`nft get element`: the one element, not a list of all; answered by a NEWSETELEM."""
    return Change(NFT_MSG_GETSETELEM, 0, element.set.family, _element_body(element, b""))


def everything(described: NftSet) -> Change:
    """`nft list set`: all elements, for a dump."""
    return Change(NFT_MSG_GETSETELEM, 0, described.family, _about(described.name))


@lru_cache(maxsize=256)
def _about(name: str) -> bytes:
    """Table and set, with which a message about a set's elements opens."""
    return packed.string(_NFTA_SET_ELEM_LIST_TABLE, TABLE) + packed.string(
        _NFTA_SET_ELEM_LIST_SET, name
    )


def _element_body(element: Entry, data: bytes, userdata: bytes = b"") -> bytes:
    parts = [_data(_NFTA_SET_ELEM_KEY, element.key)]
    if data:
        parts.append(_data(_NFTA_SET_ELEM_DATA, data))
    if userdata:
        parts.append(packed.attribute(_NFTA_SET_ELEM_USERDATA, userdata))
    held = b"".join(parts)
    size = len(held)
    head = _TWO_HEADS.pack(8 + size, _LIST, 4 + size, _NFTA_LIST_ELEM | packed.NLA_F_NESTED)
    return _about(element.set.name) + head + held


def _data(type_: int, value: bytes) -> bytes:
    held = packed.padded(value)
    nested = type_ | packed.NLA_F_NESTED
    return _TWO_HEADS.pack(8 + len(held), nested, 4 + len(value), _NFTA_DATA_VALUE) + held


def data_in(body: bytes) -> bytes:
    """The value of the first element in a NEWSETELEM answer; b"" for a set's element."""
    return next((data for _, data in elements_in(body)), b"")


def userdata_in(body: bytes) -> bytes:
    """What is kept beside the first element in a NEWSETELEM answer, b"" for nothing."""
    held = dict(packed.attributes(body)).get(_NFTA_SET_ELEM_LIST_ELEMENTS, b"")
    for _, element in packed.attributes(held):
        return dict(packed.attributes(element)).get(_NFTA_SET_ELEM_USERDATA, b"")
    return b""


def elements_in(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of each element in a NEWSETELEM answer; the value is b"" in a set."""
    held = dict(packed.attributes(body))
    for _, element in packed.attributes(held.get(_NFTA_SET_ELEM_LIST_ELEMENTS, b"")):
        fields = dict(packed.attributes(element))
        key, data = (
            dict(packed.attributes(fields.get(type_, b""))).get(_NFTA_DATA_VALUE, b"")
            for type_ in (_NFTA_SET_ELEM_KEY, _NFTA_SET_ELEM_DATA)
        )
        yield key, data


def keys_in(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(set, key) of each element that a message is about."""
    name = set_in(body)
    return ((name, key) for key, _ in elements_in(body))


def set_in(body: bytes) -> str:
    """The name of the set that a message is about."""
    held = dict(packed.attributes(body))
    return held.get(_NFTA_SET_ELEM_LIST_SET, b"").rstrip(b"\0").decode(errors="replace")
