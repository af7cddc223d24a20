"""Fake hosts and containers in namespaces: where tests, demo and benchmarks take place.

The names below are the public face: what tests of other projects use (docs/testnets.md). A name
is loaded on its first use, because pytest imports this package in every run.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from .marks import needs, topology

if TYPE_CHECKING:
    from .builder import Topo
    from .net import Net, NetAssertion, Node
    from .testnet import Testnet
    from .topology import Topology

__all__ = ["Net", "NetAssertion", "Node", "Testnet", "Topo", "Topology", "needs", "topology"]

_HOME = {
    "Net": "net",
    "NetAssertion": "net",
    "Node": "net",
    "Testnet": "testnet",
    "Topo": "builder",
    "Topology": "topology",
}


class _Face(ModuleType):
    """The package: it loads its names late, and `topology` stays the mark.

    Python would set that name to the module `topology` when it is loaded.
    """

    def __getattr__(self, name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = importlib.import_module(f"{__name__}.{_HOME[name]}")
        self.__dict__[name] = getattr(home, name)
        return self.__dict__[name]

    def __setattr__(self, name: str, value: object) -> None:
        if name != "topology" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
