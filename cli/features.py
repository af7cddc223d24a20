"""What of the kernel and of nftables the plugins need, tried out rather than looked up.

Everything is tried in a network namespace of its own, in a child that ends with it: nothing
of the host's network is touched. A user who isn't root gets a user namespace as well.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_OLDEST = (5, 15)


@dataclass(frozen=True)
class Feature:
    """`missing` says why it can't be used ("": it can); ADD works without one not `required`."""

    name: str
    purpose: str
    required: bool
    missing: str


def features() -> list[Feature]:
    """All that the plugins use. Raises nothing."""
    tried = _in_a_child()
    found = [Feature("Linux 5.15", "all of it", True, _too_old())]
    found += [
        Feature(name, purpose, required, tried.get(name, tried.get("", "could not be tried")))
        for name, (purpose, required, _) in _TRIALS.items()
    ]
    return found


def _too_old() -> str:
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and tuple(map(int, numbers.groups())) < _OLDEST:
        return f"this kernel is {release}"
    return ""


# --- the trials, each in an empty network namespace -------------------------------------------


def _try_veth() -> None:
    from ..kernel import links

    _transact(links.veth("pynet0", "", "pynet1"))


def _try_bridge() -> None:
    from ..kernel import links

    _transact(links.bridge("pynetbr0", "02:00:00:00:00:01", vlan_filtering=False))


def _try_vlans() -> None:
    from ..kernel import links

    _transact(links.bridge("pynetbr1", "02:00:00:00:00:02", vlan_filtering=True))


def _try_tables() -> None:
    from ..kernel import namespaces
    from ..kernel.nft_table import Table

    table = Table(namespaces.own())
    table.make(["inet", "bridge"])


def _try_cookie() -> None:
    import socket

    from ..kernel import namespaces

    with socket.socket() as probe:
        namespaces.cookie(probe)


def _try_ipv6() -> None:
    Path("/proc/self/net/if_inet6").stat()


_TRIALS: dict[str, tuple[str, bool, Callable[[], None]]] = {
    "namespace cookies": ("telling namespaces apart", True, _try_cookie),
    "veth": ("bridge", True, _try_veth),
    "bridge": ("bridge", True, _try_bridge),
    "nftables": ("masquerading, MAC guard", True, _try_tables),
    "bridge VLANs": ("bridge with vlan or vlanTrunk", False, _try_vlans),
    "IPv6": ("IPv6 addresses", False, _try_ipv6),
}


def _transact(operation: object) -> None:
    from ..kernel.rtnl import Operation
    from ..kernel.rtnl_socket import Socket

    assert isinstance(operation, Operation)
    Socket("a namespace to try things in").transact(operation)


def _in_a_child() -> dict[str, str]:
    """Trial -> why it failed, "" where it didn't; under "" why none could be made."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(_tried(), pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return dict(json.loads(said)) if said else {"": "the process that tries it has died"}


def _tried() -> dict[str, str]:
    from ..testnets import syscalls

    flags = syscalls.CLONE_NEWNET | (syscalls.CLONE_NEWUSER if os.geteuid() else 0)
    try:
        syscalls.unshare(flags)
    except OSError as error:
        return {"": f"not tried, a namespace can't be made: {error.strerror}"}
    return {name: _reason(trial) for name, (_, _, trial) in _TRIALS.items()}


def _reason(trial: Callable[[], None]) -> str:
    try:
        trial()
    except Exception as error:
        return str(error)
    return ""
