"""Whether somebody gets no answer, from where others do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

from ...kernel.netlink import links
from ...kernel.netlink.rtnl_socket import Socket
from ..lab.place import Place
from ..spec.topology import Deny
from .echoing import Ping, exchange, new_token
from .networks import Networks
from .probes import Answer, Call, converse, token
from .reach import spoken, stand
from .targets import Destination, best_addresses, destinations, family_of

_SOON = 1.0
"""Seconds in which whoever listens answers somebody in his own namespace."""


def denied(networks: Networks, check: Deny) -> str:
    """What is wrong, or "". Raises `LabError`, `OSError`."""
    source = networks.place(check.source)
    found = destinations(networks.site, source, check.to, check.protocol, check.family)
    if check.protocol == "icmp":
        lines = _echoes(networks, source, found, check)
    else:
        lines = _calls(networks, source, found, check)
    return "\n".join(filter(None, lines))


def _echoes(
    networks: Networks, source: Place, found: Sequence[Destination], check: Deny
) -> list[str]:
    network = networks.of(source.name)
    with ExitStack() as ending:
        under_way = []
        for one in found:  # all at a time: each takes as long as the check may
            target = networks.of(one.place.name) if one.place else None
            pings = [Ping(network, one.address, target)]
            forked = networks.testnet.lab.fork_call(
                exchange, pings, one.family, check.within, new_token()
            )
            under_way.append((one, ending.enter_context(forked)))
        fates = [(one, fate) for one, forked in under_way for fate in forked.wait()]
    return [
        f"{source.name} pinged {one.address} ({check.to}), and was answered"
        for one, fate in fates
        if fate.answered
    ]


def _calls(
    networks: Networks, source: Place, found: Sequence[Destination], check: Deny
) -> list[str]:
    protocol: Literal["tcp", "udp"] = "udp" if check.protocol == "udp" else "tcp"
    network = networks.of(source.name)
    calls = []
    for one in found:
        where = stand(networks, one, protocol, _SOON)
        calls.append(Call(protocol, network, one.address, one.port, where, hopeful=False))
    proofs = [_proof(networks, one, protocol) for one in found]
    answers, proven = networks.testnet.lab.call(_try, calls, proofs, check.within)
    return [_verdict(source, *tried, check) for tried in zip(found, answers, proven, strict=True)]


def _verdict(
    source: Place, destination: Destination, answer: Answer, proof: str, check: Deny
) -> str:
    if answer.answered:
        seen = f", which saw {answer.seen}" if answer.seen else ""
        return f"{spoken(source, destination, check.protocol, answer)}: was answered{seen}"
    if proof:
        return (
            f"{spoken(source, destination, check.protocol, answer)}: was not answered, but that "
            f"proves nothing: the server does not answer local connections either ({proof})"
        )
    return ""


def _proof(
    networks: Networks, destination: Destination, protocol: Literal["tcp", "udp"]
) -> Call | None:
    """A call to whoever listens, from his own namespace."""
    place = destination.place
    if place is None or not destination.inner_port:
        return None
    mine = best_addresses(networks.site, place, place)
    own = [one for one in mine if family_of(one) == destination.family]
    where = stand(networks, destination, protocol, _SOON)
    if not own or where is None:
        return None
    return Call(protocol, where.network, own[0], destination.inner_port, where)


def _try(
    calls: Sequence[Call], proofs: Sequence[Call | None], within: float
) -> tuple[list[Answer], list[str]]:
    """The answers, and for each proof that failed, why; in a fork."""
    answers = converse(calls, within, token())
    wanted = {proof for proof in proofs if proof is not None and _talks_to_itself(proof.source)}
    tried = list(wanted)
    done = dict(zip(tried, converse(tried, _SOON, token()), strict=True))
    failed = {
        proof: answer.said or "no answer" for proof, answer in done.items() if not answer.answered
    }
    return answers, [failed.get(proof, "") if proof else "" for proof in proofs]


def _talks_to_itself(network: int) -> bool:
    """Whether the loopback interface is up there; without it nobody reaches himself."""
    sock = Socket.inside(network, "the lab")
    try:
        return links.is_up(sock, "lo")
    finally:
        sock.close()
