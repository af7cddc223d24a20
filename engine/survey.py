"""What stands of containers that no record tells of, as the records that they would have.

Rules that hold here:
- Only what stands behind a link of ours counts, and a link is ours by its name. What else is in our
  tables is nobody's, and is removed as such (`reconciling`).
- Of a bridge its MAC says whether it is ours. What stands on one that is not was found there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_interface, ip_network

from ..kernel.machine import machine
from ..model.forwarding import ForwardAccept, ForwardJump, ZoneInterface
from ..model.link_pair import PAIRS, LinkPair
from ..model.query import AddressesOn, HostEnds
from ..model.request import bridge_mac, leg_mac
from ..model.resource import Resource, Undo
from ..model.resources import (
    Bridge,
    Element,
    Forwarding,
    GatewayAddress,
    MasqueradePrefix,
    PublishedPort,
    SharedElement,
    Sysctl,
    VlanGateway,
)
from ..model.result import Address, Interface, Result
from ..model.value import Value, dump
from ..model.witness import Bridges, Pair, PairNamed
from ..store.leases import EVERY_POOL, NO_POSITION, HeldLease
from ..store.records import NOT_ON_RECORD, Record, Shared, Step
from ..store.store import Writer
from . import claiming
from .request_record import Call
from .site import Site
from .strangers import guarded_by, mark, unrecorded
from .world import World

_PLUGIN = "bridge"
"""The one that makes such pairs."""
_NAMESPACE = "unknown"
"""Of a record that was made up: its namespace is known by its number alone."""


def adopt(site: Site) -> list[Record]:
    """Make up records of those who live without one. Raises `CniError`.

    Of none where another store that is still there keeps this host's containers.
    """
    if claiming.kept_by(site):
        return []
    store = site.store.owner().store
    pairs = [pair for name in _unrecorded(site) if (pair := site.world.look(PairNamed(name)))]
    containers = [pair for pair in pairs if pair.end.peer_number >= 0]
    survey = _survey(site, containers, pairs)
    adopted = []
    with site.store.write() as tx:
        for bridge in survey.bridges:
            _share(tx, site, [bridge], survey)
        for pair in containers:
            if not tx.users(site.world.host, _link_pair(pair).key, at_most=1):
                adopted.append(_record(tx, site, survey, pair))
        tx.mark_taken_over(EVERY_POOL, mark(site))
        made_up = bool(adopted or tx.records(host=site.world.host, network=NOT_ON_RECORD))
    site.store.looked_through[store, site.world.host] = made_up
    if adopted:
        names = ", ".join(record.container for record in adopted)
        site.say(
            f"{len(adopted)} of the containers that run here are not on record, as if the store"
            f" had been lost: {names}; their addresses count as taken for as long as they run"
        )
    return adopted


def _unrecorded(site: Site) -> list[str]:
    ends = site.world.look(HostEnds()) or ()
    with site.store.read() as tx:
        return unrecorded(tx, site.world.host, ends)


# --- what stands ---------------------------------------------------------------------------------


class _Survey(Value):
    """`bridges` and `legs` are those that we have made, `contents` what is in our tables.

    `gateways` are the addresses of each interface that containers are routed by.
    """

    bridges: tuple[Bridge, ...]
    legs: tuple[VlanGateway, ...]
    contents: tuple[Resource, ...]
    ways: tuple[Resource, ...]
    gateways: dict[str, tuple[str, ...]]

    def is_ours(self, bridge: str) -> bool:
        made = {*(one.name for one in self.bridges), *(one.name for one in self.legs)}
        return bridge in made


def bridges_made(world: World) -> tuple[Bridge, ...]:
    """Those of the host that are ours, by their MAC. Raises `CniError`."""
    host = _host(world)
    return tuple(
        Bridge(name=link.name, mac=link.mac, vlan_filtering=link.vlan_filtering)
        for link in world.look(Bridges()) or ()
        if link.mac == bridge_mac(host, link.name)
    )


def _host(world: World) -> str:
    """As `Request.host`."""
    return f"{machine()}:{world.host}"


def _survey(site: Site, containers: Sequence[Pair], pairs: Sequence[Pair]) -> _Survey:
    host = _host(site.world)
    bridges = bridges_made(site.world)
    if not containers:
        return _Survey(bridges, (), (), (), {})
    legs = tuple(
        _leg(pair) for pair in pairs if pair.peer and pair.peer.mac == leg_mac(host, pair.peer.name)
    )
    behind = {pair.bridge.name for pair in containers if pair.bridge}
    gates = (*behind, *(leg.name for leg in legs))
    return _Survey(
        bridges,
        legs,
        tuple(site.world.contents()),
        tuple(site.world.ways()),
        {gate: site.world.look(AddressesOn(gate)) or () for gate in gates},
    )


def _leg(pair: Pair) -> VlanGateway:
    """A bridge's leg in a VLAN, whose port is called as the ends of containers are."""
    assert pair.peer is not None
    vlan = pair.peer.name.rpartition(".")[2]
    return VlanGateway(
        name=pair.peer.name,
        port=pair.end.name,
        bridge=pair.bridge.name if pair.bridge else "",
        mac=pair.peer.mac,
        vlan=int(vlan) if vlan.isdecimal() else 0,
    )


