"""`portmap`: ports of the host that lead to the container.

Keys and results are the reference plugin's. Everything stands in our one table: an element
for each port, and for the container what masquerades its callers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_address

from ..cni.addresses import interface_of
from ..model.errors import CniError, ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.published import ANY
from ..model.query import DirectRoute, Listener, ListenersOn, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import (
    MasqueradePrefix,
    PublishCondition,
    PublishedPort,
    SharedElement,
    Sysctl,
)
from ..model.result import Address, Result
from .chained import previous_result
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
            targets = _targets(request, result)
            request.memo["ports"] = targets, _ports(conf, targets)
        targets, ports = request.memo["ports"]
        used = {family: targets[family] for family in sorted({port.family for port in ports})}
        listening = ListenersOn(tuple((port.protocol, port.host_port) for port in ports))
        routes = _routes(conf, used, ports)
        seen.together(listening, *routes)
        listeners = seen[listening]
        loopback = tuple(_loopback(seen, routes))
        resources = (
            *_prefixes(conf, used),
            *_conditions(conf, used).values(),
            # Neighbours, so that they are made in one transaction.
            *_networks(conf, used),
            *_sources(conf, used),
            *(one for one in loopback if isinstance(one, SharedElement)),
            *ports,
            *(one for one in loopback if isinstance(one, Sysctl)),
        )
        return Plan(resources, result, tuple(_notes(ports, listeners)))

    def leftovers(self, request: Request) -> Iterable[Resource]:
        """What this very request would have published."""
        conf: PortmapConf | None = request.conf
        if conf is None or request.prev_result is None:
            return
        try:
            targets = _targets(request, request.prev_result)
            yield from _ports(conf, targets)
            yield from _sources(conf, targets)
        except CniError:
            return  # no ADD could have made anything of it


# --- ports ----------------------------------------------------------------------


def _targets(request: Request, result: Result) -> Targets:
    """The first IPv4 and the first IPv6 address of CNI_IFNAME, as the reference takes them."""
    found: dict[int, IPv4Interface | IPv6Interface] = {}
    for ip in result.ips:
        if _is_on(request.interface, ip, result):
            address = interface_of(ip.address)
            found.setdefault(address.version, address)
    return found


def _is_on(interface: str, ip: Address, result: Result) -> bool:
    """An address that names no interface of the result counts."""
    if ip.interface is None or not 0 <= ip.interface < len(result.interfaces):
        return True
    return result.interfaces[ip.interface].name == interface


def _ports(conf: PortmapConf, targets: Targets) -> tuple[PublishedPort, ...]:
    """One for each mapping and IP family. Raises `ConfigError` where a family is missing,
    or one port of the host is to lead to two places.
    """
    ports: dict[str, PublishedPort] = {}
    conditions = _conditions(conf, targets)
    for place, mapping in enumerate(conf.mappings):
        at = f"runtimeConfig.portMappings[{place}]"
        families = [family for family in mapping.families if family in targets]
        if not families:
            version = f"IPv{mapping.families[0]} " if mapping.hostIP else ""
            raise ConfigError(
                f"{at}: prevResult has no {version}address of the container to publish"
                f" {mapping.hostIP or 'host'} port {mapping.hostPort} for"
            )
        for family in families:
            port = _port(mapping, family, targets, conditions.get(family))
            if ports.setdefault(port.key, port) != port:
                raise ConfigError(f"{at}: {port.host} is to lead to two ports of the container")
    return tuple(ports.values())


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


def _networks(conf: PortmapConf, targets: Targets) -> Iterator[Resource]:
    """The networks whose members are neighbours: shared with all of them."""
    for family, address in targets.items() if conf.snat else ():
        network = address.network
        yield SharedElement(
            set=f"network{family}_{network.prefixlen}", item=(str(network.network_address),) * 2
        )


def _sources(conf: PortmapConf, targets: Targets) -> Iterator[Resource]:
    """Whose callers are shown to the container as the host: its neighbours', whom it would
    answer past the host, and with `masqAll` everybody's.
    """
    for family, address in targets.items() if conf.snat else ():
        yield SharedElement(set=f"hairpin{family}", item=(str(address.ip),))
        if conf.masqAll:
            yield SharedElement(set=f"published_masquerade{family}", item=(str(address.ip),))


def _routes(
    conf: PortmapConf, targets: Targets, ports: Iterable[PublishedPort]
) -> tuple[DirectRoute, ...]:
    """Which interface the container is behind: asked where 127.0.0.1 is to reach it."""
    if conf.snat and any(port.family == 4 and _is_for_loopback(port) for port in ports):
        return (DirectRoute(str(targets[4].ip)),)
    return ()


def _loopback(seen: Seen, routes: Iterable[DirectRoute]) -> Iterator[SharedElement | Sysctl]:
    """What lets 127.0.0.1 reach the container, and nobody else reach 127.0.0.1 by it.

    `route_localnet` is set on the one interface the container is behind. There the kernel then
    takes packets from and to 127.0.0.0/8; the table drops them.
    """
    for interface in filter(None, (seen[route] for route in routes)):
        yield SharedElement(set="loopback_guarded", item=(interface,))
        yield Sysctl(setting=f"ipv4/conf/{interface}/route_localnet", value="1")


def _is_for_loopback(port: PublishedPort) -> bool:
    return port.everywhere or ip_address(port.host_address).is_loopback
