"""Links of devices that stand on a bus: PCI, virtio, auxiliary and the like."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.query import Link
from .links import header, parse
from .packed import chosen
from .rtnl import RTM_GETLINK, Operation, text
from .rtnl_socket import Socket

# linux/if_link.h, since Linux 5.14
_IFLA_PARENT_DEV_NAME = 56
_IFLA_PARENT_DEV_BUS_NAME = 57
_WANTED = (_IFLA_PARENT_DEV_NAME, _IFLA_PARENT_DEV_BUS_NAME)


def with_devices(sock: Socket) -> Iterator[tuple[Link, str, str]]:
    """`ip -d link show`: each link that has a device, with that one's bus and name on it."""
    for body in sock.dump(Operation(RTM_GETLINK, 0, header(), "ip link show")):
        found = chosen(body, len(header()), _WANTED)
        if len(found) == len(_WANTED):
            bus, name = found[_IFLA_PARENT_DEV_BUS_NAME], found[_IFLA_PARENT_DEV_NAME]
            yield parse(body), text(bus), text(name)
