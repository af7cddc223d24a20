"""Questions about the devices of the host that may be lent to a container."""

from __future__ import annotations

from typing import Literal

from .query import Link, Query
from .value import Value


class Candidate(Value):
    """An interface of the device; `is_way_out` where a default route of the host leads by it."""

    link: Link
    is_way_out: bool


class Device(Value):
    """What was named, with those of its interfaces that are on the host.

    `there` is whether it exists at all. `driver` is what drives it, `pci` its address on that bus,
    "" for none, or where it is no device but an interface that was named.
    """

    there: bool = False
    driver: str = ""
    pci: str = ""
    candidates: tuple[Candidate, ...] = ()


class DeviceBy(Query[Device]):
    """`ip link show NAME`, `ip link show` with that MAC, or `ls PATH/net` of a device in sysfs.

    Of several interfaces the first by index comes first; of a device's, by name. sysfs shows the
    interfaces of the namespace that it was mounted in, so they are told by the kernel's answer.
    """

    lasts = False  # it is taken away
    way: Literal["name", "mac", "path"]
    value: str
