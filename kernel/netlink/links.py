"""Links over rtnetlink: look one up, make, change and list them."""

from __future__ import annotations

import errno
import fcntl
import struct
import sys
from socket import AF_INET

from ...model.errors import KernelError
from ...model.link_pair import PAIRS
from ...model.place import HIGHEST_NUMBER
from ...model.query import DYING, OWN, Link
from .packed import NLM_F_CREATE, NLM_F_EXCL, attribute, chosen, nested, string
from .rtnl import (
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    Operation,
    mac_bytes,
    mac_text,
    number,
    text,
    u8,
    u32,
)
from .rtnl_socket import Socket

# linux/if_link.h
IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_TXQLEN = 13
IFLA_LINKINFO = 18
IFLA_IFALIAS = 20
IFLA_AF_SPEC = 26
IFLA_NET_NS_FD = 28
IFLA_GROUP = 27
IFLA_EXT_MASK = 29
IFLA_NUM_TX_QUEUES = 31
IFLA_NUM_RX_QUEUES = 32
IFLA_CARRIER = 33
IFLA_LINK_NETNSID = 37
IFLA_PERM_ADDRESS = 54
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_INFO_SLAVE_KIND = 4
IFLA_INFO_SLAVE_DATA = 5
_IFLA_OPERSTATE = 16
_IFLA_INET_CONF = 1
_IPV4_DEVCONF_ARP_NOTIFY = 22  # linux/ip.h
_IFLA_BR_VLAN_FILTERING = 7
_IFLA_BR_MULTI_BOOLOPT = 46
_RTEXT_FILTER_SKIP_STATS = 1 << 3

# linux/if_bridge.h: struct br_boolopt_multi, value and mask
_NO_LL_LEARN = struct.pack("=II", 1 << 0, 1 << 0)

# net/if.h
IFF_UP = 0x1
IFF_NOARP = 0x80
IFF_PROMISC = 0x100
IFF_ALLMULTI = 0x200
_IFF_LOWER_UP = 0x10000
_IF_OPER_UP = 6

_SIOCGIFMTU = 0x8921
_SIOCGIFNAME = 0x8910
_SIOCGIFFLAGS = 0x8913
_SIOCGIFINDEX = 0x8933
_IFREQ = struct.Struct("16si20x")  # struct ifreq, ifr_ifindex of its union
_IFREQ_FLAGS = struct.Struct("16sh")  # the same, ifr_flags
_IFINFO = struct.Struct("=BxHiII")  # ifinfomsg: family, device type, index, flags, change mask


def header(index: int = 0, flags: int = 0, change: int = 0, family: int = 0) -> bytes:
    """struct ifinfomsg."""
    return _IFINFO.pack(family, 0, index, flags, change)


_ANY = header()
_NO_STATISTICS = u32(IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)


_READ = frozenset(
    {
        IFLA_LINKINFO,
        IFLA_IFNAME,
        IFLA_ADDRESS,
        IFLA_MTU,
        IFLA_MASTER,
        IFLA_TXQLEN,
        IFLA_LINK,
        IFLA_GROUP,
        IFLA_LINK_NETNSID,
        IFLA_IFALIAS,
        IFLA_PERM_ADDRESS,
    }
)


def by_name(sock: Socket, name: str) -> Link | None:
    """`ip -d link show NAME`; None where there is no such link."""
    body = raw_by_name(sock, name)
    return None if body is None else parse(body)


def by_index(sock: Socket, index: int) -> Link | None:
    """The link of that index; None where there is none."""
    body = _one(sock, header(index) + _NO_STATISTICS, f"ip link show (index {index})")
    return None if body is None else parse(body)


def raw_by_name(sock: Socket, name: str) -> bytes | None:
    """What the kernel tells of the link NAME, to be parsed; None where there is none."""
    return _one(sock, _ANY + string(IFLA_IFNAME, name) + _NO_STATISTICS, f"ip link show {name}")


def everything(sock: Socket) -> list[Link]:
    """`ip -d link show`"""
    return [parse(body) for body in sock.dump(Operation(RTM_GETLINK, 0, _ANY, "ip link show"))]


def ports(sock: Socket, index: int) -> list[Link]:
    """`ip link show master BRIDGE`"""
    body = _ANY + u32(IFLA_MASTER, index)
    return [parse(each) for each in sock.dump(Operation(RTM_GETLINK, 0, body, "ip link show"))]


def of_kind(sock: Socket, kind: str) -> list[Link]:
    """`ip link show type KIND`: a dump, so never on the way of an ADD."""
    body = _ANY + nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, kind))
    found = sock.dump(Operation(RTM_GETLINK, 0, body, "ip link show"))
    # Of a kind that it does not know, or has not loaded, the kernel lists all links.
    return [link for link in map(parse, found) if link.kind == kind]


def pair_ends(sock: Socket) -> list[Link]:
    """`ip link show type veth; ip link show type netkit`: a dump, so never on the way of an ADD."""
    return [link for link in everything(sock) if link.kind in PAIRS]


