"""VRFs over rtnetlink: their tables, and the rules by which these are asked."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from . import links
from .packed import NLM_F_CREATE, NLM_F_EXCL, attributes
from .rtnl import Operation, number, u8, u32
from .rtnl_socket import Socket
from .source_rules import RTM_DELRULE, RTM_NEWRULE, rules
from .stacked import data_of, stacked

_IFLA_VRF_TABLE = 1  # linux/if_link.h
_FRA_PRIORITY = 6  # linux/fib_rules.h
_FRA_L3MDEV = 19
_FRA_PROTOCOL = 21
_BY_THE_KERNEL = 2  # linux/rtnetlink.h, RTPROT_KERNEL
_PRIORITY = 1000  # drivers/net/vrf.c, FIB_RULE_PREF
_ACTION_TABLE = 1
_MULTICAST = 128, 129  # linux/rtnetlink.h, RTNL_FAMILY_IPMR and IP6MR
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

# fib_rule_hdr: family, dst length, src length, tos, table, two unused, action, flags
_RULE = struct.Struct("=BBBBBBBBI")

LACKING = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL)
"""The kernel has no such family, or knows nothing of VRFs."""


def added(name: str, table: int) -> Operation:
    """`ip link add NAME type vrf table TABLE`"""
    return stacked("vrf", name, data=u32(_IFLA_VRF_TABLE, table))


def table_of(sock: Socket, name: str) -> int:
    """The table of the VRF NAME."""
    return number(data_of(sock, name).get(_IFLA_VRF_TABLE, b""))


def table_over(sock: Socket, index: int) -> int:
    """The table of the VRF that the link `index` is in; 0 for none."""
    link = links.by_index(sock, index)
    master = links.by_index(sock, link.master) if link and link.master else None
    return table_of(sock, master.name) if master and master.kind == "vrf" else 0


def has_rule(sock: Socket, family: int) -> bool | None:
    """`ip rule show`: whether one is for VRFs; None where the kernel lacks the family."""
    listed = rules(sock, family)
    if not listed:
        return None
    return any(
        number(dict(attributes(body[_RULE.size :])).get(_FRA_L3MDEV, b"")) for body in listed
    )


def rules_added() -> Iterator[Operation]:
    """`ip rule add l3mdev pref 1000 protocol kernel`, of all families.

    To the letter the kernel's own: it adds no second one then.
    """
    for family in (*FAMILIES.values(), *_MULTICAST):
        body = _rule(family) + u8(_FRA_PROTOCOL, _BY_THE_KERNEL)
        yield Operation(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body, "ip rule add l3mdev")


def rules_removed() -> Iterator[Operation]:
    """`ip rule del l3mdev pref 1000`"""
    for family in (*FAMILIES.values(), *_MULTICAST):
        yield Operation(RTM_DELRULE, 0, _rule(family), "ip rule del l3mdev")


def _rule(family: int) -> bytes:
    header = _RULE.pack(family, 0, 0, 0, 0, 0, 0, _ACTION_TABLE, 0)
    return header + u8(_FRA_L3MDEV, 1) + u32(_FRA_PRIORITY, _PRIORITY)
