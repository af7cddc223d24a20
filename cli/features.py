"""What of the kernel, of nftables and of privilege the plugins need, tried out where that can be.

Everything is tried in a network namespace of its own, in a child that ends with it: nothing
of the host's network is touched. A user who isn't root gets a user namespace as well.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_OLDEST = (5, 15)
_CAPABILITIES = (12, 21)  # CAP_NET_ADMIN, CAP_SYS_ADMIN; linux/capability.h
_NS_GET_USERNS = 0xB701  # _IO(NSIO, 1), linux/nsfs.h


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
    found = [
        Feature("Linux 5.15", "all of it", True, _too_old()),
        Feature("privilege", "changing this host's network", True, _unprivileged()),
    ]
    found += [
        Feature(name, purpose, required, tried.get(name, tried.get("", "could not be tried")))
        for name, (purpose, required, _) in _TRIALS.items()
    ]
    return found


def unknown_kinds(kinds: Iterable[str]) -> list[str]:
    """Those kinds of links that this kernel does not make.

    `ip link add NAME type KIND`, in a namespace of its own. Where that can't be had, none is.
    """
    wanted = set(kinds)
    asked = [kind for kind in _KINDS if kind in wanted]
    tried = _in_a_child(asked) if asked else {}
    return [kind for kind in asked if os.strerror(errno.EOPNOTSUPP) in tried.get(kind, "")]


def _too_old() -> str:
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and tuple(map(int, numbers.groups())) < _OLDEST:
        return f"this kernel is {release}"
    return ""


def _unprivileged() -> str:
    """Looked up, not tried: whether the network namespace we are in is for us to change."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    held = int(found[1], 16) if found else 0
    if all(held >> capability & 1 for capability in _CAPABILITIES) and _is_ours():
        return ""
    return "this user may not change the network of this host; run this as root"


def _is_ours() -> bool:
    """Whether it belongs to our user namespace, or to one below."""
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.close(fcntl.ioctl(namespace, _NS_GET_USERNS))
    except OSError:
        return False
    finally:
        os.close(namespace)
    return True


# --- the trials, each in an empty network namespace -------------------------------------------


def _try_pair(kind: str, name: str) -> None:
    from ..kernel.netlink import pairs

    _transact(pairs.pair(kind, name, "", f"{name}p"))


def _try_bridge() -> None:
    from ..kernel.netlink import links

    _transact(links.bridge("pynetbr0", "02:00:00:00:00:01", vlan_filtering=False))


def _try_vlans() -> None:
    from ..kernel.netlink import links

    _transact(links.bridge("pynetbr1", "02:00:00:00:00:02", vlan_filtering=True))


def _try_tables() -> None:
    from ..kernel import namespaces
    from ..kernel.nft.table import Table

    table = Table(namespaces.own())
    table.make(["inet", "bridge"])


def _try_cookie() -> None:
    import socket

    from ..kernel import namespaces

    with socket.socket() as probe:
        namespaces.cookie(probe)


def _try_ipv6() -> None:
    Path("/proc/self/net/if_inet6").stat()


def _try_kind(kind: str) -> None:
    """One on a pair's end: what stands on nothing does not mind."""
    from ..kernel.netlink import links
    from ..kernel.netlink.packed import attribute
    from ..kernel.netlink.rtnl_socket import Socket
    from ..kernel.netlink.stacked import stacked

    parent = f"pynet-{kind}"
    _try_pair("veth", parent)
    index = links.index(Socket("a namespace to try things in"), parent)
    vlan = attribute(_IFLA_VLAN_ID, (1).to_bytes(2, sys.byteorder)) if kind == "vlan" else b""
    _transact(stacked(kind, f"{kind}0", parent=0 if kind == "dummy" else index, data=vlan))


_IFLA_VLAN_ID = 1  # linux/if_link.h
_KINDS = ("dummy", "ipvlan", "macvlan", "vlan")

_TRIALS: dict[str, tuple[str, bool, Callable[[], None]]] = {
    "namespace cookies": ("telling namespaces apart", True, _try_cookie),
    "veth": ("bridge", True, partial(_try_pair, "veth", "pynet0")),
    "bridge": ("bridge", True, _try_bridge),
    "nftables": ("masquerading, MAC guard", True, _try_tables),
    "bridge VLANs": ("bridge with vlan or vlanTrunk", False, _try_vlans),
    "IPv6": ("IPv6 addresses", False, _try_ipv6),
    **{kind: (f"the plugin {kind}", False, partial(_try_kind, kind)) for kind in _KINDS},
    "netkit": ("ptp with device netkit", False, partial(_try_pair, "netkit", "pynet1")),
}


def _transact(operation: object) -> None:
    from ..kernel.netlink.rtnl import Operation
    from ..kernel.netlink.rtnl_socket import Socket

    assert isinstance(operation, Operation)
    Socket("a namespace to try things in").transact(operation)


def _in_a_child(names: Iterable[str] = ()) -> dict[str, str]:
    """Trial -> why it failed, "" where it didn't; under "" why none could be made.

    All of them where no `names` are given.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(_tried(list(names) or list(_TRIALS)), pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return dict(json.loads(said)) if said else {"": "the process that tries it has died"}


def _tried(names: Iterable[str]) -> dict[str, str]:
    from ..testnets.lab import syscalls

    flags = syscalls.CLONE_NEWNET | (syscalls.CLONE_NEWUSER if os.geteuid() else 0)
    try:
        syscalls.unshare(flags)
    except OSError as error:
        return {"": f"not tried, a namespace can't be made: {error.strerror}"}
    return {name: _reason(_TRIALS[name][2]) for name in names}


def _reason(trial: Callable[[], None]) -> str:
    try:
        trial()
    except Exception as error:
        return str(error)
    return ""
