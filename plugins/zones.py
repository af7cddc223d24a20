"""Networks whose addresses overlap: a conntrack zone keeps them apart in the tables.

Rules that hold here:
- Zone 0 is everybody's. A network gets another only if, when its first container comes, another
  bridge of the host has its addresses already; then it has that one as long as it has containers.
- In a key that opens with a zone, 0 is left out. What is in a zone is looked up by the interface
  that leads there, where a set is about who something is sent to.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface

from ..cni.addresses import interface_of
from ..cni.names import interface_problem
from ..model.plan import Plan
from ..model.query import HostEnds, NetworkZone, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import AddressLease, MasqueradePrefix, SharedElement
from ..model.result import Result
from .delegation import known_networks, networks_of


def question(request: Request, link: str) -> NetworkZone:
    """The zone of the network behind `link`, asked with all else that is asked first."""
    return NetworkZone(link, known_networks(request))


def of_network(request: Request, link: str, leased: Plan, seen: Seen) -> int:
    """The same, by the addresses that somebody else's IPAM gave where only that tells them."""
    asked = question(request, link)
    ours = any(isinstance(each, AddressLease) for each in leased.resources)
    if not asked.networks and not ours:
        asked = NetworkZone(link, tuple(networks_of(leased.result)))
    return seen[asked]


def of_link(link: str, zone: int) -> Iterator[SharedElement]:
    """What puts everything that comes from `link` into its zone."""
    if zone:
        yield SharedElement(set="zones", item=(link,), value=str(zone))
        yield SharedElement(set="zoned", item=(link,))


def masqueraded(addressed: Result, zone: int) -> Iterator[Resource]:
    """What leaves its network from one of these addresses leaves with the host's."""
    addresses = [interface_of(ip.address) for ip in addressed.ips]
    for address in addresses:
        yield MasqueradePrefix(family=address.version, length=address.network.prefixlen)
    # Neighbours, so that they are made in one transaction.
    for address in addresses:
        yield network_of(address, zone)
        yield SharedElement(set=f"masquerade{address.version}", item=item(zone, str(address.ip)))


def network_of(address: IPv4Interface | IPv6Interface, zone: int) -> SharedElement:
    """The element of the address's network: shared with all who are in it."""
    network = address.network
    return SharedElement(
        set=f"network{network.version}_{network.prefixlen}",
        item=item(zone, *(str(network.network_address),) * 2),
    )


def item(zone: int, *fields: str) -> tuple[str, ...]:
    """The key of a set that opens with a zone."""
    return (str(zone), *fields) if zone else fields


def questions(result: Result) -> list[NetworkZone]:
    """What `behind` will ask."""
    names = dict.fromkeys(one.name for one in result.interfaces if not one.sandbox)
    return [
        NetworkZone(name)
        for name in names
        if not interface_problem(name) and not HostEnds.NAME.fullmatch(name)
    ]


def behind(result: Result, seen: Seen) -> tuple[str, int]:
    """The interface that leads to the container, and its zone; "" and 0 where it is in none."""
    asked = questions(result)
    seen.together(*asked)
    zones = ((question.interface, seen[question]) for question in asked)
    return next((found for found in zones if found[1]), ("", 0))


def leading_to(kind: str, link: str, address: str) -> SharedElement:
    """The element of the sets `kind`, for what is sent to `address`; `link` is its zone's."""
    family = 6 if ":" in address else 4
    if link:
        return SharedElement(set=f"{kind}_at{family}", item=(link, address))
    return SharedElement(set=f"{kind}{family}", item=(address,))
