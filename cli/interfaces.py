"""Which interfaces a container has, asked of the kernel."""

from __future__ import annotations

import os
import socket

from ..model.errors import NamespaceError


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
