"""Published ports as elements of the maps that lead to containers."""

from __future__ import annotations

from ..model.resources import PublishedPort
from .nft_elements import Entry, entry
from .nft_layout import set_named


def published_entry(resource: PublishedPort) -> Entry:
    """`{ tcp . 192.0.2.2 . 8080 : 10.1.0.2 . 80 }`, without the address where it is any."""
    port = str(resource.host_port)
    value = f"{resource.address} . {resource.port}"
    name = f"published{resource.family}"
    if resource.everywhere:
        return entry(set_named(f"{name}_any"), (resource.protocol, port), value)
    return entry(set_named(name), (resource.protocol, resource.host_address, port), value)
