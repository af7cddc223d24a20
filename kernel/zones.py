"""The conntrack zone of a network: the one it has, or a new one where its addresses are taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_interface, ip_network

from ..model.errors import KernelError
from ..model.exhaustion import is_exhaustion
from .netlink import addresses, links, routes
from .netlink.rtnl_socket import Socket
from .places import Places


def zone(at: Places, interface: str, networks: Sequence[str]) -> int:
    """As `NetworkZone` asks for it."""
    sock = at.socket("host")
    try:
        table = at.table()
        own = links.index(sock, interface) if networks else 0
        if not any(_is_another_s(sock, network, own) for network in networks):
            return table.zone_of(interface)
        # Addresses first: the zone is in the map before the first of them stands there.
        begun = _has_one_of(sock, interface, networks)
        known = table.zone_of(interface)
        return known or (0 if begun else table.free_zone(interface))
    except KernelError as error:
        if is_exhaustion(error):
            raise
        return 0  # a host without nftables: who needs the tables will be told


def _is_another_s(sock: Socket, network: str, own: int) -> bool:
    """Whether packets for it would leave by another bridge, or by its leg in a VLAN, a veth."""
    index = routes.direct(sock, _far(network))
    if index in (0, own):
        return False
    name = links.name_of(sock, index)
    link = links.by_name(sock, name) if name else None
    return link is not None and link.kind in ("bridge", "veth")


@lru_cache(maxsize=256)  # a host's networks are few, and asked about by each ADD
def _far(network: str) -> str:
    """An address of it that is not likely to be the host's own."""
    whole = ip_network(network)
    return str(whole[-2] if whole.num_addresses > 2 else whole[0])


def _has_one_of(sock: Socket, interface: str, networks: Sequence[str]) -> bool:
    index = links.index(sock, interface)
    held = [ip_interface(each.address).ip for each in addresses.on(sock, index)] if index else []
    return any(address in ip_network(network) for address in held for network in networks)
