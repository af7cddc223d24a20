"""`static`: the addresses that the configuration names, leased from nobody."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any

from ..cni.addresses import interface_of, is_address, is_cidr
from ..cni.environment import ADDRESSING
from ..cni.net_conf import DnsConf, NetConf, with_plain_type
from ..cni.section import Section
from ..cni.version import refuse_two_of_a_family
from ..model.errors import ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import Seen
from ..model.request import Request
from ..model.result import Address, Result
from .route_config import RouteConf


class AddressConf(Section):
    address: str
    gateway: str = ""


class StaticIpam(Section):
    type: str
    addresses: tuple[AddressConf, ...] = ()
    routes: tuple[RouteConf, ...] = ()
    dns: DnsConf = DnsConf()


class StaticConf(NetConf):
    ipam: Annotated[StaticIpam, with_plain_type]


class Static(Plugin):
    name = "static"
    about = "gives the addresses that the configuration names"
    config = StaticConf
    arguments = ADDRESSING
    enters_sandbox = False
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        ipam: StaticIpam = request.conf.ipam
        ips = tuple(_addresses(request))
        families = [interface_of(ip.address).version for ip in ips]
        refuse_two_of_a_family(request.cni_version, families, "ipam.addresses")
        return Plan(
            (),
            Result(
                ips=ips,
                routes=tuple(route.to_route() for route in ipam.routes),
                dns=ipam.dns.to_dns(),
            ),
        )


def _addresses(request: Request) -> list[Address]:
    """The configured ones and CNI_ARGS IP; args.cni.ips, then runtimeConfig.ips, replace them all.

    The gateways of CNI_ARGS GATEWAY go to the subnets that hold them.
    """
    ipam: StaticIpam = request.conf.ipam
    found = [
        _address(f"ipam.addresses[{index}]", item.address, item.gateway)
        for index, item in enumerate(ipam.addresses)
    ]
    if request.args.get("IP"):
        found += [_address("CNI_ARGS IP", text) for text in request.args["IP"].split(",")]
    found = _with_gateways(found, request.args.get("GATEWAY", ""))
    for name, source in (
        ("args.cni.ips", request.conf.cni_args),
        ("runtimeConfig.ips", request.runtime_config),
    ):
        ips: Any = source.get("ips")
        if ips:
            if not isinstance(ips, list) or not all(isinstance(ip, str) for ip in ips):
                raise ConfigError(f"{name}: {ips!r} is not a list of addresses")
            found = [_address(name, text) for text in ips]
    return found


def _address(where: str, text: str, gateway: str = "") -> Address:
    text = text.strip()
    if not is_cidr(text):
        raise ConfigError(
            f'{where}: "{text}" is not an address with prefix length, such as 10.1.0.5/24'
        )
    address = interface_of(text)
    if not gateway:
        return Address(str(address))
    if not is_address(gateway):
        raise ConfigError(f'{where}.gateway: "{gateway}" is not an address')
    if ip_address(gateway).version != address.version:
        raise ConfigError(f'{where}.gateway: "{gateway}" is of another family than "{text}"')
    return Address(str(address), str(ip_address(gateway)))


def _with_gateways(addresses: list[Address], given: str) -> list[Address]:
    for text in filter(None, (part.strip() for part in given.split(","))):
        if not is_address(text):
            raise ConfigError(f'CNI_ARGS GATEWAY: "{text}" is not an address')
        gateway = ip_address(text)
        addresses = [
            Address(one.address, str(gateway))
            if gateway in interface_of(one.address).network
            else one
            for one in addresses
        ]
    return addresses
