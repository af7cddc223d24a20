"""The whole chain beside many containers of one bridge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from chains import WHOLE, Result, fill, two_containers
from measure import Row, in_turns, medians, milliseconds, quotient
from sides import Side, pynet, reference

from pynet.testnets.lab.lab import Container, Lab

SETTLED = 15
"""Seconds in which a new container has said most of what it says by itself. Without an answer it
goes on asking for a router, ever more seldom: RFC 7559."""
PAUSE = 1.5
"""Seconds for what a step sets off in the kernel: what a container says when it comes, it says
again within a second (RFC 3810, section 9.11), and the kernel copies it to every port."""
CROWDED = 6
"""Rounds beside the crowd, which take as long as their pauses."""


def crowd(rounds: int, count: int) -> Iterator[Row]:
    """The whole chain beside many containers of one bridge and, in turns with it, on an empty host.

    Each step is left time to end before the next: what a new container sends to all others, and
    the end of an old one's namespace, keep the kernel busy after the answer. How many at once
    fare is the burst's row.
    """
    for start in (pynet, reference):
        with Lab() as lab:
            sides = {name: start(lab, name=name) for name in ("crowded", "empty")}
            present = {name: side for name, side in sides.items() if side is not None}
            if not present:
                continue
            filled = milliseconds(partial(fill, present["crowded"], count))
            time.sleep(SETTLED)
            takers = {
                name: partial(two_containers, side, WHOLE, PAUSE) for name, side in present.items()
            }
            samples = in_turns(min(CROWDED, rounds), takers)
            heard = _heard(present["crowded"])
        who = start.__name__
        for command in ("ADD", "DEL"):
            mine = {key: samples[key] for key in (f"empty {command}", f"crowded {command}")}
            values = medians(mine)
            yield Row(
                f"{who}: {command} beside {count} containers",
                "ms",
                values,
                quotient(values, f"crowded {command}", f"empty {command}"),
                "its own empty host",
                "1.3" if start is pynet else "",
                mine,
            )
        yield Row(f"{who}: to attach those {count}", "s", {who: filled / 1000})
        budget = "4" if start is pynet else ""
        yield Row(
            f"{who}: what each of them hears of one more",
            "frames",
            heard,
            heard["ADD"],
            "frames",
            budget,
        )


def _heard(side: Side) -> dict[str, float]:
    """Frames that come to a container while another is attached, and detached.

    What those that are there say meanwhile is among them.
    """
    first, other = side.container(), side.container()

    def attach(container: Container) -> Result:
        result = side.host.call(WHOLE.add, side, container)
        time.sleep(SETTLED)
        return result

    def frames() -> int:
        return side.host.call(_received, netns=first)

    attach(first)
    before = frames()
    result = attach(other)
    added = frames()
    side.host.call(WHOLE.delete, side, other, result)
    time.sleep(PAUSE)
    return {"ADD": added - before, "DEL": frames() - added}


def _received() -> int:
    """Frames that came in at eth0 of the namespace this is called in."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()
    (fields,) = (line.split() for line in lines if line.lstrip().startswith("eth0:"))
    return int(fields[2])
