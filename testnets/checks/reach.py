"""Whether somebody gets an answer, by TCP, UDP or HTTP, and as whom the server sees him."""

from __future__ import annotations

from ipaddress import ip_address

from ..lab.place import Place
from ..spec.notation import is_address
from ..spec.topology import Reach
from .listeners import Stand
from .networks import Networks
from .probes import Answer, Call, converse, token
from .targets import Destination, Protocol, destinations, owner_of
from .tracing import LONG_ENOUGH, told, trace_call

_GRACE = 0.5
"""The share of a check's time that a container's own command has to begin to listen, where it
is not known that it has to."""


def reached(networks: Networks, check: Reach) -> str:
    """What is wrong, or "". Raises `LabError`, `OSError`."""
    source = networks.place(check.source)
    protocol: Protocol = "udp" if check.kind == "udp" else "tcp"
    found = destinations(networks.site, source, check.to, protocol, check.family)
    calls = [
        Call(
            check.kind,
            networks.of(source.name),
            one.address,
            one.port,
            stand(networks, one, protocol, check.within * (1.0 if check.answer else _GRACE)),
        )
        for one in found
    ]
    answers = networks.testnet.lab.call(converse, calls, check.within, token())
    lines: list[str] = []
    for call, destination, answer in zip(calls, found, answers, strict=True):
        if what := _wrong(networks, check, destination, answer):
            line = f"{spoken(source, destination, check.kind, answer)}: {what}"
            if not (answer.answered or answer.no_route or lines):
                again, journey = trace_call(
                    networks, source, destination, call, min(check.within, LONG_ENOUGH)
                )
                line += told(journey, source, destination, reached=again.answered)
            lines.append(line)
    return "\n".join(lines)


def stand(
    networks: Networks, destination: Destination, kind: Protocol, patience: float
) -> Stand | None:
    """Where somebody has to listen for what is sent to `destination`; a container's own command
    has `patience` seconds to begin to.
    """
    place = destination.place
    if place is None or not destination.inner_port:
        return None
    container = networks.testnet.topology.containers.get(place.name)
    waits = container is not None and bool(container.run)
    return Stand(
        networks.of(place.name),
        "udp" if kind == "udp" else "tcp",
        destination.family,
        destination.inner_port,
        patience if waits else 0.0,
    )


def spoken(source: Place, destination: Destination, kind: str, answer: Answer) -> str:
    """ "tcp over IPv4 from a (10.1.0.2) to b (10.1.0.3 port 80)" """
    family = destination.family
    near = answer.local or source.address(family) or "no address"
    inner = destination.place.name if destination.place else "nobody here"
    far = f"{destination.address} port {destination.port}"
    return f"{kind} over IPv{family} from {source.name} ({near}) to {inner} ({far})"


def _wrong(networks: Networks, check: Reach, destination: Destination, answer: Answer) -> str:
    if not answer.answered:
        if answer.no_route:
            return f"{answer.said}: {check.source} has no route there"
        lost = "; the listener was asked, but its answer did not come back"
        return f"{answer.said or 'no answer'} within {check.within:g} s" + (
            lost if answer.arrived else ""
        )
    if check.kind == "http" and (what := _wrong_page(check, answer)):
        place = destination.place.name if destination.place else ""
        whose = f" (by the check's own listener: nothing else listens in {place})"
        return what + (whose if answer.ours else "")
    return _wrong_face(networks, check, destination, answer) if check.seen_as else ""


def _wrong_page(check: Reach, answer: Answer) -> str:
    if answer.status != check.status:
        return f"it was answered with status {answer.status}, not {check.status}"
    if check.answer not in answer.body:
        return f"{check.answer!r} is not in what was answered: {answer.body[:200]!r}"
    return ""


def _wrong_face(networks: Networks, check: Reach, destination: Destination, answer: Answer) -> str:
    """Of two places with the address that was seen, the one that is near the server is meant."""
    face = check.seen_as
    wanted = [face] if is_address(face) else networks.place(face).addresses
    seen = answer.seen or _address_in(answer.body)
    if not seen:
        return "it was answered, but by a server that does not say whom it saw"
    server = destination.place or networks.place(check.source)
    owner = owner_of(networks.site, server, seen)
    if ip_address(seen) in [ip_address(one) for one in wanted]:
        if owner is None or owner.name == face or is_address(face):
            return ""
        return f"the server saw {seen}, and there that is {owner.name}, not {face}"
    who = f" ({owner.name})" if owner else ""
    return f"the server saw {seen}{who}, and not {face}" + (
        "" if is_address(face) else f", whose addresses are {', '.join(wanted)}"
    )


def _address_in(body: str) -> str:
    """The address that a server's page consists of, if it does."""
    text = body.strip().removeprefix("::ffff:")
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
