"""Pairs of links over rtnetlink: made at once, an end in each of two namespaces."""

from __future__ import annotations

from .links import (
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    IFLA_NUM_RX_QUEUES,
    IFLA_NUM_TX_QUEUES,
    header,
    named,
)
from .packed import NLM_F_CREATE, NLM_F_EXCL, nested, string
from .rtnl import RTM_NEWLINK, Operation, u32

_ONE_QUEUE = u32(IFLA_NUM_TX_QUEUES, 1) + u32(IFLA_NUM_RX_QUEUES, 1)
_PEER = 1
"""Both VETH_INFO_PEER (linux/veth.h) and IFLA_NETKIT_PEER_INFO."""

# linux/if_link.h, IFLA_NETKIT_*
NETKIT_POLICY = 3
NETKIT_PEER_POLICY = 4
NETKIT_MODE = 5
NETKIT_MODES = {"l2": 0, "l3": 1}
NETKIT_POLICIES = {"forward": 0, "blackhole": 2}
"""What becomes of a packet that no program has decided about: NETKIT_PASS, NETKIT_DROP."""
_FORWARD = NETKIT_POLICIES["forward"]
_FORWARDING = u32(NETKIT_POLICY, _FORWARD) + u32(NETKIT_PEER_POLICY, _FORWARD)


def pair(
    kind: str,
    name: str,
    mac: str,
    peer: str,
    peer_mac: str = "",
    *,
    index: int = 0,
    peer_index: int = 0,
    mtu: int = 0,
    peer_namespace: int | None = None,
    data: bytes = b"",
) -> Operation:
    """`ip link add NAME address MAC mtu MTU type KIND peer name PEER address PEER_MAC netns FD`

    `index` and `peer_index` are numbers for the ends; at 0 the kernel chooses. `data` are more
    attributes of the kind. The peer comes into being in its namespace, it is never moved there.
    Each end has one queue (`numtxqueues 1 numrxqueues 1`): of the one for each processor that the
    kernel would make for a veth, it uses the first, and registers and removes all of them in sysfs.
    """
    size = (u32(IFLA_MTU, mtu) if mtu else b"") + _ONE_QUEUE
    place = b"" if peer_namespace is None else u32(IFLA_NET_NS_FD, peer_namespace)
    other = nested(_PEER, header(peer_index), named(peer, peer_mac), size, place)
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, kind), nested(IFLA_INFO_DATA, data, other))
    return Operation(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        header(index) + named(name, mac) + size + info,
        f"ip link add {name} type {kind} peer name {peer}",
    )


def netkit_data() -> bytes:
    """`mode l2 forward peer forward`, for `pair`: in l3, the kernel's own, there are no MACs."""
    return u32(NETKIT_MODE, NETKIT_MODES["l2"]) + _FORWARDING


def netkit_forwarding(name: str) -> Operation:
    """`ip link set NAME type netkit forward peer forward`, of the primary end."""
    info = nested(
        IFLA_LINKINFO, string(IFLA_INFO_KIND, "netkit"), nested(IFLA_INFO_DATA, _FORWARDING)
    )
    body = header() + string(IFLA_IFNAME, name) + info
    return Operation(RTM_NEWLINK, 0, body, f"ip link set {name} type netkit forward peer forward")
