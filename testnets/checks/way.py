"""Through which nodes packets pass, and how large they may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ..lab.place import Place
from ..spec.topology import Mtu, Path
from .echoes import DIALECTS
from .echoing import Fate, Ping, exchange, new_token
from .journeys import Journey
from .networks import Networks
from .probes import Answer, Call
from .reach import stand
from .refusals import is_patient
from .targets import Destination, Protocol, destinations
from .tracing import LONG_ENOUGH, told, trace_call, trace_ping

Verdict = tuple[str, bool]
"""What is wrong, or "", and whether that may still come true."""

_AGAIN = 0.1
"""Seconds between two looks at what may still come true."""
_PATIENCE = 0.3
"""Seconds after which a packet that is too large for somebody silent counts as lost."""
_LARGEST = 65535


def passed_by(networks: Networks, check: Path) -> str:
    """What is wrong, or "", after `within` seconds at most. Raises `LabError`, `OSError`."""
    return _in_time(check.within, lambda: _passed_by_now(networks, check))


def fits(networks: Networks, check: Mtu) -> str:
    """What is wrong, or "", after `within` seconds at most. Raises `LabError`, `OSError`."""
    return _in_time(check.within, lambda: _fits_now(networks, check))


def _in_time(within: float, judge: Callable[[], Verdict]) -> str:
    """A way that is another one now may be the right one in time."""
    deadline = time.monotonic() + within
    while True:
        wrong, hopeful = judge()
        if not (wrong and (hopeful or is_patient(within))) or time.monotonic() > deadline:
            return wrong
        time.sleep(_AGAIN)


def _passed_by_now(networks: Networks, check: Path) -> Verdict:
    source = networks.place(check.source)
    protocol: Protocol = "tcp" if check.to.port else "icmp"
    found = destinations(networks.site, source, check.to, protocol, check.family)
    lines = []
    hopeful = True
    for one in found:
        fate, journey = _journey(networks, source, one, check.within)
        nodes = journey.nodes("question")
        if not _in_order(check.via, nodes):
            line = (
                f"from {source.name} ({source.address(one.family)}) to {one.address} "
                f"(IPv{one.family}): the packet passed {', '.join(nodes) or 'nothing'}, "
                f"and not {', '.join(check.via)} in this order"
            )
            got_there = fate.answered if isinstance(fate, Answer) else fate.reached
            lines.append(line if got_there else line + told(journey, source, one, reached=False))
            hopeful &= not fate.no_route
    return "\n".join(lines), hopeful


def _journey(
    networks: Networks, source: Place, destination: Destination, within: float
) -> tuple[Answer | Fate, Journey]:
    if not destination.port:
        return trace_ping(networks, source, destination, within)
    where = stand(networks, destination, "tcp", within / 2)
    call = Call("tcp", networks.of(source.name), destination.address, destination.port, where)
    return trace_call(networks, source, destination, call, within)


def _in_order(wanted: Iterable[str], passed: Sequence[str]) -> bool:
    rest = iter(passed)
    return all(node in rest for node in wanted)


def _fits_now(networks: Networks, check: Mtu) -> Verdict:
    source = networks.place(check.source)
    lines = []
    hopeful = True
    for one in destinations(networks.site, source, check.to, "icmp", check.family):
        target = networks.of(one.place.name) if one.place else None
        ping = Ping(networks.of(source.name), one.address, target)
        largest = networks.testnet.lab.call(largest_that_fits, ping, one.family, check.size)
        if largest != check.size:
            line = (
                f"from {source.name} ({source.address(one.family)}) to {one.address} "
                f"(IPv{one.family}): the largest packet that passes has {largest} bytes, "
                f"not {check.size}"
            )
            if not largest:
                fate, journey = trace_ping(networks, source, one, min(check.within, LONG_ENOUGH))
                line = line.replace("the largest packet that passes has 0 bytes", "none passes")
                line += told(journey, source, one, reached=fate.reached)
                hopeful &= not fate.no_route
            lines.append(line)
    return "\n".join(lines), hopeful


def largest_that_fits(ping: Ping, family: int, guess: int) -> int:
    """Bytes of the largest IP packet that passes whole, 0 where none does; in a fork."""
    smallest = DIALECTS[family].smallest
    good, bad = smallest - 1, _LARGEST + 1
    size = min(max(guess, smallest), _LARGEST)
    if not _passes(ping, family, size) and not _passes(ping, family, smallest):
        return 0
    while bad - good > 1:
        if _passes(ping, family, size):
            good = size
        else:
            bad = size
        # The guess is right as a rule: then the next larger one settles it.
        size = guess + 1 if good == guess and bad > guess + 1 else (good + bad) // 2
    return good if good >= smallest else 0


def _passes(ping: Ping, family: int, size: int) -> bool:
    """By the target's own account, where it has one: an answer may be too large for its way."""
    for _ in range(2):
        (fate,) = exchange([ping], family, _PATIENCE, new_token(), size=size, hopeful=False)
        if fate.arrived or (ping.target is None and fate.answered):
            return True
        if fate.said:
            return False
    return False
