"""Links that are made on another link, or on none: messages, and what the kernel tells of one."""

from __future__ import annotations

import errno

from ...model.errors import KernelError
from .links import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    header,
    raw_by_name,
)
from .packed import NLM_F_CREATE, NLM_F_EXCL, attribute, chosen, nested, string
from .rtnl import RTM_NEWLINK, Operation, mac_bytes, number, u16, u32
from .rtnl_socket import Socket

_HEADER = len(header())
_ALL = range(0x4000)
# linux/if_link.h, MACVLAN_MODE_* and IPVLAN_MODE_*
_MODE = 1
"""Both IFLA_MACVLAN_MODE and IFLA_IPVLAN_MODE."""
_MODES = {
    "macvlan": {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    "ipvlan": {"l2": 0, "l3": 1, "l3s": 2},
}


def stacked(
    kind: str,
    name: str,
    *,
    parent: int = 0,
    mac: str = "",
    mtu: int = 0,
    data: bytes = b"",
    namespace: int | None = None,
) -> Operation:
    """`ip link add link PARENT name NAME netns NAMESPACE address MAC mtu MTU type KIND ...`

    `parent` is an index in the namespace that is asked, `data` the attributes of the kind. It
    comes into being in its namespace, it is never moved there.
    """
    on = u32(IFLA_LINK, parent) if parent else b""
    address = attribute(IFLA_ADDRESS, mac_bytes(mac)) if mac else b""
    size = u32(IFLA_MTU, mtu) if mtu else b""
    place = b"" if namespace is None else u32(IFLA_NET_NS_FD, namespace)
    own = nested(IFLA_INFO_DATA, data) if data else b""
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, kind), own)
    return Operation(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        header() + string(IFLA_IFNAME, name) + on + address + size + place + info,
        f"ip link add {name} type {kind}",
    )


def makes(sock: Socket, kind: str) -> bool:
    """Whether the kernel has links of that kind, which is asked for one with a MAC of one byte.

    True where it does not say, as to who may not ask.
    """
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, kind))
    body = header() + attribute(IFLA_ADDRESS, b"\0") + info
    try:
        sock.transact(Operation(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, "ip link add"))
    except KernelError as error:
        return error.errno != errno.EOPNOTSUPP
    return True


def data_of(sock: Socket, name: str) -> dict[int, bytes]:
    """What the link NAME was made with, by attributes of its kind; {} where there is none."""
    body = raw_by_name(sock, name)
    if body is None:
        return {}
    info = chosen(body, _HEADER, (IFLA_LINKINFO,)).get(IFLA_LINKINFO, b"")
    return chosen(chosen(info, 0, (IFLA_INFO_DATA,)).get(IFLA_INFO_DATA, b""), 0, _ALL)


def mode_data(kind: str, mode: str) -> bytes:
    """The attribute that a link of that kind, macvlan or ipvlan, has its mode by."""
    value = _MODES[kind][mode]
    return u32(_MODE, value) if kind == "macvlan" else u16(_MODE, value)


def mode_of(kind: str, data: dict[int, bytes]) -> str:
    """What the mode in the attributes of its kind is called, or its digits."""
    found = number(data.get(_MODE, b""))
    return next((name for name, known in _MODES[kind].items() if known == found), str(found))
