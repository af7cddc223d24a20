"""Whether one place is answered by another, in ICMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spec.topology import Family, Target
from .echoing import Ping, exchange, new_token
from .networks import Networks
from .targets import destinations
from .tracing import LONG_ENOUGH, told, trace_ping

if TYPE_CHECKING:
    from ..live.testnet import Testnet


def unanswered(
    testnet: Testnet, source: str, to: Target, family: Family | None, within: float
) -> str:
    """A line for each address of `to` that does not answer `source` within so many seconds; or "".

    Raises `LabError` where there is no way to address it, and `OSError`.
    """
    lines = []
    with Networks(testnet) as networks:
        place = networks.place(source)
        for one in destinations(networks.site, place, to, "icmp", family):
            target = networks.of(one.place.name) if one.place else None
            ping = Ping(networks.of(source), one.address, target)
            (fate,) = testnet.lab.call(exchange, [ping], one.family, within, new_token())
            if not fate.reached:
                seen = f": {source} has no route there"
                if not fate.no_route:
                    again, journey = trace_ping(networks, place, one, min(within, LONG_ENOUGH))
                    seen = told(journey, place, one, reached=again.reached)
                lines.append(f"ping from {source} to {to} at {one.address}: {fate}{seen}")
    return "\n".join(lines)
