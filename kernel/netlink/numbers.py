"""Namespaces by the number that another knows them by (nsid): seen, and cleared, without a path.

Rules that hold here:
- Whoever asks needs no descriptor of the namespace, so nothing here keeps one alive.
- A number is given once and stays as long as both namespaces live. One that the kernel chose
  (it does, for a veth) is the lowest that is free, and so another's soon.
"""

from __future__ import annotations

import errno
import struct

from ...model.errors import KernelError
from ...model.place import NO_NUMBER
from ...model.query import Link
from . import addresses, links
from .packed import attribute, chosen
from .refusals import GONE, tolerating
from .rtnl import RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, Operation, u32
from .rtnl_socket import Socket

RTM_NEWNSID = 88
RTM_GETNSID = 90
# linux/net_namespace.h
_NETNSA_NSID = 1
_NETNSA_PID = 2
_NETNSA_FD = 3
_IFLA_TARGET_NETNSID = 46  # linux/if_link.h
_IFA_TARGET_NETNSID = 10  # linux/if_addr.h
_ANY = bytes(4)  # struct rtgenmsg, padded
_INT = struct.Struct("=i")
_DEAD = (errno.EINVAL, errno.ENOENT)
_CLOSED = (errno.EPERM, errno.EACCES)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, _INT.pack(value))


def give(sock: Socket, namespace: int, number: int) -> int:
    """`ip netns set`: the number of the namespace `namespace` as the socket's knows it.

    That is `number`, unless it has another. `NO_NUMBER` where there is none to be had.
    """
    who = u32(_NETNSA_FD, namespace)
    body = _ANY + who + _number(_NETNSA_NSID, number)
    try:
        sock.transact(Operation(RTM_NEWNSID, 0, body, f"ip netns set (id {number})"))
    except KernelError as error:
        return _known(sock, who) if error.errno == errno.EEXIST else NO_NUMBER
    return number


def of_process(sock: Socket, pid: int) -> int:
    """The number of the namespace that process is in; `NO_NUMBER` where there is none."""
    try:
        return _known(sock, u32(_NETNSA_PID, pid))
    except KernelError:
        return NO_NUMBER


def of(sock: Socket, namespace: int) -> int:
    """The number of the namespace `namespace`; `NO_NUMBER` where there is none."""
    return _known(sock, u32(_NETNSA_FD, namespace))


def _known(sock: Socket, who: bytes) -> int:
    reply = sock.ask(Operation(RTM_GETNSID, 0, _ANY + who, "ip netns list-id"))
    found = chosen(reply.body, len(_ANY), (_NETNSA_NSID,))
    return int(_INT.unpack(found.get(_NETNSA_NSID, _INT.pack(NO_NUMBER)))[0])


def is_known(sock: Socket, number: int) -> bool | None:
    """Whether a living namespace has that number; None where the kernel does not say."""
    body = _ANY + _number(_NETNSA_NSID, number)
    try:
        sock.ask(Operation(RTM_GETNSID, 0, body, f"ip netns list-id nsid {number}"))
    except KernelError as error:
        return False if error.errno in _DEAD else None
    return True


def links_in(sock: Socket, number: int) -> list[Link] | None:
    """`ip -d link show` in there; [] where it is dead, None where it may not be looked into."""
    body = links.header() + _number(_IFLA_TARGET_NETNSID, number)
    found = _dump(sock, Operation(RTM_GETLINK, 0, body, f"ip link show (netnsid {number})"))
    return None if found is None else [links.parse(each) for each in found]


def link_in(sock: Socket, number: int, index: int) -> Link | None:
    """The link of that index in there; None where there is none. Raises `KernelError`."""
    body = links.header(index) + _number(_IFLA_TARGET_NETNSID, number)
    operation = Operation(RTM_GETLINK, 0, body, f"ip link show (index {index}, netnsid {number})")
    try:
        return links.parse(sock.ask(operation).body)
    except KernelError as error:
        if error.errno in (*_DEAD, errno.ENODEV):
            return None
        raise


def addresses_in(sock: Socket, number: int) -> list[addresses.Assigned] | None:
    """`ip addr show` in there; as `links_in`."""
    body = bytes(8) + _number(_IFA_TARGET_NETNSID, number)
    found = _dump(sock, Operation(RTM_GETADDR, 0, body, f"ip addr show (netnsid {number})"))
    return None if found is None else [addresses.parse(each) for each in found]


def _dump(sock: Socket, operation: Operation) -> list[bytes] | None:
    try:
        return sock.dump(operation)
    except KernelError as error:
        if error.errno in _CLOSED:
            return None
        if error.errno in _DEAD:
            return []
        raise


def delete_link(sock: Socket, number: int, index: int, name: str) -> None:
    """`ip link del NAME` in there. One that is gone is no error. Raises `KernelError`."""
    body = links.header(index) + _number(_IFLA_TARGET_NETNSID, number)
    with tolerating((*GONE, *_DEAD)):
        sock.transact(Operation(RTM_DELLINK, 0, body, f"ip link del {name} (netnsid {number})"))
