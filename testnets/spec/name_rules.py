"""Mistakes in names: of the topology, its nodes, networks and containers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .expanding import generated
from .notation import is_address
from .problems import Finding, Location, names_of, quoted
from .topology import Generator, Topology

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII | re.IGNORECASE)
"""A container's id and a network's name as CNI has them, and no longer than a label of a host's
name (RFC 1035, 2.3.4)."""


def name_findings(topology: Topology) -> Iterator[Finding]:
    """Names that can't be, or that stand for two things."""
    yield from _wrong_name(("name",), topology.name)
    for name in topology.networks:
        yield from _wrong_name(("networks", name), name)
    taken: dict[str, str] = {}
    for what, section in (("a node", "nodes"), ("a container", "containers")):
        for name in getattr(topology, section):
            yield from _wrong_name((section, name), name)
            if name in taken:
                yield _taken((section, name), name, taken)
            taken[name] = what
    for number, generator in enumerate(topology.generate):
        yield from _generated_names(topology, ("generate", number), generator, taken)


def _wrong_name(location: Location, name: str) -> Iterator[Finding]:
    if not _NAME.fullmatch(name):
        what = "write 1 to 63 letters, digits, -, _ and ., the first a letter or digit"
        yield Finding(location, f"{quoted(name)} can't be a name: {what}")
    elif is_address(name):
        yield Finding(location, f"{quoted(name)} is an address: write a name that is none")
    elif name == "all":
        yield Finding(location, '"all" means everybody: write another name')


def _generated_names(
    topology: Topology, location: Location, generator: Generator, taken: dict[str, str]
) -> Iterator[Finding]:
    """At most one: what holds for a name holds for all that are made alike."""
    if generator.containers > 1 and "{n}" not in generator.name:
        message = f'{quoted(generator.name)} is one name for all: write "{generator.name}{{n}}"'
        yield Finding((*location, "name"), message)
        return
    names = list(generated(topology, generator))
    wrong = list(_wrong_name((*location, "name"), names[-1]))
    wrong += [_taken((*location, "name"), name, taken) for name in names if name in taken][:1]
    yield from wrong[:1]
    taken.update(dict.fromkeys(names, "a generated container"))


def _taken(location: Location, name: str, taken: dict[str, str]) -> Finding:
    message = f"{quoted(name)} is {taken[name]} already: write another name"
    return Finding(location, message, names_of("nodes", "containers"))
