"""The links of a lab, and what can happen to one while the lab stands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...kernel import namespaces
from ..lab.lab import Lab
from ..lab.plumbing import Gate, Pair, Part, Port, Work, carry_out, opened
from ..spec.addressing import Addressing
from ..spec.topology import Impairment, Link, Topology
from . import impairments
from .differences import parts
from .impairments import Treatment


class Wiring:
    """The namespaces of a lab, and the links between them; `addressing` is that of now."""

    def __init__(self, lab: Lab, topology: Topology, addressing: Addressing) -> None:
        self.lab = lab
        self.topology = topology
        self.addressing = addressing

    def part(self, node: str) -> Part:
        """All addresses and routes of a node."""
        return parts(self.addressing).get(node, Part())

    def pair(self, link: Link) -> Pair:
        """A link's place in the kernel; each one asked for has indexes of its own."""
        near, far = (Port(end.node, end.interface, self.lab.next_index()) for end in link.ends)
        return Pair(near, far, link.mtu)

    def is_switch(self, node: str) -> bool:
        return node not in self.lab.hosts


class LiveLink:
    """A link that is there: `link` as the topology has it, `pair` as the kernel does."""

    def __init__(self, wiring: Wiring, link: Link, pair: Pair) -> None:
        self._wiring = wiring
        self.link = link
        self.pair = pair
        self.impairment = Impairment()
        self.is_up = True

    def down(self) -> None:
        """Unplug it: both ends lose their carrier.

        A switch's port is set down, so that a host's end keeps its addresses and routes. Between
        two hosts the second one's end is, and `up` gives back what the kernel then takes away.
        """
        self._change(down=(self._unplugged(),))
        self.is_up = False

    def up(self) -> None:
        """Plug it in again, with all addresses and routes of both ends."""
        nodes = [port.node for port in self.pair[:2] if not self._wiring.is_switch(port.node)]
        more = {node: self._wiring.part(node) for node in nodes}
        self._change(up=(self.pair,), more=more)
        self.is_up = True

    def impair(self, impairment: Impairment) -> None:
        """From now on each direction is so; `Impairment()` makes it a perfect link again.

        Raises `LabError` for what this kernel can't do, and then leaves it as it is.
        """
        treat(self._wiring, [(self, impairment)])

    @contextlib.contextmanager
    def impaired(self, impairment: Impairment) -> Iterator[LiveLink]:
        """The same for a while; then it is as it was before."""
        before = self.impairment
        self.impair(impairment)
        try:
            yield self
        finally:
            self.impair(before)

    def open_network(self, end: int) -> int:
        """A descriptor of the network namespace that end 0 or 1 is in, a switch's, too."""
        node = self.pair[:2][end].node
        host = self._wiring.lab.hosts.get(node)
        return host.open_network() if host else self._wiring.lab.open_network(node)

    def take(self, wiring: Wiring, link: Link) -> None:
        """It is a link of this wiring now; what it does to packets stays."""
        self._wiring, self.link = wiring, link

    def state(self) -> dict[str, Any]:
        """What `attached` needs, for JSON."""
        return {
            "indexes": [port.index for port in self.pair[:2]],
            "impairment": self.impairment.model_dump(mode="json"),
            "up": self.is_up,
        }

    @classmethod
    def attached(cls, wiring: Wiring, link: Link, state: Mapping[str, Any]) -> LiveLink:
        """The link that another process has made."""
        near, far = (
            Port(end.node, end.interface, index)
            for end, index in zip(link.ends, state["indexes"], strict=True)
        )
        live = cls(wiring, link, Pair(near, far, link.mtu))
        live.impairment = Impairment.model_validate(state["impairment"])
        live.is_up = state["up"]
        return live

    def _unplugged(self) -> Port:
        near, far = self.pair[:2]
        return near if self._wiring.is_switch(near.node) else far

    def _change(self, **changes: Any) -> None:
        lab = self._wiring.lab
        gates = lab.gates(port.node for port in self.pair[:2])
        lab.call(carry_out, Work(gates, **changes))


def treat(wiring: Wiring, wanted: Sequence[tuple[LiveLink, Impairment]]) -> None:
    """Impair many links at once, each in both directions. Raises `LabError`."""
    by_node: dict[str, list[Treatment]] = {}
    for live, impairment in wanted:
        for port in live.pair[:2]:
            by_node.setdefault(port.node, []).append(
                impairments.treatment(port.name, port.index, impairment, live.impairment)
            )
    if by_node:
        wiring.lab.call(_treat_all, wiring.lab.gates(by_node), by_node)
    for live, impairment in wanted:
        live.impairment = impairment


def _treat_all(gates: Mapping[str, Gate], by_node: Mapping[str, Sequence[Treatment]]) -> None:
    for node, treatments in by_node.items():
        with namespaces.entered(opened(gates[node])):
            impairments.apply(treatments)
