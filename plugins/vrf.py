"""`vrf`: the container's interface is put into a VRF, a routing table that is apart from others.

Interfaces of one container with the same `vrfname` share it. Keys, numbers of tables and results
are the reference plugin's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec.structs import asdict

from ..cni.names import interface_problem
from ..cni.net_conf import NetConf
from ..model.errors import ConfigError
from ..model.kernel_kinds import KernelMakes
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Link, LinkNamed, Seen, SysctlValue
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Sysctl
from ..model.routing import MovedRoute, RouteFound, RoutesOn, TablesInUse, TableUse
from ..model.vrf import Vrf as VrfLink
from ..model.vrf import VrfPort, VrfRules
from . import kernel_kinds
from .chained import previous_result, required_interface
from .tables import free_tables, possible_table_or_none

_FIRST_TABLE = 1
_BY_THE_KERNEL = 2  # linux/rtnetlink.h, RTPROT_KERNEL


class VrfConf(NetConf):
    vrfname: str = ""
    table: Annotated[int, possible_table_or_none] = 0

    def check(self) -> None:
        if not self.vrfname:
            raise ValueError("vrfname: missing; it is the name of the VRF in the container")
        if problem := interface_problem(self.vrfname):
            raise ValueError(f'vrfname: "{self.vrfname}" {problem}')


class Vrf(Plugin):
    name = "vrf"
    about = "puts the container's interface into a VRF"
    config = VrfConf
    knows_leftovers = True  # the reference's DEL fails where the namespace or the interface is gone

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: VrfConf = request.conf
        result = previous_result(request)
        name, vrf = request.interface, LinkNamed(conf.vrfname, "sandbox")
        kept = SysctlValue(f"ipv6/conf/{name}/keep_addr_on_down", "sandbox")
        seen.together(LinkNamed(name, "sandbox"), vrf, TablesInUse(), RoutesOn(name), kept)
        _refuse_other_master(required_interface(request, seen), seen[vrf], conf.vrfname)
        table = _table(conf, seen[vrf], seen[TablesInUse()])
        # The kernel makes those to its networks itself, in whichever table.
        routes = [each for each in seen[RoutesOn(name)] if each.protocol != _BY_THE_KERNEL]
        resources = _resources(name, conf.vrfname, table, routes)
        if seen[kept] != "0":  # the plugin before has seen to it, or there is no IPv6
            return Plan(tuple(resources), result)
        keeping = Sysctl(setting=kept.key, value="1", place="sandbox", optional=True)
        return Plan((keeping, *resources), result)

    def status(self, request: Request, seen: Seen) -> None:
        kernel_kinds.required(seen, KernelMakes("link", "vrf"))

    def leftovers(self, request: Request) -> Iterable[Resource]:
        conf: VrfConf | None = request.conf
        vrfname = conf.vrfname if conf else ""
        yield VrfPort(name=request.interface, vrf=vrfname)
        if vrfname:
            yield VrfLink(name=vrfname, table=0)
        yield VrfRules()


def _resources(name: str, vrf: str, table: int, routes: list[RouteFound]) -> Iterator[Resource]:
    """Put into the VRF and taken out again, the interface goes down and up: so routes stand at both
    ends, and are made last each way.
    """
    yield VrfRules()
    yield VrfLink(name=vrf, table=table)
    on_the_link = [each for each in routes if not each.gw]
    by_gateways = [each for each in routes if each.gw]
    ordered = (*reversed(on_the_link), *reversed(by_gateways))
    for each in ordered:
        yield MovedRoute(name=name, table=0, **asdict(each))
    yield VrfPort(name=name, vrf=vrf)
    for each in ordered:
        yield MovedRoute(name=name, table=table, stays=True, **asdict(each))


def _refuse_other_master(link: Link, vrf: Link | None, vrfname: str) -> None:
    if link.master and (vrf is None or link.master != vrf.index):
        raise ConfigError(
            f"{link.name} is a port of another interface of the container already, and can't be in"
            f" VRF {vrfname}, too"
        )


def _table(conf: VrfConf, vrf: Link | None, used: tuple[TableUse, ...]) -> int:
    """That of the VRF where it is there; else the one that is given, or the first that is free."""
    if vrf is not None:
        if vrf.kind != "vrf":
            raise ConfigError(
                f'vrfname: the container has an interface "{conf.vrfname}", and that is no VRF'
            )
        own = next((each.table for each in used if each.vrf == conf.vrfname), 0)
        if conf.table not in (0, own):
            raise ConfigError(
                f"table: VRF {conf.vrfname} is in the container with table {own}, not"
                f" {conf.table}; give all interfaces of a VRF the same table",
                details="table",
            )
        return own
    if not conf.table:
        return next(free_tables(_FIRST_TABLE, {each.table for each in used}))
    for each in used:
        if each.table == conf.table:
            raise ConfigError(
                f"table: {conf.table} is in use in the container, {each.by_what}; give VRF"
                f" {conf.vrfname} a table of its own",
                details="table",
            )
    return conf.table
