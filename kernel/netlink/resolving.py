"""Whether a link asks for its neighbours, and answers them."""

from __future__ import annotations

from .links import IFF_NOARP, IFLA_IFNAME, header
from .packed import string
from .rtnl import RTM_SETLINK, Operation


def arp_on(name: str) -> Operation:
    """`ip link set NAME arp on`"""
    body = header(change=IFF_NOARP) + string(IFLA_IFNAME, name)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} arp on")
