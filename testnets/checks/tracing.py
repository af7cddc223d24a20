"""A probe once more, with taps on all interfaces that its packets may pass."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..lab.place import Place
from .echoing import Fate, Ping, exchange, new_token
from .frames import Marks
from .journeys import Aim, Journey, watched
from .last_seen import last_seen
from .networks import Networks
from .probes import Answer, Call, converse, token
from .targets import Destination

LONG_ENOUGH = 1.0
"""Seconds; what is lost on the way was lost before that."""


def trace_ping(
    networks: Networks, source: Place, destination: Destination, within: float = LONG_ENOUGH
) -> tuple[Fate, Journey]:
    """What becomes of a ping, and where it passes. Raises `OSError`, `LabError`."""
    mark = new_token()
    target = None if destination.place is None else networks.of(destination.place.name)
    ping = Ping(networks.of(source.name), destination.address, target)
    work = partial(exchange, [ping], destination.family, within, mark)
    where = networks.map(_names(source, destination))
    fates, journey = networks.testnet.lab.call(watched, work, where, Marks(echo=mark))
    return fates[0], journey


def trace_call(
    networks: Networks,
    source: Place,
    destination: Destination,
    call: Call,
    within: float = LONG_ENOUGH,
) -> tuple[Answer, Journey]:
    """The same for a call by TCP, UDP or HTTP."""
    mark = token()
    aim = None if call.protocol == "udp" else Aim(call.port, call.address)
    work = partial(converse, [replace(call, hopeful=True)], within, mark)
    where = networks.map(_names(source, destination))
    answers, journey = networks.testnet.lab.call(watched, work, where, Marks(mark), aim)
    return answers[0], journey


def told(journey: Journey, source: Place, destination: Destination, *, reached: bool) -> str:
    """Where the packet was last seen, for the message about a probe that failed before."""
    if reached:
        return "; tried once more, it got through"
    target = destination.place.name if destination.place else ""
    return f"; {last_seen(journey, source.name, target)}"


def _names(source: Place, destination: Destination) -> list[str]:
    return [source.name, *([destination.place.name] if destination.place else [])]
