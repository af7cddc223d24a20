"""`ipam.routes`: routes as a configuration gives them, checked before they reach the kernel."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from ..cni.addresses import interface_of, is_address, is_cidr
from ..cni.config import ConfigModel
from ..model.result import Route

_U32 = 2**32 - 1
"""What fits in the attribute (rtnetlink(7))."""
Number = Annotated[int, Field(ge=0, le=_U32)]


class RouteConf(ConfigModel):
    """CNI spec 1.1.0, "ADD Success", `routes`."""

    dst: str
    gw: str = ""
    mtu: Number = 0
    advmss: Number = 0
    priority: Number = 0
    table: Number | None = None
    scope: Annotated[int, Field(ge=0, le=255)] | None = None

    @field_validator("dst")
    @classmethod
    def _is_a_prefix(cls, dst: str) -> str:
        if not is_cidr(dst):
            raise ValueError("not a prefix, such as 10.0.0.0/8")
        network = interface_of(dst).network
        if interface_of(dst).ip != network.network_address:
            raise ValueError(f"host bits are set; the prefix is {network}")
        return dst

    @field_validator("gw")
    @classmethod
    def _is_an_address(cls, gw: str) -> str:
        if gw and not is_address(gw):
            raise ValueError("not an address")
        return gw

    def to_route(self) -> Route:
        return Route(
            self.dst, self.gw, self.mtu, self.advmss, self.priority, self.table, self.scope
        )
