"""Bridge ports over rtnetlink: membership, flags and VLANs."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from .links import (
    IFLA_IFNAME,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    header,
    raw_by_name,
)
from .packed import attribute, attributes, nested, string
from .rtnl import (
    RTM_DELLINK,
    RTM_GETVLAN,
    RTM_NEWLINK,
    RTM_SETLINK,
    Operation,
    number,
    u8,
)
from .rtnl_socket import Socket

_AF_BRIDGE = 7
# linux/if_link.h
_IFLA_AF_SPEC = 26
_IFLA_BRPORT_MODE = 4
_IFLA_BRPORT_ISOLATED = 33
USUAL = {
    "learning": (8, True),
    "flood": (9, True),
    "mcast_flood": (27, True),
    "bcast_flood": (30, True),
    "locked": (39, False),
}
"""By `bridge link`'s words: flags that we leave as a new port has them, and how that is. Set
otherwise they keep frames from the container, or what it sends from the bridge.
"""
# linux/if_bridge.h
_IFLA_BRIDGE_VLAN_INFO = 2
_PVID = 1 << 1
_UNTAGGED = 1 << 2
_RANGE_BEGIN = 1 << 3
_RANGE_END = 1 << 4
_BRIDGE_VLANDB_ENTRY = 1
_BRIDGE_VLANDB_ENTRY_INFO = 1
_BRIDGE_VLANDB_ENTRY_RANGE = 2

_VLAN_INFO = struct.Struct("=HH")  # bridge_vlan_info: flags, VLAN id
_VLAN_MESSAGE = struct.Struct("=BBHI")  # br_vlan_msg: family, two reserved, index
_IFINFO_SIZE = 16


class Port(NamedTuple):
    """What a port is set to: its own index and that of its bridge, 0 for none."""

    link: int
    bridge: int
    hairpin: bool
    isolated: bool
    usual: dict[str, bool]
    """Those of `USUAL`."""


class Vlans(NamedTuple):
    """A port's VLANs: `pvid` 0 for none, `tagged` and `untagged` without it."""

    pvid: int
    pvid_untagged: bool
    tagged: frozenset[int]
    untagged: frozenset[int]


def by_name(sock: Socket, name: str) -> Port | None:
    """`bridge -d link show dev NAME`; None where there is no such link."""
    body = raw_by_name(sock, name)
    if body is None:
        return None
    _, _, index, _, _ = struct.unpack_from("=BxHiII", body)
    found = dict(attributes(body[_IFINFO_SIZE:]))
    info = dict(attributes(found.get(IFLA_LINKINFO, b"")))
    port = dict(attributes(info.get(IFLA_INFO_SLAVE_DATA, b"")))
    return Port(
        link=index,
        bridge=number(found.get(IFLA_MASTER, b"")),
        hairpin=bool(number(port.get(_IFLA_BRPORT_MODE, b""))),
        isolated=bool(number(port.get(_IFLA_BRPORT_ISOLATED, b""))),
        usual={
            name: bool(number(port[attribute])) if attribute in port else expected
            for name, (attribute, expected) in USUAL.items()
        },
    )


def flags(name: str, *, hairpin: bool, isolated: bool) -> Operation:
    """`ip link set NAME type bridge_slave hairpin on|off isolated on|off`"""
    data = nested(
        IFLA_INFO_SLAVE_DATA, u8(_IFLA_BRPORT_MODE, hairpin), u8(_IFLA_BRPORT_ISOLATED, isolated)
    )
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_SLAVE_KIND, "bridge"), data)
    body = header() + string(IFLA_IFNAME, name) + info
    return Operation(RTM_NEWLINK, 0, body, f"ip link set {name} type bridge_slave")


def usual(name: str, flag: str) -> Operation:
    """`bridge link set dev NAME FLAG on|off`, of one of `USUAL`."""
    attribute, on = USUAL[flag]
    data = nested(IFLA_INFO_SLAVE_DATA, u8(attribute, on))
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_SLAVE_KIND, "bridge"), data)
    body = header() + string(IFLA_IFNAME, name) + info
    state = "on" if on else "off"
    return Operation(RTM_NEWLINK, 0, body, f"bridge link set dev {name} {flag} {state}")


def isolation(name: str, on: bool) -> Operation:
    """`bridge link set dev NAME isolated on|off`"""
    data = nested(IFLA_INFO_SLAVE_DATA, u8(_IFLA_BRPORT_ISOLATED, on))
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_SLAVE_KIND, "bridge"), data)
    body = header() + string(IFLA_IFNAME, name) + info
    state = "on" if on else "off"
    return Operation(RTM_NEWLINK, 0, body, f"bridge link set dev {name} isolated {state}")


def vlans_added(index: int, name: str, pvid: int, tagged: Iterable[tuple[int, int]]) -> Operation:
    """`bridge vlan add dev NAME vid A-B; bridge vlan add dev NAME vid PVID pvid untagged`"""
    entries = []
    for first, last in tagged:
        if first == last:
            entries.append(_vlan(first, 0))
        else:
            entries += [_vlan(first, _RANGE_BEGIN), _vlan(last, _RANGE_END)]
    if pvid:  # last: where it is one of those, it is untagged
        entries.append(_vlan(pvid, _PVID | _UNTAGGED))
    body = header(index, family=_AF_BRIDGE) + nested(_IFLA_AF_SPEC, *entries)
    return Operation(RTM_SETLINK, 0, body, f"bridge vlan add dev {name}")


def vlan_removed(index: int, name: str, vlan: int) -> Operation:
    """`bridge vlan del dev NAME vid VLAN`"""
    body = header(index, family=_AF_BRIDGE) + nested(_IFLA_AF_SPEC, _vlan(vlan, 0))
    return Operation(RTM_DELLINK, 0, body, f"bridge vlan del dev {name} vid {vlan}")


def _vlan(vlan: int, flag_bits: int) -> bytes:
    return attribute(_IFLA_BRIDGE_VLAN_INFO, _VLAN_INFO.pack(flag_bits, vlan))


def vlans(sock: Socket, index: int, name: str) -> Vlans:
    """`bridge vlan show dev NAME`, of this port alone whatever the number of ports."""
    body = _VLAN_MESSAGE.pack(_AF_BRIDGE, 0, 0, index)
    return parse_vlans(sock.dump(Operation(RTM_GETVLAN, 0, body, f"bridge vlan show dev {name}")))


def parse_vlans(bodies: Iterable[bytes]) -> Vlans:
    """The VLANs that the bodies of RTM_NEWVLAN messages tell of."""
    pvid, pvid_untagged = 0, False
    tagged: set[int] = set()
    untagged: set[int] = set()
    for body in bodies:
        for kind, payload in attributes(body[_VLAN_MESSAGE.size :]):
            if kind != _BRIDGE_VLANDB_ENTRY:
                continue
            entry = dict(attributes(payload))
            bits, first = _VLAN_INFO.unpack_from(entry[_BRIDGE_VLANDB_ENTRY_INFO])
            last = number(entry.get(_BRIDGE_VLANDB_ENTRY_RANGE, b"")) or first
            if bits & _PVID:
                pvid, pvid_untagged = first, bool(bits & _UNTAGGED)
            elif bits & _UNTAGGED:
                untagged.update(range(first, last + 1))
            else:
                tagged.update(range(first, last + 1))
    return Vlans(pvid, pvid_untagged, frozenset(tagged), frozenset(untagged))
