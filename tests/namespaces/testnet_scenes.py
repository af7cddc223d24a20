"""What tests of testnets share: a small topology, and who reaches whom."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from pynet.testnets.lab.place import Place
from pynet.testnets.spec.topology import (
    Container,
    End,
    Link,
    Membership,
    Network,
    Node,
    Publication,
    Topology,
)

WEB = Network(hosts=("h1",), subnets=("10.1.0.0/24", "fd00:1::/64"))
BACK = Network(hosts=("h1",), subnets=("10.2.0.0/24",), internal=True)


def link(one: str, other: str, **keys: Any) -> Link:
    ends = (End(node=one.partition(":")[0], interface=one.partition(":")[2]), End(node=other))
    return Link(ends=ends, **keys)


def container(*networks: str, **keys: Any) -> Container:
    memberships = tuple(Membership(network=name) for name in networks)
    return Container(host=keys.pop("host", "h1"), networks=memberships, **keys)


def topology(**changes: Any) -> Topology:
    """Two hosts at a switch, two containers on one of them, one of which publishes a port."""
    publish = (Publication(host_port=8080, container_port=80),)
    whole: dict[str, Any] = {
        "nodes": {"h1": Node(), "h2": Node(), "sw": Node(kind="switch")},
        "links": (link("h1", "sw"), link("h2", "sw")),
        "networks": {"web": WEB},
        "containers": {"a": container("web", publish=publish), "b": container("web")},
    }
    return Topology(**{**whole, **changes})


def reaches(source: Place, target: Place | str) -> list[bool]:
    """Whether it does in each family that both have."""
    if isinstance(target, str):
        return [_ping(source, target)]
    pairs = [(source.address(family), target.address(family)) for family in (4, 6)]
    return [_ping(source, to) for own, to in pairs if own and to]


def _ping(source: Place, target: str) -> bool:
    argv = ["ping", "-c", "1", "-W", "0.5", target]
    return source.run(argv, check=False).returncode == 0


def namespace(place: Place) -> os.stat_result:
    descriptor = place.open_network()
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
