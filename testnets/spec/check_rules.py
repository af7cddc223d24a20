"""Mistakes in checks: places, links and ports that there are none of."""

from __future__ import annotations

from collections.abc import Iterator

from .expanding import find_link, generated, named_links
from .notation import is_address
from .problems import Finding, Location, names_of, no_such, quoted
from .topology import Check, Deny, Fault, Mesh, Mtu, Path, Reach, Target, Topology

_NAMES = names_of("nodes", "containers", "generate")


def check_findings(topology: Topology) -> Iterator[Finding]:
    """Each check by itself."""
    rules = _Rules(topology)
    for number, check in enumerate(topology.checks):
        yield from rules.of_check(("checks", number), check)


class _Rules:
    """The rules, with the names they ask for."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._links = named_links(topology)
        nodes = [name for name, node in topology.nodes.items() if node.kind != "switch"]
        self._switches = topology.nodes.keys() - set(nodes)
        made = (name for each in topology.generate for name in generated(topology, each))
        self._places = dict.fromkeys([*nodes, *topology.containers, *made])

    def of_check(self, location: Location, check: Check) -> Iterator[Finding]:
        if isinstance(check, Fault):
            yield from self._of_fault(location, check)
            return
        if check.within <= 0:
            message = "no time to become true: write within: 3s"
            yield Finding((*location, "within"), message)
        if isinstance(check, Mesh):
            yield from self._of_mesh(location, check)
            return
        yield from self._place((*location, "source"), check.source)
        yield from self._target((*location, "to"), check)
        if isinstance(check, Reach) and check.seen_as and not is_address(check.seen_as):
            yield from self._place((*location, "seen_as"), check.seen_as)
        if isinstance(check, Path):
            for number, name in enumerate(check.via):
                if name not in self._topology.nodes and name not in self._places:
                    message = no_such("node", name, self._topology.nodes)
                    yield Finding((*location, "via", number), message, _NAMES)
        if isinstance(check, Mtu) and not 68 <= check.size <= 65535:
            message = f"no packet has {check.size} bytes: write a size from 68 to 65535"
            yield Finding((*location, "size"), message)

    def _of_mesh(self, location: Location, mesh: Mesh) -> Iterator[Finding]:
        for number, name in enumerate(mesh.members):
            yield from self._place((*location, "members", number), name)
        if len(mesh.members) == 1:
            message = "a mesh of one is none: write two, or mesh: all"
            yield Finding((*location, "members"), message)

    def _of_fault(self, location: Location, fault: Fault) -> Iterator[Finding]:
        for key, texts in (("down", fault.down), ("impair", tuple(fault.impair))):
            for number, text in enumerate(texts):
                if find_link(self._links, text) is None:
                    message = no_such("link", text, [link.name for link in self._links])
                    last = text if key == "impair" else number
                    yield Finding((*location, key, last), message, names_of("links"))
        for number, name in enumerate(fault.stop):
            if name not in self._topology.nodes:
                message = no_such("node", name, self._topology.nodes)
                yield Finding((*location, "stop", number), message, names_of("nodes"))
        if not (fault.down or fault.stop or fault.impair):
            message = "a fault that does nothing: write down, stop or impair"
            yield Finding(location, message)
        if not (fault.expect or fault.heals):
            message = "a fault without checks: write expect or heals"
            yield Finding(location, message)
        for key, checks in (("expect", fault.expect), ("heals", fault.heals)):
            for number, check in enumerate(checks):
                yield from self.of_check((*location, key, number), check)

    def _place(self, location: Location, name: str) -> Iterator[Finding]:
        if name in self._switches:
            message = f"the switch {quoted(name)} has no address: name a host, or a container"
            yield Finding(location, message, ("nodes",))
        elif name not in self._places:
            message = no_such("node or container", name, self._places)
            yield Finding(location, message, _NAMES)

    def _target(self, location: Location, check: Reach | Deny | Path | Mtu) -> Iterator[Finding]:
        target = check.to
        if not is_address(target.name):
            yield from self._place(location, target.name)
        if target.port or isinstance(check, Path | Mtu):
            return
        if isinstance(check, Reach):
            message = f"{check.kind} needs a port: write {quoted(_with_port(target))}"
            yield Finding(location, message)
        elif check.protocol != "icmp":
            message = f"{check.protocol} needs a port: write {quoted(_with_port(target))}"
            yield Finding(location, f"{message}, or protocol: icmp")


def _with_port(target: Target) -> str:
    return str(target.model_copy(update={"port": 80}))