def _one(sock: Socket, body: bytes, command: str) -> bytes | None:
    try:
        return sock.ask(Operation(RTM_GETLINK, 0, body, command)).body
    except KernelError as error:
        if error.errno == errno.ENODEV:
            return None
        raise


def parse(body: bytes) -> Link:
    """The link an RTM_NEWLINK tells of."""
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    found = chosen(body, _IFINFO.size, _READ)
    info = chosen(found.get(IFLA_LINKINFO, b""), 0, (IFLA_INFO_KIND, IFLA_INFO_DATA))
    kind = text(info.get(IFLA_INFO_KIND, b""))
    return Link(
        index=index,
        name=text(found.get(IFLA_IFNAME, b"")),
        kind=kind,
        mac=mac_text(found.get(IFLA_ADDRESS, b"")),
        mtu=number(found.get(IFLA_MTU, b"")),
        up=bool(flags & IFF_UP),
        promisc=bool(flags & IFF_PROMISC),
        master=number(found.get(IFLA_MASTER, b"")),
        peer=number(found.get(IFLA_LINK, b"")) if kind in PAIRS else 0,
        parent=number(found.get(IFLA_LINK, b"")) if kind not in PAIRS else 0,
        running=bool(flags & _IFF_LOWER_UP),
        group=number(found.get(IFLA_GROUP, b"")),
        vlan_filtering=kind == "bridge" and _filters_vlans(info),
        allmulti=bool(flags & IFF_ALLMULTI),
        arp=not flags & IFF_NOARP,
        queue=number(found.get(IFLA_TXQLEN, b"")),
        alias=text(found.get(IFLA_IFALIAS, b"")),
        permanent_mac=mac_text(found.get(IFLA_PERM_ADDRESS, b"")),
        peer_number=_other_number(found),
    )


def _other_number(found: dict[int, bytes]) -> int:
    if IFLA_LINK_NETNSID not in found:
        return OWN
    known = number(found[IFLA_LINK_NETNSID])
    return known if known <= HIGHEST_NUMBER else DYING


def is_about(body: bytes, index: int) -> bool:
    """Whether a link message is about this link itself, not about its place in a bridge.

    A port that leaves its bridge is announced with RTM_DELLINK, too, of family AF_BRIDGE.
    """
    family, _, found, _, _ = _IFINFO.unpack_from(body)
    return bool(found == index and family == 0)


def _filters_vlans(info: dict[int, bytes]) -> bool:
    data = chosen(info.get(IFLA_INFO_DATA, b""), 0, (_IFLA_BR_VLAN_FILTERING,))
    return bool(number(data.get(_IFLA_BR_VLAN_FILTERING, b"")))


def index(sock: Socket, name: str) -> int:
    """The index of the link of that name, 0 where there is none (netdevice(7), SIOCGIFINDEX).

    A twentieth of what asking for the whole link costs.
    """
    answer = _interface(sock, _SIOCGIFINDEX, name)
    return int(_IFREQ.unpack(answer)[1]) if answer else 0


def is_up(sock: Socket, name: str) -> bool:
    """Whether there is a link of that name, and it is up (netdevice(7), SIOCGIFFLAGS)."""
    answer = _interface(sock, _SIOCGIFFLAGS, name)
    return bool(answer and _IFREQ_FLAGS.unpack_from(answer)[1] & IFF_UP)


def is_operational(sock: Socket, name: str) -> bool:
    """Whether it can send and is sent to (RFC 2863, ifOperStatus up); False where there is none."""
    found = chosen(raw_by_name(sock, name) or bytes(_IFINFO.size), _IFINFO.size, (_IFLA_OPERSTATE,))
    return number(found.get(_IFLA_OPERSTATE, b"")) == _IF_OPER_UP


def name_of(sock: Socket, index: int) -> str:
    """The name of the link of that index, "" where there is none (netdevice(7), SIOCGIFNAME)."""
    return text(_interface(sock, _SIOCGIFNAME, index=index)[:16])


def mtu_of(sock: Socket, index: int) -> int:
    """The MTU of the link of that index, 0 where there is none (netdevice(7), SIOCGIFMTU)."""
    name = name_of(sock, index)
    found = _interface(sock, _SIOCGIFMTU, name) if name else b""
    return int.from_bytes(found[16:20], sys.byteorder)


def _interface(sock: Socket, request: int, name: str = "", index: int = 0) -> bytes:
    """The kernel's struct ifreq for a name or an index; b"" where there is no such link."""
    try:
        return fcntl.ioctl(sock.raw, request, _IFREQ.pack(name.encode(), index))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return b""
        raise KernelError(
            f"interface {name or index} in {sock.where}: {error.strerror}",
            errno=error.errno or 0,
        ) from error


def required_index(sock: Socket, name: str) -> int:
    """The same. Raises `KernelError` where there is no link of that name."""
    found = index(sock, name)
    if not found:
        raise KernelError(f"there is no interface {name} in {sock.where}", errno=errno.ENODEV)
    return found


