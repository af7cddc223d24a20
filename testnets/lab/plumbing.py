"""Interfaces, addresses, routes and sysctls of many namespaces, made by one process.

It enters each once, to open a socket to rtnetlink there; what belongs together goes out in one
send. Run it in a lab (`Lab.call`): it needs the right to enter every namespace it is given.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...kernel import namespaces, sysctls
from ...kernel.netlink import addresses, links, pairs, routes
from ...kernel.netlink.rtnl import Operation
from ...kernel.netlink.rtnl_socket import Socket
from . import syscalls
from .networks import NETWORKS, bind_new_network

_TOGETHER = 64
"""Requests in one send: as many answers must fit into a socket's buffer."""
_THERE = (errno.EEXIST,)
_GONE = (errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENOENT)

_PATIENCE = 3.0
"""Seconds; nothing but a fault of the kernel's makes it wait so long."""

BRIDGE = "bridge"
"""A switch's own interface, in the namespace that is the switch."""

Gate = int | str
"""A way into a namespace: the pidfd of a process there, or the path it is bound at."""

Route = tuple[str, str]
"""Where it leads, and the address it leads by: `ip route add DST via VIA`."""


@dataclass(frozen=True)
class Port:
    """One end of a pair: its node, name and index."""

    node: str
    name: str
    index: int


class Pair(NamedTuple):
    """A link as the kernel has it; 0 is the MTU that the kernel gives."""

    near: Port
    far: Port
    mtu: int = 0


@dataclass(frozen=True)
class Part:
    """What is wanted in one namespace, or what is to go: addresses by interface, and routes."""

    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    routes: Sequence[Route] = ()


@dataclass(frozen=True)
class Work:
    """All that is to be changed in one go; keys are names of nodes.

    `switches` and `sysctls` are of new nodes only.
    """

    gates: Mapping[str, Gate]
    switches: Sequence[str] = ()
    sysctls: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unmade: Sequence[Port] = ()
    pairs: Sequence[Pair] = ()
    down: Sequence[Port] = ()
    up: Sequence[Pair] = ()
    less: Mapping[str, Part] = field(default_factory=dict)
    more: Mapping[str, Part] = field(default_factory=dict)


def carry_out(work: Work) -> None:
    """Do it all. Raises `KernelError`, OSError."""
    for switch in work.switches:
        _make_switch(switch)
    with Plumber(work.gates) as plumber:
        for port in work.unmade:
            plumber.send(port.node, [links.deletion(port.index, port.name)], _GONE)
        for port in work.down:
            plumber.send(port.node, [links.down(port.name)])
        for pair in work.up:
            for port in (pair.near, pair.far):
                plumber.send(port.node, [links.up(port.name)])
        plumber.set_sysctls(work.sysctls, early=True)
        plumber.make_pairs(work.pairs)
        plumber.set_sysctls(work.sysctls, early=False)
        plumber.take(work.less)
        plumber.bring_up(work.pairs)
        plumber.give(work.more)
        plumber.wait_for_carriers((*work.pairs, *work.up))


def _make_switch(name: str) -> None:
    """A namespace with a bridge in it; without IPv6, nobody in it speaks for itself."""
    with _elsewhere():
        bind_new_network(f"{NETWORKS}/{name}")
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            for which in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
        sock = Socket(f"switch {name}")
        sock.transact(links.bridge(BRIDGE, "", vlan_filtering=False), links.up(BRIDGE))
        sock.close()


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    home = namespaces.own()
    try:
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)


