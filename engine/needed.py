"""Settings that what is recorded needs, and that no record has: they are the kernel's own choice.

An interface is new and has what it needs, so no ADD sets it; somebody may set it otherwise later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model.resource import Resource
from ..model.resources import (
    Forwarding,
    GatewayAddress,
    HostLeg,
    InterfaceAddress,
    LinkForwarding,
    Sysctl,
)


def needed(recorded: Iterable[Resource]) -> list[Resource]:
    """Each once, and before whatever stands on it: without IPv6 an interface takes no address."""
    known = list(recorded)
    return [one for one in dict.fromkeys(_needed(known)) if one not in known]


def _needed(recorded: list[Resource]) -> Iterator[Resource]:
    routed = Forwarding(family=4) in recorded
    beside = {one.name for one in recorded if isinstance(one, HostLeg)}  # those forward nothing
    for one in recorded:
        if not (isinstance(one, GatewayAddress | InterfaceAddress) and one.place == "host"):
            continue
        if ":" in one.address:
            setting = f"ipv6/conf/{one.name}/disable_ipv6"
            yield Sysctl(setting=setting, value="0", optional=True, inside=one.inside)
        elif routed and one.name not in beside:
            yield LinkForwarding(name=one.name, inside=one.inside)
