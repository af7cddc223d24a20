"""`dhcp`: addresses of a DHCP server, asked for on the container's own interface.

Configuration and results are the reference plugin's. The lease is asked for, renewed and given
back by the agent's service of that name: here is what it is to ask, and what its answer means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec.structs import replace

from ..cni.net_conf import NetConf, with_plain_type
from ..cni.section import Section
from ..cni.version import refuse_two_of_a_family
from ..dhcp import options4, options6
from ..dhcp.client import Malformed
from ..dhcp.options4 import number_of, provided
from ..model.errors import ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import KeptLease, LinkMtu, LinkUp, Sysctl
from ..model.result import Address, Dns, Result, Route
from .chained import required_interface
from .route_config import Number
from .way_out import MIN_IPV6_MTU

Family = Literal["ipv4", "ipv6"]
KEEPER = "dhcp"
_ON_LINK = "0.0.0.0"
"""The gateway of a route that needs none; without one it is the address's."""


def _given(name: str) -> str:
    """Raises ValueError for what is none, or none to give."""
    if not name:
        raise ValueError("name an option")
    provided(name)
    return name


def _option(name: str) -> str:
    """Raises ValueError for what is none."""
    if name:
        number_of(name)
    return name


class ProvideConf(Section):
    """An option that the server is told; `fromArg` names the key of CNI_ARGS that has its value."""

    option: Annotated[str, _given]
    value: str = ""
    fromArg: str = ""


class RequestConf(Section):
    """An option that the server is asked for; with `skipDefault` only those are."""

    option: Annotated[str, _option] = ""
    skipDefault: bool = False


class DhcpIpam(Section):
    type: str
    daemonSocketPath: str = ""
    """Accepted and without effect: the agent has one socket, which pynet knows."""
    provide: tuple[ProvideConf, ...] = ()
    request: tuple[RequestConf, ...] = ()
    priority: Number = 0
    families: tuple[Family, ...] = ("ipv4",)
    """pynet's own."""

    def check(self) -> None:
        if not self.families or len(set(self.families)) < len(self.families):
            raise ValueError('families: name "ipv4", "ipv6", or each of them once')


class DhcpConf(NetConf):
    ipam: Annotated[DhcpIpam, with_plain_type]


class Dhcp(Plugin):
    name = "dhcp"
    about = "asks a DHCP server for addresses, and keeps them renewed"
    config = DhcpConf
    checks_result = False
    needs_interface = True

    def plan(self, request: Request, seen: Seen) -> Plan:
        ipam: DhcpIpam = request.conf.ipam
        asked = list(_leases(request))  # what is wrong with the configuration is said first
        first = _interface(request, seen)
        leases = [replace(lease, first=first) for lease in asked]
        answers = [seen[lease] for lease in leases]
        ips = tuple(
            Address(each["address"], each["gateway"]) for each in answers if each["address"]
        )
        if not ips:
            raise ConfigError(
                "ipam.families: the addresses here are of the routers (IPv6 without a lease), which"
                ' the result does not name, and it has to name one: take ["ipv4", "ipv6"]'
            )
        refuse_two_of_a_family(request.cni_version, _versions(ips), "ipam.families")
        routes = tuple(
            Route(dst, gw or _ON_LINK, priority=ipam.priority)
            for each in answers
            for dst, gw in each["routes"]
        )
        resources = (*leases, *_smaller_mtu(request, answers))
        return Plan(resources, Result(ips=ips, routes=routes, dns=_dns(answers)))

    def status(self, request: Request, seen: Seen) -> None:
        """There has to be an agent to ask; what a server would answer an ADD alone can tell."""
        for lease in _leases(request):
            seen[lease]


def _versions(ips: tuple[Address, ...]) -> list[int]:
    return [6 if ":" in ip.address else 4 for ip in ips]


# --- what is asked --------------------------------------------------------------------------------


def _leases(request: Request) -> Iterator[KeptLease]:
    for family in request.conf.ipam.families:
        yield KeptLease(
            keeper=KEEPER,
            name=family,
            lapses=True,
            parameters=_asks(request, family),
        )


def _asks(request: Request, family: Family) -> tuple[tuple[str, str], ...]:
    """Numbers of options, and what is told by them in hexadecimal digits.

    The configuration names those of DHCPv4. What has no counterpart in DHCPv6 is not said there.
    """
    ipam: DhcpIpam = request.conf.ipam
    asked = [number_of(each.option) for each in ipam.request if each.option]
    told = dict(_told(ipam, request.args))
    usual: tuple[int, ...] = options4.ASK
    if family == "ipv6":
        asked = [options6.ASKED_AS[number] for number in asked if number in options6.ASKED_AS]
        told = dict(_told_6(told))
        usual = options6.ASK
    if any(each.skipDefault for each in ipam.request):
        usual = ()
    metric = (("priority", str(ipam.priority)),) if ipam.priority else ()
    return (
        ("ask", ",".join(map(str, dict.fromkeys((*asked, *usual))))),
        ("say", ",".join(f"{number}:{data.hex()}" for number, data in told.items())),
        *metric,
    )


def _told_6(told: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    try:
        yield from filter(None, (options6.told_as(*each) for each in told.items()))
    except Malformed as error:
        raise ConfigError(f"ipam.provide: {error}") from error


def _told(ipam: DhcpIpam, args: Mapping[str, str]) -> Iterator[tuple[int, bytes]]:
    for index, each in enumerate(ipam.provide):
        for value in filter(None, (each.value, args.get(each.fromArg, ""))):
            data = value.encode()
            if len(data) > 255:
                raise ConfigError(
                    f"ipam.provide[{index}]: {len(data)} bytes are more than the 255 that an"
                    " option can hold"
                )
            yield number_of(each.option), data


def _interface(request: Request, seen: Seen) -> tuple[Resource, ...]:
    """What makes the interface; under somebody else's main plugin it is there, and may be down.

    One that is up already is none of ours to set down again. Raises `ConfigError` without one.
    """
    first = request.first
    if not first:
        link = required_interface(request, seen)
        first = () if link.up else (LinkUp(name=request.interface, place="sandbox"),)
    if "ipv6" not in request.conf.ipam.families:
        return first
    before, up = first[:-1], first[-1:]
    return (*before, *_speaking(request.interface, "".join(each.inside for each in up)), *up)


def _speaking(name: str, inside: str) -> Iterator[Resource]:
    """DHCPv6 is spoken from the link-local address, which the interface gets as it comes up.

    It may be used while the kernel still looks whether a neighbour has it (RFC 4429).
    """
    for key, value in (("disable_ipv6", "0"), ("optimistic_dad", "1")):
        yield Sysctl(
            setting=f"ipv6/conf/{name}/{key}",
            value=value,
            place="sandbox",
            optional=True,
            inside=inside,
        )


# --- what is answered -----------------------------------------------------------------------------


def _smaller_mtu(request: Request, answers: list[Any]) -> Iterator[LinkMtu]:
    """Where the server says that its network takes less than the interface (option 26)."""
    told = [each["mtu"] for each in answers if each["mtu"]]
    if told:
        least = MIN_IPV6_MTU if "ipv6" in request.conf.ipam.families else 0
        yield LinkMtu(name=request.interface, place="sandbox", mtu=max(least, *told))


def _dns(answers: list[Any]) -> Dns:
    def joined(key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item for each in answers for item in each[key]))

    domain = next((each["domain"] for each in answers if each["domain"]), "")
    return Dns(joined("nameservers"), domain, joined("search"))
