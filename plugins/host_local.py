"""`host-local`: addresses out of ranges, from the store that all plugins of this host share.

Configuration, results and refusals are the reference plugin's. Leases found in its
`dataDir` are taken over when a pool is first used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from ..cni.config import parse_model
from ..cni.environment import ADDRESSING
from ..cni.net_conf import NetConf, with_plain_type
from ..cni.section import Section
from ..cni.version import refuse_two_of_a_family
from ..model.errors import ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import FileText, Seen
from ..model.ranges import (
    RangeText,
    describe,
    described_shortly,
    parse_range_sets,
    range_of,
)
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import AddressLease, Range
from ..model.result import Address, Dns, Result
from .resolv import parse_resolv_conf
from .route_config import RouteConf

REFERENCE_DIRECTORY = "/var/lib/cni/networks"


class RangeConf(Section):
    subnet: str
    rangeStart: str = ""
    rangeEnd: str = ""
    gateway: str = ""

    def text(self, where: str) -> RangeText:
        return RangeText(self.subnet, self.rangeStart, self.rangeEnd, self.gateway, where)


class RuntimeRanges(Section):
    """The capability `ipRanges` (CNI conventions, "Dynamic plugin specific fields")."""

    ipRanges: tuple[tuple[RangeConf, ...], ...] = ()


class HostLocalIpam(RangeConf):
    """Its own range is the reference's older form, one range without a set around it."""

    type: str
    subnet: str = ""
    ranges: tuple[tuple[RangeConf, ...], ...] = ()
    routes: tuple[RouteConf, ...] = ()
    resolvConf: str = ""
    dataDir: str = ""
    statusOnExhaustion: Literal["error", "ok"] = "error"
    """Of STATUS on a full range: a kubelet may drain a node over the error."""


class HostLocalConf(NetConf):
    ipam: Annotated[HostLocalIpam, with_plain_type]


class HostLocal(Plugin):
    name = "host-local"
    about = "leases addresses out of this host's own ranges"
    config = HostLocalConf
    arguments = ADDRESSING
    enters_sandbox = False
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: HostLocalConf = request.conf
        dns = _dns(conf.ipam, seen)
        leases = _leases(request)
        seen.together(*leases)
        ips = []
        for lease in leases:
            leased = seen[lease]
            ips.append(Address(leased.address, leased.gateway))
        routes = tuple(route.to_route() for route in conf.ipam.routes)
        return Plan(tuple(leases), Result(ips=tuple(ips), routes=routes, dns=dns))

    def leftovers(self, request: Request) -> Iterable[Resource]:
        """Leases by their owner: those taken over, and those of a record that is lost."""
        return self.pools(request)

    def pools(self, request: Request) -> Iterable[AddressLease]:
        if request.conf is not None:
            ipam = request.conf.ipam
            yield AddressLease(
                pool=_pool(request, ipam), index=0, ranges=(), directory=_directory(request, ipam)
            )

    def status(self, request: Request, seen: Seen) -> None:
        conf: HostLocalConf = request.conf
        leases = _leases(request)
        if conf.ipam.statusOnExhaustion == "error":
            seen.together(*leases)  # what answers finds out whether there is one left


def _range_sets(request: Request) -> tuple[tuple[Range, ...], ...]:
    """runtimeConfig.ipRanges, then the single `subnet`, then `ranges`: an address from each."""
    ipam = request.conf.ipam
    written: tuple[tuple[RangeText, ...], ...] = ()
    if request.runtime_config:
        runtime = parse_model(RuntimeRanges, request.runtime_config)
        written = _texts("runtimeConfig.ipRanges", runtime.ipRanges)
    if ipam.subnet:
        written += ((ipam.text("ipam"),),)
    written += _texts("ipam.ranges", ipam.ranges)
    if not written:
        raise ConfigError("ipam: no IP ranges specified: it needs `subnet` or `ranges`")
    sets = parse_range_sets(written)
    families = [6 if ":" in ranges[0][0] else 4 for ranges in sets]
    refuse_two_of_a_family(request.cni_version, families, "ipam.ranges")
    return sets


def _texts(
    where: str, sets: tuple[tuple[RangeConf, ...], ...]
) -> tuple[tuple[RangeText, ...], ...]:
    return tuple(
        tuple(one.text(f"{where}[{index}][{place}]") for place, one in enumerate(ranges))
        for index, ranges in enumerate(sets)
    )


def _leases(request: Request) -> list[AddressLease]:
    if "leases" not in request.memo:
        # The runtime's own ranges are in the same bytes as the network's.
        if "ranges" not in request.common:
            request.common["ranges"] = _range_sets(request)
        request.memo["leases"] = _worked_out(request, request.common["ranges"])
    leases: list[AddressLease] = request.memo["leases"]
    return leases


def _worked_out(request: Request, sets: tuple[tuple[Range, ...], ...]) -> list[AddressLease]:
    ipam = request.conf.ipam
    wanted = _requested(request)
    leases = []
    for index, ranges in enumerate(sets):
        # Each asked-for address must hit a range set of its own.
        mine = next((ip for ip in wanted if range_of(ranges, ip)), "")
        if mine:
            wanted.remove(mine)
        leases.append(
            AddressLease(
                pool=_pool(request, ipam),
                index=index,
                ranges=ranges,
                requested=mine,
                directory=_directory(request, ipam),
            )
        )
    if wanted:
        outside = [ip for ip in wanted if not any(range_of(ranges, ip) for ranges in sets)]
        if outside:
            where = ", ".join(described_shortly(range) for ranges in sets for range in ranges)
            raise ConfigError(
                f"failed to allocate all requested IPs: {' and '.join(outside)} is not in {where}"
            )
        spans = "; ".join(", ".join(map(describe, ranges)) for ranges in sets)
        raise ConfigError(
            f"failed to allocate all requested IPs: {', '.join(wanted)}; each takes a range set of"
            f" its own, and there are {spans}"
        )
    return leases


def _pool(request: Request, ipam: HostLocalIpam) -> str:
    return f"{ipam.dataDir}:{request.network}" if ipam.dataDir else request.network


def _directory(request: Request, ipam: HostLocalIpam) -> str:
    return f"{ipam.dataDir or REFERENCE_DIRECTORY}/{request.network}"


def _requested(request: Request) -> list[str]:
    """runtimeConfig.ips, args.cni.ips, or, where neither is given, CNI_ARGS IP.

    CNI conventions, "args": where both `args` and CNI_ARGS give it, CNI_ARGS is ignored.
    """
    listed: list[Any] = []
    for source in (request.runtime_config, request.conf.cni_args):
        value = source.get("ips") or []
        if not isinstance(value, list) or not all(isinstance(ip, str) for ip in value):
            raise ConfigError(f"ips: {value!r} is not a list of addresses")
        listed += value
    if not listed and request.args.get("IP"):
        listed = request.args["IP"].split(",")
    return list(dict.fromkeys(str(ip).partition("/")[0].strip() for ip in listed))


def _dns(ipam: HostLocalIpam, seen: Seen) -> Dns:
    if not ipam.resolvConf:
        return Dns()
    text = seen[FileText(ipam.resolvConf)]
    if text is None:
        raise ConfigError(f'ipam.resolvConf: "{ipam.resolvConf}" can\'t be read')
    return parse_resolv_conf(text)
