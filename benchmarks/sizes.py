"""Much of one thing for one container: routes beside the reference, and ports."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from measure import Row, Samples, alternate, medians, milliseconds
from sides import Side, both, bridge, published, pynet

from pynet.testnets.lab.lab import Lab

ROUTES = 6_000
PORTS = 10_000
_FIRST_PORT = 20_000


def sizes(rounds: int) -> Iterator[Row]:
    """ADD and DEL of a bridge network with thousands of routes, and of thousands of ports."""
    rounds = max(3, rounds // 3)
    with Lab() as lab:
        takers = {side.name: partial(_routed, side) for side in both(lab)}
        samples = alternate(rounds, takers)
    yield from _rows(f"bridge with {ROUTES} routes", samples, "500")
    with Lab() as lab:  # of the reference a thousand take minutes
        samples = alternate(rounds, {"pynet": partial(_published, pynet(lab))})
    yield from _rows(f"portmap with {PORTS} ports", samples, "1000")


def _rows(what: str, samples: Samples, budget: str) -> Iterator[Row]:
    """A time is judged: what a request costs with little in it must not make up for this."""
    for step in ("ADD", "DEL"):
        mine = {name: values for name, values in samples.items() if name.endswith(step)}
        values = medians(mine)
        yield Row(f"{what}: {step}", "ms", values, values[f"pynet {step}"], "ms", budget, mine)


def _routed(side: Side) -> dict[str, float]:
    config = bridge()
    config["ipam"]["routes"] = [
        {"dst": f"20.{number >> 8}.{number & 255}.0/24"} for number in range(ROUTES)
    ]
    container = side.container()
    runtime = side.runtime(config)
    results: list[Any] = []

    def work() -> dict[str, float]:
        add = milliseconds(lambda: results.append(runtime.add(container)))
        return {"ADD": add, "DEL": milliseconds(lambda: runtime.delete(container, results[0]))}

    taken: dict[str, float] = side.host.call(work)
    side.host.delete_container(container)
    return taken


def _published(side: Side) -> dict[str, float]:
    container = side.container()

    def work() -> dict[str, float]:
        result = side.runtime(bridge()).add(container)
        wanted = published(*range(_FIRST_PORT, _FIRST_PORT + PORTS))
        runtime = side.runtime({**wanted, "prevResult": result})
        add = milliseconds(lambda: runtime.add(container))
        delete = milliseconds(lambda: runtime.delete(container))
        side.runtime(bridge()).delete(container, result)
        return {"ADD": add, "DEL": delete}

    taken: dict[str, float] = side.host.call(work)
    side.host.delete_container(container)
    return taken
