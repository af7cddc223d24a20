"""Which services there are: third parties' by entry point `pynet.services`, and ours by name."""

from __future__ import annotations

from importlib import import_module

from .service import Service

OURS: dict[str, str] = {"dhcp": "dhcp:Dhcp"}
"""Name -> module and class: imported when first needed."""


def service_named(name: str) -> type[Service] | None:
    """None where no package here has one. Raises what importing it raises."""
    if name in OURS:
        module, _, class_name = OURS[name].partition(":")
        found = getattr(import_module(f".{module}", __package__), class_name)
    else:
        from importlib.metadata import entry_points

        points = entry_points(group="pynet.services", name=name)
        if not points:
            return None
        found = next(iter(points)).load()
    if not (isinstance(found, type) and issubclass(found, Service)):
        raise TypeError(f"{found!r} is no pynet.agent.service.Service")
    return found
