"""pynet: the network of a Linux host's containers, spoken to by CNI.

Where things are, from the ground up; nothing imports from a line below its own:

    model/      request, query, resource, plan, error: values only
    cni/        the protocol without I/O      store/    journal and leases (SQLite)
    kernel/     every system call             ipam/     who has which address
    dhcp/       what a DHCP client says, IPv4 and IPv6
    plugins/    one module a plugin: (request, seen) -> plan, pure
    engine/     look, journal, apply, verify, undo; recovery
    daemon/     pynetd, its wire, the one-shot     launcher/  the C front of both
    agent/      services that look after what has a life of its own after the answer
    cli/        `pynet`, one module a command      testnets/  hosts and containers in namespaces
    conformance/  what the specification asks of plugins, asked of anybody's
    testing/    the fakes a plugin's author tests with

The names below are the public face: what a plugin is written with (docs/sdk.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynet.engine.engine import Engine
    from pynet.model.errors import CniError
    from pynet.model.plan import Plan
    from pynet.model.plugin import Plugin
    from pynet.model.query import Query, Seen
    from pynet.model.request import Request
    from pynet.model.resource import Resource

__version__ = "0.1.0"

__all__ = ["CniError", "Engine", "Plan", "Plugin", "Query", "Request", "Resource", "Seen"]

# Loaded on first use: `import pynet` alone must cost nothing.
_HOME = {
    "CniError": "pynet.model.errors",
    "Engine": "pynet.engine.engine",
    "Plan": "pynet.model.plan",
    "Plugin": "pynet.model.plugin",
    "Query": "pynet.model.query",
    "Request": "pynet.model.request",
    "Resource": "pynet.model.resource",
    "Seen": "pynet.model.query",
}


def __getattr__(name: str) -> object:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
