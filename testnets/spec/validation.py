"""What is wrong with a topology that no single value of it can say."""

from __future__ import annotations

from .address_rules import address_findings
from .check_rules import check_findings
from .container_rules import container_findings
from .link_rules import link_findings
from .name_rules import name_findings
from .network_rules import network_findings
from .problems import Finding, Problem, TopologyError, where
from .topology import Topology

_RULES = (name_findings, link_findings, network_findings, container_findings, check_findings)
_ADDRESSED = ("nodes", "links", "underlay", "networks")


def findings(topology: Topology) -> list[Finding]:
    """All that is wrong with it; addresses are looked at where all that has some is right."""
    found = [finding for rule in _RULES for finding in rule(topology)]
    if not any(finding.location[0] in _ADDRESSED for finding in found):
        found += address_findings(topology)
    return found


def validated(topology: Topology) -> Topology:
    """The same topology. Raises `TopologyError` where something is wrong with it."""
    found = findings(topology)
    if found:
        name = f"topology {topology.name}"
        raise TopologyError(Problem(name, 0, where(f.location), f.message) for f in found)
    return topology
