"""`tuning`: sysctls and attributes of the interface that the plugins before it have made.

All of it in the container's network namespace. Keys and results are the reference plugin's;
sysctls, too, are given back on DEL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from ..cni.environment import ADDRESSING
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import FileText, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import (
    AllMulticast,
    LinkAddress,
    LinkMtu,
    Promiscuous,
    Sysctl,
    TransmitQueue,
)
from ..model.result import Interface, Result
from .chained import is_containers, previous_result, required_interface
from .tuning_config import (
    ALLOWLIST,
    Settings,
    TuningConf,
    effective,
    refuse_unlisted,
    settings,
)


class Tuning(Plugin):
    name = "tuning"
    about = "sets sysctls, MAC, MTU and flags of the container's interface"
    config = TuningConf
    arguments = ADDRESSING

    def plan(self, request: Request, seen: Seen) -> Plan:
        result = previous_result(request)
        wanted = effective(request)
        if wanted.sysctl:
            allowlist = seen[FileText(ALLOWLIST)]
            if allowlist is not None:
                refuse_unlisted(wanted.sysctl, allowlist)
        attributes = tuple(_attributes(wanted, request.interface))
        if attributes:  # sysctls may be all there is to set where the interface is no kernel's
            required_interface(request, seen)
        resources = (*_sysctls(wanted, request.interface), *attributes)
        return Plan(resources, _updated(result, wanted, is_containers(request, seen)))


def _sysctls(wanted: Settings, interface: str) -> Iterator[Resource]:
    for setting, value in settings(wanted.sysctl or {}, interface):
        yield Sysctl(setting=setting, value=value, place="sandbox")


def _attributes(wanted: Settings, name: str) -> Iterator[Resource]:
    if wanted.mac:
        yield LinkAddress(name=name, mac=wanted.mac, place="sandbox")
    if wanted.promisc is not None:
        yield Promiscuous(name=name, on=wanted.promisc, place="sandbox")
    if wanted.mtu:
        yield LinkMtu(name=name, mtu=wanted.mtu, place="sandbox")
    if wanted.allmulti is not None:
        yield AllMulticast(name=name, on=wanted.allmulti, place="sandbox")
    if wanted.txQLen is not None:
        yield TransmitQueue(name=name, length=wanted.txQLen, place="sandbox")


def _updated(result: Result, wanted: Settings, is_ours: Callable[[Interface], bool]) -> Result:
    """prevResult with the interface's MAC and MTU as they are now."""
    if not (wanted.mac or wanted.mtu):
        return result
    changed = tuple(
        replace(one, mac=wanted.mac or one.mac, mtu=wanted.mtu or one.mtu) if is_ours(one) else one
        for one in result.interfaces
    )
    return replace(result, interfaces=changed)
