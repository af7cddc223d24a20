"""What a container's namespace is, and which interfaces it has, asked of the kernel."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

from ..model.errors import CniError, NamespaceError
from ..model.place import NO_NUMBER


@dataclass(frozen=True)
class Sandbox:
    """Cookies of the host's namespace and of the container's, and its number (nsid) there."""

    host: str = ""
    cookie: str = ""
    number: int = NO_NUMBER


UNSEEN = Sandbox()


def is_another(one: Sandbox, other: Sandbox) -> bool:
    """Whether two are known not to be one namespace."""
    known = one.cookie and other.cookie
    return bool(known) and (one.host, one.cookie) != (other.host, other.cookie)


def identified(netns: str) -> Sandbox:
    """What the namespace at that path is known by once no path leads there.

    `UNSEEN` where there is none, or none we may enter.
    """
    from ..kernel import namespaces
    from ..kernel.world import KernelWorld

    try:
        fd = namespaces.open_namespace(netns)
    except (OSError, NamespaceError):
        return UNSEEN
    own = namespaces.own()
    try:
        with KernelWorld(own, fd, netns=netns, our_plugins=frozenset()) as world:
            return Sandbox(world.host, world.sandbox, world.number())
    except (OSError, CniError):
        return UNSEEN
    finally:
        os.close(own)
        os.close(fd)


def interface_names(netns: str) -> list[str]:
    """`ip -n NETNS -o link`, by index; [] where there is no such namespace or none we may enter."""
    from ..kernel import namespaces

    try:
        fd = namespaces.open_namespace(netns)
    except (OSError, NamespaceError):
        return []
    try:
        with namespaces.entered(fd):
            return [name for _, name in socket.if_nameindex()]
    except (OSError, NamespaceError):
        return []
    finally:
        os.close(fd)


def is_own_address(address: str) -> bool:
    """Whether this host has it, or the one that stands for all of its addresses."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def set_loopback_up(netns: str) -> None:
    """`ip -n NETNS link set lo up`, as the plugin `loopback` does. Raises `CniError`, OSError."""
    from ..kernel import namespaces
    from ..kernel.netlink import links
    from ..kernel.netlink.rtnl_socket import Socket

    fd = namespaces.open_namespace(netns)
    try:
        with namespaces.entered(fd):
            Socket(netns).transact(links.up("lo"))
    finally:
        os.close(fd)


def interface_stands(netns: str, interface: str) -> bool:
    return interface in interface_names(netns)


def is_alive(netns: str) -> bool:
    """Whether the path still leads to a network namespace."""
    from ..kernel import namespaces

    try:
        os.close(namespaces.open_namespace(netns))
    except FileNotFoundError:
        return False
    except NamespaceError as error:
        # A mount point left behind is no namespace; one we may not open is one.
        return isinstance(error.__cause__, PermissionError)
    return True
