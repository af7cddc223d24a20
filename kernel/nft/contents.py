"""All that stands in our tables' sets and maps, element by element, as what records say of them.

For whoever makes the tables what the records say: an element that no record has is seen here
only. A whole dump, so never on the way of an ADD.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from ...model.errors import KernelError
from ...model.published import ANY
from ...model.resources import Element, PublishedPort, SharedElement
from ..netlink.nft_socket import NftSocket
from . import encoder, look
from .encoder import Entry
from .layout import NftSet, set_named
from .shapes import ZONE

Unpacker = tuple[int, Callable[[bytes], str]]
"""(bytes that the type has, those bytes -> its text)."""

_PUBLISHED = re.compile(r"published([46])(?:_([0-9a-f]{8}))?(?:_any)?")
_ONES_OWN = frozenset({"allowed", "guarded", "addressed", "bridged", "confined"})
"""The sets, but for a family at their end, of which each element is one container's alone."""
_PROTOCOL_NAMES = {number: name for name, number in encoder.PROTOCOLS.items()}

UNPACKERS: dict[str, Unpacker] = {
    "ipv4_addr": (4, lambda raw: socket.inet_ntop(socket.AF_INET, raw)),
    "ipv6_addr": (16, lambda raw: socket.inet_ntop(socket.AF_INET6, raw)),
    "ifname": (16, lambda raw: raw.rstrip(b"\0").decode(errors="surrogateescape")),
    "ether_addr": (6, lambda raw: raw.hex(":")),
    "inet_service": (2, lambda raw: str(struct.unpack("!H", raw)[0])),
    "inet_proto": (1, lambda raw: _PROTOCOL_NAMES.get(raw[0], str(raw[0]))),
    ZONE: (2, lambda raw: str(struct.unpack("=H", raw)[0])),
    "mark": (4, lambda raw: str(struct.unpack("=I", raw)[0])),
}
"""The other way round than `encoder.PACKERS`."""


def entries(socket: NftSocket, family: str) -> Iterator[Entry]:
    """`nft list set FAMILY pynet NAME`, of each set that this version knows by name and type."""
    for name in look.set_names(socket, family):
        try:
            described = set_named(name)
        except KernelError:
            continue  # another version's: it goes or stays with its part
        for answer in socket.dump(encoder.everything(described)):
            for key, data in encoder.elements_in(answer):
                if (found := _entry(described, key, data)) is not None:
                    yield found


def values(socket: NftSocket, described: NftSet) -> set[str]:
    """What the elements of a map lead to."""
    found = set()
    for answer in socket.dump(encoder.everything(described)):
        for _, data in encoder.elements_in(answer):
            found.add(" . ".join(unpack_fields(described.data, data)))
    return found


def element_of(entry: Entry) -> Element:
    """The resource that would have made it, but for what a map's elements are called there."""
    item = unpack_fields(entry.set.key, entry.key)
    if entry.set.is_zoned and item[0] == "0":
        item = item[1:]
    return Element(
        set=entry.set.name, item=item, value=" . ".join(unpack_fields(entry.set.data, entry.data))
    )


def recorded_as(element: Element) -> Element | SharedElement | PublishedPort:
    """What a record would have, of the container that `element` was put in for."""
    if (match := _PUBLISHED.fullmatch(element.set)) is not None:
        protocol, *host_address, host_port = element.item
        address, port = element.value.split(" . ")
        return PublishedPort(
            protocol=protocol,
            host_address=host_address[0] if host_address else ANY[int(match[1])],
            host_port=int(host_port),
            address=address,
            port=int(port),
            condition=match[2] or "",
        )
    if element.set.rstrip("46") in _ONES_OWN:
        return element
    return SharedElement(set=element.set, item=element.item, value=element.value)


def surplus(found: Iterable[Entry], recorded: Iterable[Entry]) -> list[Element]:
    """Those of `found` that none of `recorded` is: another key, or the same with another value."""
    known = {(entry.set.family, entry.set.name, entry.key, entry.data) for entry in recorded}
    return [
        element_of(entry)
        for entry in found
        if (entry.set.family, entry.set.name, entry.key, entry.data) not in known
    ]


def size_of(types: Sequence[str]) -> int:
    """The bytes of a key or a value: several fields are each padded to 4."""
    sizes = [UNPACKERS[type_][0] for type_ in types]
    return sizes[0] if len(sizes) == 1 else sum(size + -size % 4 for size in sizes)


def unpack_fields(types: Sequence[str], raw: bytes) -> tuple[str, ...]:
    """The texts that `encoder.pack_fields` made `raw` of. Raises ValueError for other bytes."""
    texts = []
    offset = 0
    for type_ in types:
        size, unpack = UNPACKERS[type_]
        field = raw[offset : offset + size]
        if len(field) != size:
            raise ValueError(f"{len(raw)} bytes are not {' . '.join(types)}")
        texts.append(unpack(field))
        offset += size + -size % 4
    return tuple(texts)


def _entry(described: NftSet, key: bytes, data: bytes) -> Entry | None:
    """None for what is of another type than the set of that name has with us."""
    try:
        texts = unpack_fields(described.key, key), unpack_fields(described.data, data)
    except ValueError:
        return None
    return encoder.entry(described, texts[0], " . ".join(texts[1]))
