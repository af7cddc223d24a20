"""What a runtime calls for one container: the chains that are measured, and how."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from sides import FIREWALL, LOOPBACK, Side, bridge, published

from pynet.testnets.lab.lab import Container
from pynet.testnets.live.runtime import Runtime, execute

Result = dict[str, Any]


@dataclass(frozen=True)
class Chain:
    """What is called for one container: loopback, and the plugins of a bridge network."""

    what: str
    subnets: tuple[str, ...] = ("10.88.0.0/16",)
    published: bool = False

    def add(self, side: Side, container: Container) -> Result:
        side.runtime(LOOPBACK, name="lo").add(container, "lo")
        return self._network(side, container).add(container)

    def delete(self, side: Side, container: Container, result: Result) -> None:
        self._network(side, container).delete(container, result)
        side.runtime(LOOPBACK, name="lo").delete(container, interface="lo")

    def _network(self, side: Side, container: Container) -> Runtime:
        plugins = [bridge(*self.subnets)]
        if self.published:
            plugins += [published(10_000 + int(container.name[1:])), FIREWALL]
        return side.runtime(*plugins)


V4 = Chain("loopback + bridge, masquerade, v4 alone")
DUAL = Chain("loopback + bridge, masquerade, v4 and v6", ("10.88.0.0/16", "fd00:88::/64"))
WHOLE = Chain("loopback + bridge + portmap + firewall", published=True)


def add_all(side: Side, containers: Sequence[Container]) -> list[Result]:
    """Attach them, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(partial(WHOLE.add, side), containers))


def delete_all(side: Side, containers: Sequence[Container], results: Sequence[Result]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(WHOLE.delete, side), containers, results))


def two_containers(side: Side, chain: Chain, pause: float = 0) -> Iterator[dict[str, float]]:
    """Attached in one turn, detached in the next, with `pause` seconds before each step.

    The first in a turn finds the processor's caches with something else in them, on either side,
    for the other side has just been measured; the second, "ADD" and "DEL", meets what is in use.
    """
    containers = side.container(), side.container()
    adding = [partial(chain.add, side, container) for container in containers]
    taken, results = side.host.call(timed, side, ("first ADD", "ADD"), adding, pause)
    yield taken
    deleting = [
        partial(chain.delete, side, *pair) for pair in zip(containers, results, strict=True)
    ]
    yield side.host.call(timed, side, ("first DEL", "DEL"), deleting, pause)[0]
    for container in containers:
        side.host.delete_container(container)


def timed(
    side: Side, names: Sequence[str], steps: Sequence[Callable[[], Any]], pause: float = 0
) -> tuple[dict[str, float], list[Any]]:
    """Milliseconds that the plugins take in each step, and what the steps gave."""
    # This process was forked a moment ago: its first calls pay for the pages they touch.
    for _ in range(5):
        execute("/bin/true", b"{}", {})
    results: list[Any] = []
    taken = {}
    for name, step in zip(names, steps, strict=True):
        time.sleep(pause)
        taken[name], result = side.timed(step)
        results.append(result)
    return taken, results


def fill(side: Side, count: int) -> None:
    """Attach `count` containers."""
    containers = [side.container() for _ in range(count)]
    side.host.call(add_all, side, containers)
