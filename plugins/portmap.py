"""`portmap`: ports of the host that lead to the container.

Keys and results are the reference plugin's. Everything stands in our one table: an element
for each port, and for the container what masquerades its callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_address

from msgspec.structs import replace

from ..cni.addresses import interface_of
from ..model.errors import CniError, ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.published import ANY
from ..model.query import AddressesOn, DirectRoute, Listener, ListenersOn, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import (
    MasqueradePrefix,
    PublishCondition,
    PublishedPort,
    SharedElement,
    Sysctl,
)
from ..model.result import Address, Interface, Result
from . import zones
from .chained import is_containers, previous_result
from .portmap_config import PortmapConf, PortMapping

Targets = Mapping[int, IPv4Interface | IPv6Interface]
"""The container's address in each IP family it has one."""


class Portmap(Plugin):
    name = "portmap"
    about = "publishes the container's ports on the host"
    config = PortmapConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: PortmapConf = request.conf
        result = previous_result(request)
        if not conf.mappings:
            return Plan((), result)
        if "ports" not in request.memo:
            targets = _targets(_addressed(request, seen), is_containers(request, seen))
            request.memo["ports"] = targets, _ports(conf, targets)
        targets, ports = request.memo["ports"]
        used = {family: targets[family] for family in sorted({port.family for port in ports})}
        listening = ListenersOn(tuple((port.protocol, port.host_port) for port in ports))
        routes = _routes(conf, used, ports)
        seen.together(listening, *routes, *zones.questions(result))
        listeners = seen[listening]
        link, zone = zones.behind(result, seen)
        loopback = tuple(_loopback(link or seen[route] for route in routes))
        resources = (
            *_prefixes(conf, used),
            *_conditions(conf, used).values(),
            # Neighbours, so that they are made in one transaction.
            *(zones.network_of(address, zone) for address in used.values() if conf.snat),
            *_sources(conf, used, link),
            *(one for one in loopback if isinstance(one, SharedElement)),
            *ports,
            *(one for one in loopback if isinstance(one, Sysctl)),
        )
        notes = (*_left_out(conf, targets), *_notes(ports, listeners))
        return Plan(resources, result, notes)

    def leftovers(self, request: Request) -> Iterable[Resource]:
        """What this very request would have published."""
        conf: PortmapConf | None = request.conf
        if conf is None or request.prev_result is None:
            return
        try:
            targets = _targets(request.prev_result, _is_named(request.interface))
            yield from _ports(conf, targets)
            for link in (
                "",
                *(question.interface for question in zones.questions(request.prev_result)),
            ):
                yield from _sources(conf, targets, link)
        except CniError:
            return  # no ADD could have made anything of it


# --- ports ----------------------------------------------------------------------


def _addressed(request: Request, seen: Seen) -> Result:
    """prevResult; with the addresses that the interface has, where it tells of none."""
    result = previous_result(request)
    if result.ips:
        return result
    found = seen[AddressesOn(request.interface, "sandbox")]
    return replace(result, ips=tuple(Address(address) for address in found))


def _targets(result: Result, is_ours: Callable[[Interface], bool]) -> Targets:
    """The first IPv4 and the first IPv6 address of CNI_IFNAME, as the reference takes them."""
    found: dict[int, IPv4Interface | IPv6Interface] = {}
    for ip in result.ips:
        if _is_on(result, ip, is_ours):
            address = interface_of(ip.address)
            found.setdefault(address.version, address)
    return found


def _is_named(name: str) -> Callable[[Interface], bool]:
    """As far as it can be told once the container is gone."""
    return lambda one: one.name == name and one.sandbox != ""


def _is_on(result: Result, ip: Address, is_ours: Callable[[Interface], bool]) -> bool:
    """An address that names no interface of the result counts."""
    if ip.interface is None or not 0 <= ip.interface < len(result.interfaces):
        return True
    return is_ours(result.interfaces[ip.interface])


def _ports(conf: PortmapConf, targets: Targets) -> tuple[PublishedPort, ...]:
    """One for each mapping that can be published, and IP family that the container has.

    Raises `ConfigError` where that is none, or one port of the host is to lead to two places.
    """
    ports: dict[str, PublishedPort] = {}
    conditions = _conditions(conf, targets)
    for place, mapping in enumerate(conf.mappings):
        at = f"runtimeConfig.portMappings[{place}]"
        for family in _published_for(mapping, targets):
            port = _port(mapping, family, targets, conditions.get(family))
            if ports.setdefault(port.key, port) != port:
                raise ConfigError(f"{at}: {port.host} is to lead to two ports of the container")
    if not ports:
        raise ConfigError("; ".join(_left_out(conf, targets)))
    return tuple(ports.values())


