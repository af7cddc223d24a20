"""Fake hosts and containers in namespaces: where tests, demo and benchmarks take place.

The names below are the public face: what tests of other projects use (docs/testnets.md). A name
is loaded on its first use, because pytest imports this package in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .fixtures.marks import needs, topology

if TYPE_CHECKING:
    from .fixtures.net import Net, NetAssertion, Node
    from .live.testnet import Testnet
    from .spec.builder import Topo
    from .spec.topology import Topology

__all__ = ["Net", "NetAssertion", "Node", "Testnet", "Topo", "Topology", "needs", "topology"]

_HOME = {
    "Net": "fixtures.net",
    "NetAssertion": "fixtures.net",
    "Node": "fixtures.net",
    "Testnet": "live.testnet",
    "Topo": "spec.builder",
    "Topology": "spec.topology",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOME[name]}", __name__)
    found = globals()[name] = getattr(home, name)
    return found
