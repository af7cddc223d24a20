"""In words: where the packets of a probe that failed were last seen."""

from __future__ import annotations

from .journeys import Journey, Sighting


def last_seen(journey: Journey, source: str, target: str) -> str:
    """One sentence; `target` is the place that should have received it, "" where nobody knows it.

    "last seen leaving sw:h1 towards h1; h1 did not receive it"
    """
    questions = [one for one in journey.sightings if one.role == "question"]
    if not questions:
        return _never_left(journey, source)
    arrived = next((one for one in questions if one.node == target and not one.outgoing), None)
    if arrived is None:
        return f"last seen {_whereabouts(journey, questions[-1])}{_reported(journey)}"
    answers = [one for one in journey.sightings if one.role == "answer"]
    came = f"it arrived at {target}'s {arrived.interface}"
    if not answers:
        return f"{came}; {target} did not answer{_stuck(journey, target)}{_reported(journey)}"
    last = answers[-1]
    if last.node == source and not last.outgoing:
        return f"{came}, and {target}'s answer arrived at {source}'s {last.interface}"
    return f"{came}; {target} answered, and the answer was last seen {_whereabouts(journey, last)}"


def _whereabouts(journey: Journey, last: Sighting) -> str:
    end = f"{last.node}:{last.interface}"
    if not last.outgoing:
        stuck = _stuck(journey, last.node)
        return f"arriving at {end}; {last.node} did not pass it on{stuck}"
    peer = (journey.peers or {}).get((last.node, last.interface))
    if peer is None:
        return f"leaving {end}"
    return f"leaving {end} towards {peer[0]}; {peer[0]} did not receive it"


def _never_left(journey: Journey, source: str) -> str:
    return f"it never left {source}{_stuck(journey, source)}"


def _stuck(journey: Journey, node: str) -> str:
    """What may keep a packet at a node."""
    reasons = [
        f"it asked on {one.interface} who has {one.address}, and nobody answered"
        for one in journey.queries
        if one.node == node
    ]
    dead = [interface for owner, interface in journey.dead if owner == node]
    if dead:
        reasons.append(f"no carrier on its {', '.join(dead)}")
    return "".join(f" ({reason})" for reason in reasons)


def _reported(journey: Journey) -> str:
    reporting = [one.node for one in journey.sightings if one.role == "error" and one.outgoing]
    return f"; {reporting[0]} reported an error" if reporting else ""
