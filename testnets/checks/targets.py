"""Where a check's packets go: the addresses behind a name, and who has to receive them.

Rules that hold here:
- Of a name's addresses one per IP version is tried: one that both have on one link, or else the
  main one. Of a published port, all addresses of the host that the source can use are.
- A subnet that both have is one link only where it can be: a bridge ends at its host, and two
  hosts' bridges of one network have the same addresses.
- Whoever sends to an address reaches the nearest that has it. Where that is not the place that was
  named, nothing can be found out by sending.
- What is sent to a published port has to arrive in the container, at the container's own port.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..lab.forked import LabError
from ..lab.place import Place
from ..live.network_config import interface
from ..spec.notation import is_address
from ..spec.topology import Publication, Target, Topology

Protocol = Literal["tcp", "udp", "icmp"]

LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_ANY = ("0.0.0.0", "::")

Published = tuple[Place, Publication]
"""A container, and one of the ports it publishes."""


@dataclass(frozen=True)
class Destination:
    """An address to send to, the port, and the place that has to receive it, at `inner_port`.

    `place` is None where the address is nobody's in this testnet.
    """

    address: str
    port: int
    place: Place | None
    inner_port: int

    @property
    def family(self) -> int:
        return family_of(self.address)


def family_of(address: str) -> int:
    """4 or 6, of what is an address."""
    return 6 if ":" in address else 4


@dataclass(frozen=True)
class Site:
    """A testnet as it is now: its topology, and its places by name."""

    topology: Topology
    places: Mapping[str, Place]


def destinations(
    site: Site, source: Place, target: Target, protocol: Protocol, family: int | None
) -> list[Destination]:
    """All that have to be tried. Raises `LabError` where there is none, saying why."""
    if is_address(target.name):
        found = [_at(site, source, str(ipaddress.ip_address(target.name)), target, protocol)]
    elif target.name in site.places:
        found = list(_of(site, source, site.places[target.name], target, protocol))
    else:
        raise LabError(f"{target.name!r} is nothing that could be sent to in this testnet")
    families = {family} if family else {4, 6}
    usable = {version for version in (4, 6) if source.address(version)}
    kept = [
        each
        for each in found
        if each.family in families and (each.family in usable or is_loopback(each.address))
    ]
    if not kept:
        raise LabError(_why_none(source, target, family))
    if target.name in site.places:
        for each in kept:
            _refuse_another(site, source, site.places[target.name], each.address)
    return kept


def best_addresses(site: Site, source: Place, place: Place) -> Iterator[str]:
    """One per IP version: the one that both have on one link, or the main one."""
    sendable = _sendable(site, source, place)
    for family in (4, 6):
        addresses = [one for one in sendable if family_of(one) == family]
        if len(addresses) > 1:
            shared = _on_one_link(site, source, place)
            addresses = [one for one in addresses if one in shared] or addresses
        yield from addresses[:1]


def owner_of(site: Site, near: Place, address: str) -> Place | None:
    """Who is met at this address from `near`: itself, else one on its host, no container first."""
    owners = [each for each in site.places.values() if address in each.addresses]
    home = host_of(site.topology, near)
    owners.sort(
        key=lambda each: (
            each.name != near.name,
            host_of(site.topology, each) != home,
            each.kind == "container",
        )
    )
    return owners[0] if owners else None


def _refuse_another(site: Site, source: Place, meant: Place, address: str) -> None:
    """Raises `LabError` where what `source` sends to this address is bound to reach another."""
    met = None if is_loopback(address) else owner_of(site, source, address)
    if met is None or met.name == meant.name:
        return
    home = host_of(site.topology, source)
    itself = met.name == source.name
    if itself or host_of(site.topology, meant) != home == host_of(site.topology, met):
        who = f"{met.name} itself" if itself else f"{met.name}, on the same host as {source.name},"
        raise LabError(
            f"{who} has {address}, too: what {source.name} sends there does not go to "
            f"{meant.name}; give them other addresses, or try a published port"
        )


def _sendable(site: Site, source: Place, place: Place) -> Sequence[str]:
    """The addresses that `source` may have a way to: of another host not its bridges', if it has
    others."""
    if place.kind == "container" or host_of(site.topology, source) == place.name:
        return place.addresses
    outer = {_plain(text) for text in _outer(site, place)}
    return [one for one in place.addresses if one in outer] or place.addresses


def _on_one_link(site: Site, source: Place, place: Place) -> set[str]:
    """The addresses of `place` that are in a subnet of `source` on a link that both can be on."""
    together = host_of(site.topology, source) == host_of(site.topology, place)
    own, others = (
        _flat(each.interfaces) if together else _outer(site, each) for each in (source, place)
    )
    near = [ipaddress.ip_interface(text) for text in own]
    return {plain for text in others if _within(plain := _plain(text), near)}


def _outer(site: Site, place: Place) -> Iterator[str]:
    """Addresses, with prefix lengths, of the interfaces that lead out of its host."""
    if place.kind == "container":
        names = set(_interfaces_leading_out(site.topology, place.name))
    else:
        ends = (end for link in site.topology.links for end in link.ends)
        names = {"lo", *(end.interface for end in ends if end.node == place.name)}
    return (text for name, texts in place.interfaces.items() if name in names for text in texts)


def _interfaces_leading_out(topology: Topology, container: str) -> Iterator[str]:
    known = topology.containers.get(container)
    for position, membership in enumerate(known.networks if known else ()):
        if not topology.networks[membership.network].ends_at_its_host:
            yield interface(position)


def _of(
    site: Site, source: Place, place: Place, target: Target, protocol: Protocol
) -> Iterator[Destination]:
    publications = list(_publications(site, place, target.port, protocol))
    if not publications:
        for address in best_addresses(site, source, place):
            yield Destination(address, target.port, place, target.port)
        return
    usable = list(_usable(site, source, place))
    served = [address for address in usable if _server(publications, address)]
    for address in served or usable:  # where none is, that is what the source has to find out
        container, publication = _server(publications, address) or publications[0]
        yield Destination(address, target.port, container, publication.container_port)


def _at(site: Site, source: Place, address: str, target: Target, protocol: Protocol) -> Destination:
    place = source if is_loopback(address) else owner_of(site, source, address)
    if place is not None:
        publications = list(_publications(site, place, target.port, protocol))
        if server := _server(publications, address):
            return Destination(address, target.port, server[0], server[1].container_port)
    return Destination(address, target.port, place, target.port)


def host_of(topology: Topology, place: Place) -> str:
    """The name of the node it is, or runs on."""
    container = topology.containers.get(place.name)
    return container.host if container and place.kind == "container" else place.name


def _publications(site: Site, place: Place, port: int, protocol: Protocol) -> Iterator[Published]:
    """Of this port of a host: by which containers, and as what."""
    for name, container in site.topology.containers.items():
        if place.kind != "container" and container.host == place.name:
            for each in container.publish:
                if (each.host_port, each.protocol) == (port, protocol):
                    yield site.places[name], each


def _server(publications: Sequence[Published], address: str) -> Published | None:
    """Who answers at that address of the host: a container that has one of its IP version."""
    for container, publication in publications:
        given = publication.host_ip
        same = given and ipaddress.ip_address(given) == ipaddress.ip_address(address)
        family = family_of(address)
        every = not given or (given in _ANY and family_of(given) == family)
        if (same or every) and container.address(family):
            return container, publication
    return None


def _usable(site: Site, source: Place, host: Place) -> Iterator[str]:
    """The host's addresses that can be sent to from `source`.

    Those on its links can from everywhere. A bridge's is for the containers on it: whoever is
    outside has no route there.
    """
    if source.name == host.name:
        yield from host.addresses
        yield LOOPBACK[4]  # the kernel does not let packets from ::1 leave the loopback interface
        return
    found = {_plain(text) for text in _outer(site, host)}
    if host_of(site.topology, source) == host.name:
        found.update(best_addresses(site, source, host))
    yield from [one for one in host.addresses if one in found] or host.addresses


def _why_none(source: Place, target: Target, family: int | None) -> str:
    version = f"have no IPv{family} in common" if family else "have no IP version in common"
    return (
        f"{source.name} has no way to address {target}: they {version}; give both a subnet of the "
        "same version, or another `family`"
    )


def _flat(interfaces: Mapping[str, Sequence[str]]) -> Iterator[str]:
    return (text for texts in interfaces.values() for text in texts)


def _within(
    address: str, near: Iterable[ipaddress.IPv4Interface | ipaddress.IPv6Interface]
) -> bool:
    return any(ipaddress.ip_address(address) in interface.network for interface in near)


def _plain(text: str) -> str:
    return str(ipaddress.ip_interface(text).ip)


def is_global(cidr: str) -> bool:
    """Whether it is an address that others can use: neither loopback nor link-local."""
    address = ipaddress.ip_interface(cidr).ip
    return not (address.is_loopback or address.is_link_local)


def is_loopback(address: str) -> bool:
    """Of an address without a prefix length."""
    return ipaddress.ip_address(address).is_loopback