# --- one record ----------------------------------------------------------------------------------


def _record(tx: Writer, site: Site, survey: _Survey, pair: Pair) -> Record:
    interface = pair.peer.name if pair.peer else ""
    addresses = _addresses(pair, survey.contents)
    record = tx.begin(
        host=site.world.host,
        network=NOT_ON_RECORD,
        container=pair.end.name,
        interface=interface,
        plugin=_PLUGIN,
        digest="",
        sandbox=_NAMESPACE,
        request=Call({}, {}).dump(),
        nsid=pair.end.peer_number,
    )
    resources = tuple(_standing(survey, pair, addresses))
    steps = [
        Step(position, each, _before(each) if each.undo is Undo.RESTORE else None)
        for position, each in enumerate(resources)
    ]
    pending = tx.pend(record, steps)
    _share(tx, site, resources, survey)
    for address in addresses:
        bare = address.partition("/")[0]
        if tx.lease_at(EVERY_POOL, bare) is None:
            tx.hold(
                HeldLease(
                    EVERY_POOL, bare, record.id, record.container, interface, NO_POSITION,
                    time.time(),
                )
            )  # fmt: skip
    return tx.ready(pending, dump(_result(pair, addresses)))


def _result(pair: Pair, addresses: Iterable[str]) -> Result:
    end, bridge, peer = pair.end, pair.bridge, pair.peer
    interfaces = [Interface(bridge.name, mac=bridge.mac, mtu=bridge.mtu)] if bridge else []
    interfaces.append(Interface(end.name, mac=end.mac, mtu=end.mtu))
    if peer:
        interfaces.append(Interface(peer.name, mac=peer.mac, mtu=peer.mtu, sandbox=_NAMESPACE))
    return Result(tuple(interfaces), tuple(Address(address) for address in addresses))


def _link_pair(pair: Pair) -> LinkPair:
    peer = pair.peer
    return PAIRS[pair.end.kind](
        name=pair.end.name,
        mac=pair.end.mac,
        peer=peer.name if peer else "",
        peer_mac=peer.mac if peer else "",
    )


def _share(tx: Writer, site: Site, resources: Iterable[Resource], survey: _Survey) -> None:
    """Of what nobody has said yet whether it was found, say so."""
    counted = [each for each in resources if each.is_counted]
    known = tx.all_shared(site.world.host, [each.key for each in counted])
    tx.share(
        site.world.host,
        [
            (each, Shared(_is_found(each, survey), _before(each)))
            for each in counted
            if each.key not in known
        ],
    )


