"""What a container of each main plugin costs: one plugin, addresses of both families."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from chains import timed
from floor import moves
from measure import Row, alternate, by_side, medians
from sides import Side, both

from pynet.testnets.lab.lab import Lab

PARENT, CARD = "nic0", "nic1"
IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.66.0.0/16"}], [{"subnet": "fd00:66::/64"}]],
}
ROUTED = {**IPAM, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}
MAINS: dict[str, dict[str, Any]] = {
    "ptp": {"ipMasq": True, "ipam": ROUTED},
    "macvlan": {"master": PARENT, "ipam": {"type": "host-local", "subnet": "10.67.0.0/16"}},
    "host-device": {"device": CARD, "ipam": {"type": "host-local", "subnet": "10.68.0.0/16"}},
    "tap": {"ipam": {"type": "host-local", "subnet": "10.69.0.0/16"}},
}
"""Those that this kernel makes, beside bridge, which has rows of its own."""
BUDGETS = {"ADD": "1/3", "DEL": "1/5"}


def mains(rounds: int) -> Iterator[Row]:
    """ADD and DEL of each, the sides in turns."""
    with Lab() as lab:
        sides = both(lab)
        for side in sides:
            side.host.call(_wire)
        for plugin, config in MAINS.items():
            takers = {
                each.name: partial(come_and_go, each, plugin, config)
                for each in sides
                if each.has(plugin)
            }
            samples = alternate(rounds, takers)
            for command, budget in BUDGETS.items():
                yield by_side(f"{plugin}: {command}", samples, command, budget)
        yield _moving(sides[0], rounds)


def _moving(side: Side, rounds: int) -> Row:
    """What of host-device's times nobody can spare: the kernel waits for all that still looks."""

    def once() -> dict[str, float]:
        container = side.container()
        taken = side.host.call(moves, CARD, container)
        side.host.delete_container(container)
        return taken

    samples = alternate(rounds, {"kernel": once})
    return Row("host-device: the kernel's move alone", "ms", medians(samples), samples=samples)


def _wire() -> None:
    """The host's interface that others stand on, one that is lent, and somebody at other ends."""
    for name in (PARENT, CARD):
        for words in (
            f"link add {name} type veth peer name {name}-peer",
            f"link set {name}-peer up",
            f"link set {name} up",
        ):
            subprocess.run(["ip", *words.split()], check=True)


def come_and_go(side: Side, plugin: str, config: Mapping[str, Any]) -> dict[str, float]:
    """The milliseconds of an ADD and of a DEL."""
    container = side.container()
    runtime = side.runtime({"type": plugin, **config}, name=f"bench-{plugin}")

    adding = [partial(runtime.add, container)]
    added, (result,) = side.host.call(timed, side, ("ADD",), adding)
    deleting = [partial(runtime.delete, container, result)]
    deleted, _ = side.host.call(timed, side, ("DEL",), deleting)
    side.host.delete_container(container)
    return {**added, **deleted}
