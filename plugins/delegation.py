"""IPAM as a main plugin sees it: one of ours in process, or somebody else's executable.

CNI spec 1.1.0, section 4, "Plugin delegation". A name of ours runs in process unless the
first binary of that name in CNI_PATH is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..cni.config import parse_model
from ..cni.keys import get
from ..cni.result import from_json
from ..model.errors import ConfigError, DelegateFailed
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import PluginBinary, Query, Seen
from ..model.request import Request
from ..model.resource import Resource, encode
from ..model.resources import DelegatedLease
from .registry import names, plugin_named


def ipam_type(request: Request) -> str:
    """`ipam.type`, "" where the network has no IPAM."""
    kind = get(request.conf.ipam, "type")
    return kind if isinstance(kind, str) else ""


def ipam_questions(request: Request) -> Iterator[Query[Any]]:
    """What `foreign_ipam` will ask."""
    kind = ipam_type(request)
    if kind:
        yield PluginBinary(kind, request.path)


def foreign_ipam(request: Request, seen: Seen) -> str:
    """The path of somebody else's IPAM executable, "" where it is ours or there is none.

    Raises `ConfigError` where neither CNI_PATH nor we have a plugin of that name.
    """
    kind = ipam_type(request)
    if not kind:
        return ""
    binary = seen[PluginBinary(kind, request.path)]
    if binary is None:
        where = ":".join(request.path) or "CNI_PATH, which is empty"
        raise ConfigError(f'failed to find plugin "{kind}" (ipam.type) in {where}')
    return binary


def plan_addresses(
    request: Request, seen: Seen, interface_first: Callable[[], tuple[Resource, ...]]
) -> Plan:
    """What `ipam` leases: the leases, and a result of addresses, routes and DNS.

    `interface_first` tells the resources that somebody else's IPAM (DHCP) needs to be there
    before it is asked. Raises `DelegateFailed` where it answers without an address.
    """
    binary = foreign_ipam(request, seen)
    if not binary:
        return _ours(request, seen)
    lease = DelegatedLease(
        type=ipam_type(request),
        binary=binary,
        interface_first=tuple(encode(resource) for resource in interface_first()),
    )
    result = from_json(seen[lease], request.cni_version, f"the result of {binary}")
    if not result.ips:
        raise DelegateFailed(f"IPAM plugin {binary} returned no address", details=str(seen[lease]))
    return Plan((lease,), result)


def ipam_status(request: Request, seen: Seen) -> None:
    """STATUS of an IPAM of ours; somebody else's is asked by the engine."""
    if ipam_type(request) and not foreign_ipam(request, seen):
        ipam, inner = _inner(request)
        ipam.status(inner, seen)


def leftover_leases(request: Request) -> Iterable[Resource]:
    """What an IPAM of ours leaves where there is no record."""
    if ipam_type(request) in names():
        try:
            ipam, inner = _inner(request)
        except ConfigError:
            return ()
        return ipam.leftovers(inner)
    return ()


def _ours(request: Request, seen: Seen) -> Plan:
    ipam, inner = _inner(request)
    plan = ipam.plan(inner, seen)
    if not plan.result.ips:
        raise ConfigError(f'ipam: "{ipam.name}" is given no address to hand out')
    return plan


def _inner(request: Request) -> tuple[Plugin, Request]:
    if "ipam" not in request.memo:
        ipam = plugin_named(ipam_type(request))
        if "ipam" not in request.common:
            request.common["ipam"] = parse_model(ipam.config, request.config), {}
        conf, common = request.common["ipam"]
        request.memo["ipam"] = ipam, replace(request, conf=conf, memo={}, common=common)
    found: tuple[Plugin, Request] = request.memo["ipam"]
    return found