def _is_found(resource: Resource, survey: _Survey) -> bool:
    """Whether it is somebody else's: a bridge is, by its MAC, and so is what it has for gateway.

    Of forwarding nothing tells whether it was on before. It may be the host's own, and stays.
    """
    if isinstance(resource, Forwarding):
        return True
    if isinstance(resource, Bridge | GatewayAddress | VlanGateway):
        return not survey.is_ours(resource.name)
    return False


def _before(resource: Resource) -> str | None:
    """What the kernel had there before us."""
    return "0" if isinstance(resource, Sysctl) else None


def _addresses(pair: Pair, contents: Iterable[Resource]) -> list[str]:
    """The container's, in CIDR form; where it can't be looked into, all that the tables tell."""
    if pair.addresses is not None:
        return list(pair.addresses)
    words = (word for resource in contents for word in _words(resource))
    return [f"{word}/{128 if ':' in word else 32}" for word in dict.fromkeys(words) if _is_ip(word)]


def _standing(survey: _Survey, pair: Pair, addresses: Iterable[str]) -> Iterator[Resource]:
    """All that stands of one container, in the order in which an ADD makes it."""
    own = {address.partition("/")[0] for address in addresses}
    gates = _gates(survey, pair, own)
    mine = [each for each in survey.contents if _concerns(each, pair.end.name, own, gates)]
    for set_name in dict.fromkeys(getattr(each, "set", "") for each in mine):
        if set_name.startswith("network"):
            family, length = set_name.removeprefix("network").split("_")
            yield MasqueradePrefix(family=int(family), length=int(length))
    yield from mine
    yield from (way for way in survey.ways if _leads_to(way, gates))
    if pair.bridge:
        yield from _bridge(survey, pair)
    yield from (leg for leg in survey.legs if leg.name in gates)
    yield _link_pair(pair)
    families = set()
    for gate in gates:
        for address in survey.gateways.get(gate, ()):
            if _holds(str(ip_interface(address).network), own):
                families.add(ip_interface(address).version)
                yield GatewayAddress(name=gate, address=str(ip_interface(address)))
    for family in sorted(families):
        yield Forwarding(family=family)
    yield from filter(None, map(guarded_by, mine))


def _bridge(survey: _Survey, pair: Pair) -> Iterator[Bridge]:
    assert pair.bridge is not None
    link = pair.bridge
    found = next((one for one in survey.bridges if one.name == link.name), None)
    yield found or Bridge(name=link.name, mac=link.mac, vlan_filtering=link.vlan_filtering)


def _gates(survey: _Survey, pair: Pair, own: set[str]) -> list[str]:
    """By what the container is routed: its bridge, or that one's leg in the container's VLAN."""
    bridge = pair.bridge.name if pair.bridge else pair.end.name
    legs = [
        leg.name
        for leg in survey.legs
        if leg.bridge == bridge
        and any(
            _holds(str(ip_interface(address).network), own) for address in survey.gateways[leg.name]
        )
    ]
    return [bridge, *legs]


def _concerns(resource: Resource, end: str, own: set[str], gates: Sequence[str]) -> bool:
    """Whether what is in our tables is about the container, or the network that it is in."""
    words = _words(resource)
    if isinstance(resource, Element | SharedElement) and resource.set.startswith("network"):
        length = resource.set.rpartition("_")[2]
        return _holds(f"{words[-1]}/{length}", own)
    if any(word == end or word in own for word in words):
        return True
    return all(word in gates for word in words)


def _leads_to(way: Resource, gates: Sequence[str]) -> bool:
    if isinstance(way, ForwardAccept | ZoneInterface):
        return way.interface in gates
    return isinstance(way, ForwardJump)


def _words(resource: Resource) -> tuple[str, ...]:
    if isinstance(resource, PublishedPort):
        return (resource.address,)
    words: tuple[str, ...] = getattr(resource, "item", ())
    return words


def _holds(network: str, addresses: Iterable[str]) -> bool:
    whole = ip_network(network, strict=False)
    return any(ip_address(each) in whole for each in addresses)


def _is_ip(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True
