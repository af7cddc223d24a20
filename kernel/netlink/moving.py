"""Links that change their namespace, and what they take along: messages, nothing sent."""

from __future__ import annotations

from .links import IFLA_IFALIAS, IFLA_IFNAME, IFLA_NET_NS_FD, header
from .packed import string
from .rtnl import RTM_SETLINK, Operation, u32


def moved(index: int, name: str, namespace: int, new_name: str) -> Operation:
    """`ip link set NAME netns NAMESPACE name NEW_NAME`, by index.

    It is down there, and has neither addresses, routes nor a master any more. A NEW_NAME like
    "dev%d" is the first of those that is free.
    """
    body = header(index) + u32(IFLA_NET_NS_FD, namespace) + string(IFLA_IFNAME, new_name)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} netns .. name {new_name}")


def renamed(index: int, name: str, new_name: str) -> Operation:
    """`ip link set NAME name NEW_NAME`, by index."""
    body = header(index) + string(IFLA_IFNAME, new_name)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} name {new_name}")


def aliased(index: int, name: str, alias: str) -> Operation:
    """`ip link set NAME alias ALIAS`, by index; "" takes it away."""
    body = header(index) + string(IFLA_IFALIAS, alias)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} alias {alias!r}")
