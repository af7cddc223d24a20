"""Network namespaces that are bound at a path, as `ip netns` makes them."""

from __future__ import annotations

from pathlib import Path

from . import syscalls

NETWORKS = "/run/netns"


def bind_new_network(path: str) -> None:
    """`ip netns add`, of a path; this process is left in the new namespace. Raises `OSError`."""
    Path(path).touch(exist_ok=False)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.mount("/proc/self/ns/net", path, flags=syscalls.MS_BIND)


def unbind_network(path: str) -> None:
    """`ip netns del`, of a path. Raises `OSError`."""
    syscalls.unmount(path)
    Path(path).unlink()
