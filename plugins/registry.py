"""Which plugins there are: ours by name, third parties' by entry point `pynet.plugins`."""

from __future__ import annotations

from collections.abc import Container
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from ..model.errors import ConfigError
from ..model.plugin import Plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

OURS = {
    "bandwidth": "bandwidth:Bandwidth",
    "bridge": "bridge:Bridge",
    "dhcp": "dhcp:Dhcp",
    "dummy": "dummy:Dummy",
    "firewall": "firewall:Firewall",
    "host-device": "host_device:HostDevice",
    "host-local": "host_local:HostLocal",
    "ipvlan": "ipvlan:Ipvlan",
    "loopback": "loopback:Loopback",
    "macvlan": "macvlan:Macvlan",
    "portmap": "portmap:Portmap",
    "ptp": "ptp:Ptp",
    "sbr": "sbr:Sbr",
    "static": "static:Static",
    "tap": "tap:Tap",
    "tuning": "tuning:Tuning",
    "vlan": "vlan:Vlan",
    "vrf": "vrf:Vrf",
}
"""Name -> module and class: imported when first asked for, so a one-shot loads only its own."""


class _Served:
    """The names of `names`; of one of ours it is known without a look at others' packages."""

    def __contains__(self, name: object) -> bool:
        return name in OURS or name in names()


SERVED: Container[str] = _Served()


@cache
def names() -> frozenset[str]:
    """Every plugin that can be served here."""
    return frozenset(OURS) | {point.name for point in _third_parties()}


@cache
def plugin_named(name: str) -> Plugin:
    """The plugin of that name. Raises `ConfigError` where there is none."""
    if name in OURS:
        module, _, class_name = OURS[name].partition(":")
        found = getattr(import_module(f".{module}", __package__), class_name)
    else:
        for point in _third_parties():
            if point.name == name:
                found = point.load()
                break
        else:
            known = ", ".join(sorted(names()))
            raise ConfigError(f'pynet has no plugin "{name}"; it has {known}')
    plugin = found()
    assert isinstance(plugin, Plugin)
    return plugin


def _third_parties() -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group="pynet.plugins")