def required(sock: Socket, name: str) -> Link:
    """The link of that name. Raises `KernelError` where there is none."""
    found = by_name(sock, name)
    if found is None:
        raise KernelError(f"there is no interface {name} in {sock.where}", errno=errno.ENODEV)
    return found


# --- making --------------------------------------------------------------------------------


def bridge(name: str, mac: str, *, vlan_filtering: bool) -> Operation:
    """`ip link add NAME address MAC type bridge no_linklocal_learn 1 [vlan_filtering 1]`

    From frames to the bridge's own addresses (IEEE 802.1Q, table 8-1) it would learn where a MAC
    is without asking any table, so that whoever sends one takes another's.
    """
    options = attribute(_IFLA_BR_MULTI_BOOLOPT, _NO_LL_LEARN)
    if vlan_filtering:
        options += u8(_IFLA_BR_VLAN_FILTERING, 1)
    data = nested(IFLA_INFO_DATA, options)
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "bridge"), data)
    suffix = " vlan_filtering 1" if vlan_filtering else ""
    return Operation(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        _ANY + named(name, mac) + info,
        f"ip link add {name} address {mac} type bridge no_linklocal_learn 1{suffix}",
    )


def vlan_filtering_on(name: str) -> Operation:
    """`ip link set NAME type bridge vlan_filtering 1`"""
    data = nested(IFLA_INFO_DATA, u8(_IFLA_BR_VLAN_FILTERING, 1))
    info = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "bridge"), data)
    body = _ANY + string(IFLA_IFNAME, name) + info
    return Operation(RTM_NEWLINK, 0, body, f"ip link set {name} type bridge vlan_filtering 1")


def named(name: str, mac: str) -> bytes:
    """The attributes of a link's name, and of its MAC where one is given."""
    address = attribute(IFLA_ADDRESS, mac_bytes(mac)) if mac else b""
    return string(IFLA_IFNAME, name) + address


# --- changing --------------------------------------------------------------------------------


def up(name: str, *, mtu: int = 0) -> Operation:
    """`ip link set NAME [mtu MTU] up`"""
    size = u32(IFLA_MTU, mtu) if mtu else b""
    body = header(flags=IFF_UP, change=IFF_UP) + string(IFLA_IFNAME, name) + size
    text = f"ip link set {name} mtu {mtu} up" if mtu else f"ip link set {name} up"
    return Operation(RTM_SETLINK, 0, body, text)


def down(name: str) -> Operation:
    """`ip link set NAME down`"""
    body = header(change=IFF_UP) + string(IFLA_IFNAME, name)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} down")


def arp_notify(name: str, on: bool) -> Operation:
    """`sysctl -w net.ipv4.conf.NAME.arp_notify=0|1`"""
    setting = nested(_IFLA_INET_CONF, u32(_IPV4_DEVCONF_ARP_NOTIFY, int(on)))
    body = _ANY + string(IFLA_IFNAME, name) + nested(IFLA_AF_SPEC, nested(AF_INET, setting))
    command = f"sysctl -w net.ipv4.conf.{name}.arp_notify={int(on)}"
    return Operation(RTM_SETLINK, 0, body, command)


def promisc(name: str, on: bool) -> Operation:
    """`ip link set NAME promisc on|off`"""
    flags = IFF_PROMISC if on else 0
    body = header(flags=flags, change=IFF_PROMISC) + string(IFLA_IFNAME, name)
    state = "on" if on else "off"
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} promisc {state}")


def allmulti(name: str, on: bool) -> Operation:
    """`ip link set NAME allmulticast on|off`"""
    flags = IFF_ALLMULTI if on else 0
    body = header(flags=flags, change=IFF_ALLMULTI) + string(IFLA_IFNAME, name)
    state = "on" if on else "off"
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} allmulticast {state}")


def mtu(name: str, value: int) -> Operation:
    """`ip link set NAME mtu MTU`"""
    body = _ANY + string(IFLA_IFNAME, name) + u32(IFLA_MTU, value)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} mtu {value}")


def queue(name: str, length: int) -> Operation:
    """`ip link set NAME txqueuelen LENGTH`"""
    body = _ANY + string(IFLA_IFNAME, name) + u32(IFLA_TXQLEN, length)
    return Operation(RTM_SETLINK, 0, body, f"ip link set {name} txqueuelen {length}")


def address(name: str, mac: str) -> Operation:
    """`ip link set NAME address MAC`"""
    return Operation(RTM_SETLINK, 0, _ANY + named(name, mac), f"ip link set {name} address {mac}")


def master(name: str, index: int, bridge_name: str) -> Operation:
    """`ip link set NAME master BRIDGE`"""
    body = _ANY + string(IFLA_IFNAME, name) + u32(IFLA_MASTER, index)
    command = (
        f"ip link set {name} master {bridge_name}" if index else f"ip link set {name} nomaster"
    )
    return Operation(RTM_SETLINK, 0, body, command)


def deletion(index: int, name: str) -> Operation:
    """`ip link del NAME`, by index: a name may be somebody else's by now."""
    return Operation(RTM_DELLINK, 0, header(index), f"ip link del {name}")
