"""Whether everybody reaches everybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ..lab.place import Place
from ..spec.topology import Mesh
from .echoing import Fate, Ping, exchange, new_token
from .networks import Networks
from .targets import Destination, Site, best_addresses
from .tracing import LONG_ENOUGH, told, trace_ping

_NAMED = 5
"""Pairs that a message names."""


@dataclass(frozen=True)
class Pair:
    """Who pings whom, at which address."""

    source: Place
    destination: Destination


def meshed(networks: Networks, check: Mesh) -> str:
    """What is wrong, or "". Raises `LabError`, `OSError`."""
    members = _members(networks, check)
    if len(members) < 2:
        return f"a mesh needs two members, and this one has {len(members)}"
    pairs, unpaired = _pairs(networks.site, members, (check.family,) if check.family else (4, 6))
    failed = _failed(networks, pairs, check.within)
    if not failed and not unpaired:
        return ""
    return "\n".join(_lines(networks, len(members), failed, unpaired, check))


def _members(networks: Networks, check: Mesh) -> list[Place]:
    if check.members:
        return [networks.place(name) for name in dict.fromkeys(check.members)]
    return [place for place in networks.places.values() if place.kind == "container"]


def _pairs(
    site: Site, members: Sequence[Place], families: Sequence[int]
) -> tuple[dict[int, list[Pair]], list[str]]:
    """By IP version; and those that have none in common."""
    pairs: dict[int, list[Pair]] = {family: [] for family in families}
    unpaired = []
    versions = {place.name: {f for f in families if place.address(f)} for place in members}
    for source in members:
        for place in members:
            if source is place:
                continue
            if not versions[source.name] & versions[place.name]:
                unpaired.append(f"{source.name} -> {place.name}")
            for address in best_addresses(site, source, place):
                destination = Destination(address, 0, place, 0)
                if destination.family in versions[source.name]:
                    pairs[destination.family].append(Pair(source, destination))
    return pairs, unpaired


def _failed(
    networks: Networks, pairs: dict[int, list[Pair]], within: float
) -> list[tuple[Pair, Fate]]:
    """One process for each IP version: they are both at work at a time."""
    with ExitStack() as ending:
        under_way = []
        for family, here in pairs.items():
            pings = [
                Ping(networks.of(pair.source.name), pair.destination.address, networks.of(target))
                for pair, target in zip(here, _targets(here), strict=True)
            ]
            forked = networks.testnet.lab.fork_call(_unreached, pings, family, within)
            under_way.append((here, ending.enter_context(forked)))
        fates = [(here, forked.wait()) for here, forked in under_way]
    return [(here[number], fate) for here, bad in fates for number, fate in bad.items()]


def _unreached(pings: Sequence[Ping], family: int, within: float) -> dict[int, Fate]:
    """The fates of those that were not reached, by their place in `pings`."""
    fates = exchange(pings, family, within, new_token())
    return {number: fate for number, fate in enumerate(fates) if not fate.reached}


def _targets(pairs: Sequence[Pair]) -> Iterator[str]:
    return (pair.destination.place.name for pair in pairs if pair.destination.place)


def _lines(
    networks: Networks,
    members: int,
    failed: Sequence[tuple[Pair, Fate]],
    unpaired: Sequence[str],
    check: Mesh,
) -> Iterator[str]:
    ordered = members * (members - 1)
    bad = {(pair.source.name, *_targets([pair])) for pair, _ in failed}
    yield f"{len(bad) + len(unpaired)} of {ordered} ordered pairs failed within {check.within:g} s:"
    strangers = unpaired[:_NAMED]
    named = failed[: _NAMED - len(strangers)]
    for text in strangers:
        yield f"  {text}: they have no addresses of one IP version"
    for number, (pair, fate) in enumerate(named):
        yield f"  {_line(networks, pair, fate, check.within if number == 0 else 0.0)}"
    if more := len(failed) + len(unpaired) - len(named) - len(strangers):
        yield f"  and {more} more"


def _line(networks: Networks, pair: Pair, fate: Fate, patience: float) -> str:
    """With `patience`, the ping is tried once more, and traced."""
    source, destination = pair.source, pair.destination
    target = destination.place.name if destination.place else ""
    text = (
        f"{source.name} -> {target}: ping from {source.address(destination.family)} to "
        f"{destination.address}: {fate}"
    )
    if fate.no_route:
        return f"{text}: {source.name} has no route there"
    if not patience:
        return text
    again, journey = trace_ping(networks, source, destination, min(patience, LONG_ENOUGH))
    return text + told(journey, source, destination, reached=again.reached)
