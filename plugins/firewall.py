"""`firewall`: who may begin a connection to the container, and a way through others' firewalls.

Keys and results are the reference plugin's. Policies are elements of our own table; where
somebody else drops what the host forwards, an accept goes where they provide for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from ..cni.addresses import interface_of
from ..cni.names import interface_problem
from ..cni.net_conf import NetConf
from ..model.errors import ConfigError
from ..model.forwarding import Blocker, ForwardBlockers
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import DirectRoute, Link, LinkNamed, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import (
    ForwardAccept,
    ForwardJump,
    PortIsolation,
    SharedElement,
    ZoneInterface,
)
from ..model.result import Result
from ..model.value import Value
from . import zones
from .chained import previous_result

_CHAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,27}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@:-]+")
_BACKENDS = ("", "iptables", "firewalld", "nftables")
_OF_ONE = ("veth", "netkit", "tun")
"""Kinds of link with one end on the host and one elsewhere."""
_PROGRAMS = {4: "iptables", 6: "ip6tables"}

IPNet = IPv4Interface | IPv6Interface


class FirewallConf(NetConf):
    backend: str = ""
    """Accepted and without effect: policies stand in pynet's own table."""
    iptablesAdminChainName: str = ""
    firewalldZone: str = "trusted"
    ingressPolicy: Literal["", "open", "same-bridge", "isolated"] = "open"

    def check(self) -> None:
        if self.backend not in _BACKENDS:
            raise ValueError(f'backend: "{self.backend}" is not iptables, firewalld or nftables')
        chain = self.iptablesAdminChainName
        if chain and not _CHAIN.fullmatch(chain):
            raise ValueError(f'iptablesAdminChainName: "{chain}" is no name of a chain')
        if not _INTERFACE.fullmatch(self.firewalldZone):
            raise ValueError(f'firewalldZone: "{self.firewalldZone}" is no name of a zone')

    @property
    def closed(self) -> bool:
        return self.ingressPolicy in ("same-bridge", "isolated")


class Firewall(Plugin):
    name = "firewall"
    about = "ingress policies, and a way through other people's firewalls"
    config = FirewallConf
    lets_through = True

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: FirewallConf = request.conf
        result = previous_result(request)
        addresses = _addresses(result)
        if not addresses:
            return Plan((), result)
        families: list[int] = sorted({address.version for address in addresses})
        blockers = [one for one in seen[ForwardBlockers()] if one.family in (0, *families)]
        outside = Outside(())
        if conf.closed or blockers:
            outside = _outside(conf, result, seen) or _behind_routes(addresses, seen)
        zoned, _ = zones.behind(result, seen) if conf.closed and outside.links else ("", 0)
        resources = (
            *(_policy(conf, outside, addresses, zoned) if conf.closed else ()),
            *_way_through(conf, blockers, outside),
            *_admin_chain(conf, blockers, families),
        )
        notes = tuple(_not_let_through(one) for one in blockers if one.lacking)
        return Plan(resources, result, notes)

    def leftovers(self, request: Request) -> Iterable[Resource]:
        result = request.prev_result or Result()
        for address in _addresses(result):
            for zoned in ("", *_host_names(result)):
                yield zones.leading_to("closed", zoned, str(address.ip))
            for gate in _host_names(result):
                yield _gate("apart", gate, address)
                yield _gate("within", gate, address)


def _addresses(result: Result) -> list[IPNet]:
    return [interface_of(ip.address) for ip in result.ips]


# --- the host's end of the attachment ---------------------------------------------------


class Outside(Value):
    """The host's interfaces that lead to the container, as far as they are there."""

    links: tuple[Link, ...]

    def __bool__(self) -> bool:
        return bool(self.links)

    @property
    def gates(self) -> list[str]:
        """Where the container's traffic is routed: a bridge, its leg in a VLAN, a pair's end."""
        return [link.name for link in self.links if not link.master]

    @property
    def has_bridge(self) -> bool:
        return any(link.kind == "bridge" for link in self.links)

    @property
    def ports(self) -> list[str]:
        return [link.name for link in self.links if link.master]


