"""`ipam.routes`: routes as a configuration gives them, checked before they reach the kernel."""

from __future__ import annotations

from typing import Annotated

from ..cni.addresses import interface_of, is_address, is_cidr
from ..cni.section import Section, within
from ..model.result import Route

_U32 = 2**32 - 1
"""What fits in the attribute (rtnetlink(7))."""
Number = Annotated[int, within(0, _U32)]


def _prefix(dst: str) -> str:
    if not is_cidr(dst):
        raise ValueError("not a prefix, such as 10.0.0.0/8")
    network = interface_of(dst).network
    # Of an IPv6 prefix the kernel takes the network, of IPv4 it refuses what is none.
    if network.version == 4 and interface_of(dst).ip != network.network_address:
        raise ValueError(f"host bits are set; the prefix is {network}")
    return str(network) if network.version == 6 else dst


def _address(gw: str) -> str:
    if gw and not is_address(gw):
        raise ValueError("not an address")
    return gw


class RouteConf(Section):
    """CNI spec 1.1.0, "ADD Success", `routes`."""

    dst: Annotated[str, _prefix]
    gw: Annotated[str, _address] = ""
    mtu: Number = 0
    advmss: Number = 0
    priority: Number = 0
    table: Number | None = None
    scope: Annotated[int, within(0, 255)] | None = None

    def to_route(self) -> Route:
        return Route(
            self.dst, self.gw, self.mtu, self.advmss, self.priority, self.table, self.scope
        )
