"""The least an ADD can cost: what the kernel takes for the same links, address and route.

Messages that are known beforehand, sent in two batches by sockets that are open already.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from measure import milliseconds

from pynet.kernel import namespaces
from pynet.kernel.netlink import addresses, links, moving, pairs, routes
from pynet.kernel.netlink.rtnl import Operation
from pynet.kernel.netlink.rtnl_socket import Socket
from pynet.testnets.lab.lab import Container

BRIDGE = "floor0"


def prepare() -> None:
    """The bridge, which is there before the ADD that is measured."""
    sock = Socket("the host")
    sock.transact(links.bridge(BRIDGE, "02:00:00:00:00:01", vlan_filtering=False), links.up(BRIDGE))
    sock.close()


def attach(container: Container) -> float:
    """The milliseconds for one container's links, address and route, in the caller's namespace."""
    namespace = os.open(container.path, os.O_RDONLY)
    outer, inner = Socket("the host"), Socket.inside(namespace, container.name)
    bridge = int(Path(f"/sys/class/net/{BRIDGE}/ifindex").read_text())
    name = f"fl{container.name}"
    host_side = [
        pairs.pair("veth", name, "", "eth0", peer_namespace=namespace),
        links.master(name, bridge, BRIDGE),
        links.up(name),
    ]
    # The first veth of a namespace: its index is known before it is there, as lo has 1.
    sandbox_side = _sandbox_side(2)

    def work() -> None:
        outer.transact(*host_side)
        inner.transact(*sandbox_side)

    return milliseconds(work)


def _sandbox_side(index: int) -> list[Operation]:
    gateway = routes.route(index, "0.0.0.0/0", "10.99.0.1")
    return [
        links.up("eth0"),
        addresses.added(index, "eth0", "10.99.0.2/16"),
        routes.prepended(gateway, "default via 10.99.0.1 dev eth0"),
    ]


def moves(name: str, container: Container) -> dict[str, float]:
    """The milliseconds for an interface's way into a container, and back: `host-device`'s part
    that is the kernel's alone.
    """
    here, there = namespaces.own(), os.open(container.path, os.O_RDONLY)
    outer, inner = Socket("the host"), Socket.inside(there, container.name)
    taken = {}
    for key, sock, target, old, new in (
        ("into", outer, there, name, "eth0"),
        ("back", inner, here, "eth0", name),
    ):
        move = moving.moved(links.index(sock, old), old, target, new)
        sock.transact(links.down(old))
        taken[key] = milliseconds(partial(sock.transact, move))
    outer.transact(links.up(name))
    for sock in (outer, inner):
        sock.close()
    for descriptor in (here, there):
        os.close(descriptor)
    return taken