def _outside(conf: FirewallConf, result: Result, seen: Seen) -> Outside:
    links = [LinkNamed(name) for name in _host_names(result)]
    seen.together(*links, *(zones.questions(result) if conf.closed else ()))
    found = [seen[link] for link in links]
    return Outside(tuple(link for link in found if link is not None))


def _behind_routes(addresses: Iterable[IPNet], seen: Seen) -> Outside:
    """Where prevResult names none: what the host's own routes to the container's addresses go by.

    Only what is there for one container counts: a link that leads to more may be the host's way
    out.
    """
    routes = [DirectRoute(str(address.ip), alone=True) for address in addresses]
    seen.together(*routes)
    links = [LinkNamed(name) for name in dict.fromkeys(seen[route] for route in routes) if name]
    seen.together(*links)
    found = [seen[link] for link in links]
    return Outside(tuple(link for link in found if link and link.kind in _OF_ONE))


def _host_names(result: Result) -> list[str]:
    names = (one.name for one in result.interfaces if not one.sandbox)
    return [name for name in dict.fromkeys(names) if not interface_problem(name)]


# --- the policy ---------------------------------------------------------------------------


def _policy(
    conf: FirewallConf, outside: Outside, addresses: list[IPNet], zoned: str
) -> Iterator[Resource]:
    if not outside.has_bridge:
        raise ConfigError(
            f'ingressPolicy: "{conf.ingressPolicy}" is about a bridge, and prevResult names none'
            " that is there: put firewall behind bridge",
            details="ingressPolicy",
        )
    isolated = conf.ingressPolicy == "isolated"
    # Neighbours, so that they are made in one transaction.
    for address in addresses:
        for gate in outside.gates:
            yield _gate("apart" if isolated else "within", gate, address)
        yield zones.leading_to("closed", zoned, str(address.ip))
    if isolated:
        for port in outside.ports:
            yield PortIsolation(name=port)


def _gate(side: str, gate: str, address: IPNet) -> SharedElement:
    return SharedElement(set=f"{side}{address.version}", item=(gate, str(address.ip)))


# --- other people's firewalls -----------------------------------------------------------------


def _way_through(
    conf: FirewallConf, blockers: list[Blocker], outside: Outside
) -> Iterator[Resource]:
    for blocker in blockers:
        if blocker.program == "firewalld":
            for gate in outside.gates:
                yield ZoneInterface(zone=conf.firewalldZone, interface=gate)
        elif blocker.program:
            yield ForwardJump(program=blocker.program, into=blocker.chain)
            for gate in outside.gates:
                yield ForwardAccept(program=blocker.program, interface=_plain(gate))


def _not_let_through(blocker: Blocker) -> str:
    return (
        f"{blocker.where} drops what is forwarded, and {blocker.lacking}, which could let the"
        " container's through, is not installed: install it, then `pynet reload`"
    )


def _admin_chain(
    conf: FirewallConf, blockers: list[Blocker], families: list[int]
) -> Iterator[Resource]:
    """After our own jump, which it comes before: what is inserted last stands first."""
    if not conf.iptablesAdminChainName:
        return
    for family in families:
        used = [
            one.program
            for one in blockers
            if one.family == family and one.program.startswith(_PROGRAMS[family])
        ]
        for program in dict.fromkeys(used or [f"{_PROGRAMS[family]}-nft"]):
            yield ForwardJump(
                program=program, into="FORWARD", chain=conf.iptablesAdminChainName, admin=True
            )


def _plain(name: str) -> str:
    """A name that iptables takes as it is. Raises `ConfigError` for any other."""
    if not _INTERFACE.fullmatch(name) or name.startswith("-"):
        raise ConfigError(
            f'the host drops forwarded traffic, and iptables can\'t accept that of "{name}":'
            " name the bridge with letters, digits, dots and dashes only"
        )
    return name
