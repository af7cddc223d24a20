"""Which resources stand in our nftables tables, and as what: an element, or a part with rules."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from ...model.resources import (
    Element,
    MasqueradePrefix,
    PublishCondition,
    PublishedPort,
    SharedElement,
)
from . import encoder
from .encoder import Entry
from .layout import Part, condition_part, prefix_part, published_maps, set_named

ElementResource: TypeAlias = Element | SharedElement | PublishedPort
PartResource: TypeAlias = MasqueradePrefix | PublishCondition
NftResource: TypeAlias = ElementResource | PartResource


def part_of(resource: PartResource) -> Part:
    if isinstance(resource, PublishCondition):
        return condition_part(resource.family, resource.id, resource.match)
    return prefix_part(resource.family, resource.length)


@lru_cache(maxsize=1 << 14)  # all that stand: a table that is flushed is filled again
def entry_of(resource: ElementResource) -> Entry:
    if isinstance(resource, PublishedPort):
        return _published(resource)
    return encoder.entry(set_named(resource.set), resource.item, resource.value)


def _published(port: PublishedPort) -> Entry:
    """`{ tcp . 192.0.2.2 . 8080 : 10.1.0.2 . 80 }`, without the host's address where it is any."""
    number, value = str(port.host_port), f"{port.address} . {port.port}"
    specific, everywhere = published_maps(port.family, port.condition)
    if port.everywhere:
        return encoder.entry(everywhere, (port.protocol, number), value)
    return encoder.entry(specific, (port.protocol, port.host_address, number), value)