class Plumber:
    """A socket in each namespace of `gates` that is asked for."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self._gates = gates
        self._opened = contextlib.ExitStack()
        self._namespaces: dict[str, int] = {}
        self._sockets: dict[str, Socket] = {}

    def __enter__(self) -> Plumber:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def namespace(self, node: str) -> int:
        """A descriptor of the node's network namespace."""
        if node not in self._namespaces:
            self._namespaces[node] = opened(self._gates[node])
            self._opened.callback(os.close, self._namespaces[node])
        return self._namespaces[node]

    def socket(self, node: str) -> Socket:
        if node not in self._sockets:
            self._sockets[node] = Socket.inside(self.namespace(node), node)
            self._opened.callback(self._sockets[node].close)
        return self._sockets[node]

    def send(
        self, node: str, operations: Sequence[Operation], tolerated: Sequence[int] = ()
    ) -> None:
        for first in range(0, len(operations), _TOGETHER):
            together = operations[first : first + _TOGETHER]
            self.socket(node).transact(*together, tolerated=tolerated)

    def set_sysctls(self, wanted: Mapping[str, Mapping[str, str]], *, early: bool) -> None:
        """`sysctl -w`; `early` are those that new interfaces start from, and that reset others."""
        for node, settings in wanted.items():
            chosen = {key: text for key, text in settings.items() if _is_early(key) is early}
            if chosen:
                with namespaces.entered(self.namespace(node)):
                    for key, text in chosen.items():
                        Path(sysctls.path(key)).write_text(text)

    def make_pairs(self, pairs: Iterable[Pair]) -> None:
        made: dict[str, list[Operation]] = {}
        for pair in pairs:
            far = self.namespace(pair.far.node)
            made.setdefault(pair.near.node, []).append(_veth(pair, far))
        for node, operations in made.items():
            self.send(node, operations)

    def bring_up(self, pairs: Iterable[Pair]) -> None:
        """Plug the pairs' ends into switches, and set all of them up."""
        bridges: dict[str, int] = {}
        done: dict[str, list[Operation]] = {}
        for pair in pairs:
            for port in (pair.near, pair.far):
                operations = done.setdefault(port.node, [])
                if isinstance(self._gates[port.node], str):
                    if port.node not in bridges:
                        bridges[port.node] = links.required_index(self.socket(port.node), BRIDGE)
                    operations.append(links.master(port.name, bridges[port.node], BRIDGE))
                else:
                    self._skip_detection(port)
                operations.append(links.up(port.name))
        for node, operations in done.items():
            self.send(node, operations)

    def wait_for_carriers(self, pairs: Iterable[Pair]) -> None:
        """Until packets pass: the kernel says so to the ends a moment after both are up."""
        deadline = time.monotonic() + _PATIENCE
        for pair in pairs:
            for port in (pair.near, pair.far):
                sock = self.socket(port.node)
                while not links.is_operational(sock, port.name) and time.monotonic() < deadline:
                    time.sleep(0.001)

    def _skip_detection(self, port: Port) -> None:
        """Duplicate address detection of its link-local address would take a second or two."""
        with (
            namespaces.entered(self.namespace(port.node)),
            contextlib.suppress(FileNotFoundError),
        ):
            Path(f"/proc/sys/net/ipv6/conf/{port.name}/accept_dad").write_text("0")

    def give(self, wanted: Mapping[str, Part]) -> None:
        """Addresses and routes; what is there already is left alone."""
        for node, part in wanted.items():
            self.send(node, self._addresses(node, part, addresses.added), _THERE)
        # Another node's address may have to be there before a route by way of it leads anywhere.
        for node, part in wanted.items():
            self.send(node, _routes(part, routes.prepended), _THERE)

    def take(self, unwanted: Mapping[str, Part]) -> None:
        """Addresses and routes go; what is gone already is no error."""
        for node, part in unwanted.items():
            self.send(node, _routes(part, routes.removed), _GONE)
            self.send(node, self._addresses(node, part, addresses.removed), _GONE)

    def _addresses(
        self, node: str, part: Part, change: Callable[[int, str, str], Operation]
    ) -> list[Operation]:
        operations = []
        for interface, texts in part.addresses.items():
            index = links.index(self.socket(node), interface) if texts else 0
            operations += [change(index, interface, text) for text in texts]
        return operations


def opened(gate: Gate) -> int:
    """A descriptor of the network namespace behind it. Raises OSError."""
    if isinstance(gate, str):
        return os.open(gate, os.O_RDONLY | os.O_CLOEXEC)
    with _elsewhere():
        syscalls.setns(gate, syscalls.CLONE_NEWNET)
        return namespaces.own()


def _is_early(key: str) -> bool:
    return ".default." in key or key.endswith(("ip_forward", ".all.forwarding"))


def _veth(pair: Pair, far_namespace: int) -> Operation:
    return pairs.pair(
        "veth",
        pair.near.name,
        "",
        pair.far.name,
        index=pair.near.index,
        peer_index=pair.far.index,
        mtu=pair.mtu,
        peer_namespace=far_namespace,
    )


def _routes(part: Part, change: Callable[[routes.Route, str], Operation]) -> list[Operation]:
    return [change(routes.route(0, dst, via), f"{dst} via {via}") for dst, via in part.routes]