def _published_for(mapping: PortMapping, targets: Targets) -> list[int]:
    return [] if mapping.dead_end else [each for each in mapping.families if each in targets]


def _left_out(conf: PortmapConf, targets: Targets) -> Iterator[str]:
    """The mappings of a family that the container lacks, or of an address that leads nowhere."""
    for place, mapping in enumerate(conf.mappings):
        if _published_for(mapping, targets):
            continue
        at = f"runtimeConfig.portMappings[{place}]"
        if mapping.dead_end:
            yield f'{at}.hostIP: "{mapping.hostIP}": {mapping.dead_end}'
        else:
            version = f"IPv{mapping.families[0]} " if mapping.hostIP else ""
            yield (
                f"{at}: prevResult has no {version}address of the"
                f" container to publish {mapping.hostIP or 'host'} port {mapping.hostPort} for"
            )


def _conditions(conf: PortmapConf, targets: Targets) -> dict[int, PublishCondition]:
    matches = {family: conf.condition(family) for family in targets}
    return {
        family: PublishCondition(family=family, match=match)
        for family, match in matches.items()
        if match
    }


def _port(
    mapping: PortMapping, family: int, targets: Targets, condition: PublishCondition | None
) -> PublishedPort:
    return PublishedPort(
        protocol=mapping.protocol,
        host_address=mapping.hostIP or ANY[family],
        host_port=mapping.hostPort,
        address=str(targets[family].ip),
        port=mapping.containerPort,
        condition=condition.id if condition else "",
    )


def _notes(ports: Iterable[PublishedPort], listeners: Iterable[Listener]) -> Iterator[str]:
    """What a person may not expect: a server of the host that is out of reach now."""
    for port in ports:
        for listener in listeners:
            if (port.protocol, port.host_port) != (listener.protocol, listener.port):
                continue
            if _overlap(port, listener.address):
                yield (
                    f"a process of the host listens on {listener.protocol} port {listener.port}"
                    f" of {listener.address}, which leads to the container now; what comes for"
                    f" {port.host} no longer reaches that process"
                )


def _overlap(port: PublishedPort, address: str) -> bool:
    if address == "*":
        return True
    if (":" in address) != (port.family == 6) or address == "::1":
        return False
    return port.everywhere or ip_address(address).is_unspecified or address == port.host_address


# --- sources ----------------------------------------------------------------------


def _prefixes(conf: PortmapConf, targets: Targets) -> Iterator[Resource]:
    if conf.snat:
        for family, address in targets.items():
            yield MasqueradePrefix(family=family, length=address.network.prefixlen)


def _sources(conf: PortmapConf, targets: Targets, link: str) -> Iterator[Resource]:
    """Whose callers are shown to the container as the host: its neighbours', whom it would
    answer past the host, and with `masqAll` everybody's. `link` is that of its zone.
    """
    for address in targets.values() if conf.snat else ():
        yield zones.leading_to("hairpin", link, str(address.ip))
        if conf.masqAll:
            yield zones.leading_to("published_masquerade", link, str(address.ip))


def _routes(
    conf: PortmapConf, targets: Targets, ports: Iterable[PublishedPort]
) -> tuple[DirectRoute, ...]:
    """Which interface the container is behind: asked where 127.0.0.1 is to reach it."""
    if conf.snat and any(port.family == 4 and _is_for_loopback(port) for port in ports):
        return (DirectRoute(str(targets[4].ip)),)
    return ()


def _loopback(interfaces: Iterable[str]) -> Iterator[SharedElement | Sysctl]:
    """What lets 127.0.0.1 reach the container, and nobody else reach 127.0.0.1 by it.

    `route_localnet` is set on the one interface the container is behind. There the kernel then
    takes packets from and to 127.0.0.0/8; the table drops them.
    """
    for interface in filter(None, interfaces):
        yield SharedElement(set="loopback_guarded", item=(interface,))
        yield Sysctl(setting=f"ipv4/conf/{interface}/route_localnet", value="1")


def _is_for_loopback(port: PublishedPort) -> bool:
    return port.everywhere or ip_address(port.host_address).is_loopback
