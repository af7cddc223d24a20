"""`sbr`: what an address of the container's interface sends goes by that interface's routes.

For each address a rule, and a routing table of its own with the interface's routes; the main table
has them no more. Keys, numbers of tables and results are the reference plugin's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Annotated

from msgspec.structs import asdict

from ..cni.addresses import interface_of
from ..cni.net_conf import NetConf
from ..model.errors import ConfigError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import LinkNamed, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import InterfaceRoute
from ..model.result import Result
from ..model.routing import (
    MovedRoute,
    RouteFound,
    RoutesOn,
    SourceRule,
    TablesInUse,
    TableUse,
)
from ..model.value import Value
from .chained import is_containers, previous_result, required_interface
from .tables import free_tables, possible_table

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_FIRST_TABLE = 100
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
_LINK_LOCAL = IPv6Network("fe80::/10")


class SbrConf(NetConf):
    table: Annotated[int, possible_table] | None = None
    gateways: tuple[str, ...] = ()
    addSourceHints: bool = False

    def check(self) -> None:
        for gateway in self.gateways:
            try:
                ip_address(gateway)
            except ValueError:
                raise ValueError(f'gateways: "{gateway}" is not an IP address') from None
        if len(self.gateways) != len(self.gateway_of):
            raise ValueError("gateways: one of IPv4 and one of IPv6 at most")

    @property
    def gateway_of(self) -> Mapping[int, str]:
        """By IP version."""
        return {ip_address(each).version: each for each in self.gateways}


class Sbr(Plugin):
    name = "sbr"
    about = "answers by the interface that was asked: rules and routes by source address"
    config = SbrConf
    knows_leftovers = True  # the reference's DEL makes a file where a namespace was

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: SbrConf = request.conf
        result = previous_result(request)
        name = request.interface
        seen.together(LinkNamed(name, "sandbox"), TablesInUse(), RoutesOn(name))
        required_interface(request, seen)
        own = _own(request, result, seen)
        if not own:
            raise ConfigError(
                f"prevResult tells of no address of {name}, which sbr is to make rules"
                " for: the plugin before it needs an `ipam`",
                details="prevResult",
            )
        used, found = seen[TablesInUse()], seen[RoutesOn(name)]
        if conf.table is not None:
            _refuse_used(conf.table, name, used)
            return Plan(tuple(_rule(name, each, conf.table) for each in own), result)
        free = free_tables(_FIRST_TABLE, {each.table for each in used})
        tables = dict(zip(own, free, strict=False))
        return Plan(tuple(dict.fromkeys(_apart(conf, name, tables, found))), result)

    def leftovers(self, request: Request) -> Iterable[Resource]:
        """The rules; the routes go with the interface."""
        result = request.prev_result or Result()
        addresses = [str(interface_of(ip.address).ip) for ip in result.ips]
        for address in addresses or [""]:
            yield SourceRule(name=request.interface, address=address, table=0)


class Own(Value):
    """An address of the container's interface."""

    ip: IPAddress
    network: IPNetwork
    gateway: str

    @property
    def version(self) -> int:
        return self.ip.version


def _own(request: Request, result: Result, seen: Seen) -> list[Own]:
    """prevResult's addresses of the container's interface; those of none are taken to be."""
    mine = is_containers(request, seen)
    interfaces = result.interfaces
    found = []
    for told in result.ips:
        index = told.interface
        if index is None or not 0 <= index < len(interfaces) or mine(interfaces[index]):
            address = interface_of(told.address)
            found.append(Own(address.ip, address.network, told.gateway))
    return found


def _refuse_used(table: int, interface: str, used: Iterable[TableUse]) -> None:
    """What stands there already has to be of this interface: `ipam` may have put it there."""
    for each in used:
        if each.table == table and (each.vrf or each.interface not in ("", interface)):
            raise ConfigError(
                f"table: {table} is in use in the container, {each.by_what}; give {interface} a"
                " table of its own",
                details="table",
            )


# --- an address, its rule and its table -------------------------------------------------------


def _apart(
    conf: SbrConf, interface: str, tables: Mapping[Own, int], found: Sequence[RouteFound]
) -> Iterator[Resource]:
    """While its table is empty an address is still served by the main one: so the rules first.

    Then routes that end on the link, for the kernel takes no gateway that it can't reach in that
    table; each sort from the last one on, as of two alike the later made is the one that counts.
    """
    for own, table in tables.items():
        yield _rule(interface, own, table)
    on_the_link = [route for route in found if not route.gw]
    by_gateways = [route for route in found if route.gw]
    for route in (*reversed(on_the_link), *reversed(by_gateways)):
        stays = _is_link_local(route) or (conf.addSourceHints and _is_hint(route, tables))
        for own, table in tables.items():
            if _is_for(route, own, tables):
                to = 0 if _is_replaced(route, own, conf) else table
                yield MovedRoute(name=interface, table=to, stays=stays, **asdict(route))
    for own, table in tables.items():
        gateway = conf.gateway_of.get(own.version) or own.gateway
        if gateway and not any(_is_default(one) and one.gw == gateway for one in found):
            yield InterfaceRoute(
                name=interface,
                place="sandbox",
                dst=_DEFAULT[own.version],
                gw=gateway,
                table=table,
            )
        if conf.addSourceHints and not any(_is_hint(route, [own]) for route in found):
            yield _hint(interface, own, found)


def _rule(interface: str, own: Own, table: int) -> SourceRule:
    return SourceRule(name=interface, address=str(own.ip), table=table)


def _is_for(route: RouteFound, own: Own, all_own: Iterable[Own]) -> bool:
    """Whether `own` may send by it: not where its source or gateway is in another one's network."""
    if (":" in route.dst) != (own.version == 6):
        return False
    return all(
        address in own.network or not any(address in each.network for each in all_own)
        for address in map(ip_address, filter(None, (route.source, route.gw)))
    )


def _is_default(route: RouteFound) -> bool:
    return route.dst in _DEFAULT.values()


def _is_link_local(route: RouteFound) -> bool:
    """Every interface has that route, and who sends by it says by which."""
    return ":" in route.dst and IPv6Network(route.dst).subnet_of(_LINK_LOCAL)


def _is_replaced(route: RouteFound, own: Own, conf: SbrConf) -> bool:
    """Whether `gateways` says another way out."""
    return _is_default(route) and conf.gateway_of.get(own.version, route.gw) != route.gw


def _is_hint(route: RouteFound, all_own: Iterable[Own]) -> bool:
    """Whether the main table chooses one of these addresses by it, for what is in its network."""
    told = (route.dst, route.source)
    return any(told == (str(own.network), str(own.ip)) for own in all_own)


def _hint(interface: str, own: Own, found: Sequence[RouteFound]) -> InterfaceRoute:
    """The route to its network, as the main table has it, with the address to be sent from."""
    network = str(own.network)
    there = next((one for one in found if one.dst == network), RouteFound(dst=network))
    return InterfaceRoute(
        name=interface,
        place="sandbox",
        dst=network,
        gw=there.gw,
        priority=there.priority,
        source=str(own.ip),
    )
