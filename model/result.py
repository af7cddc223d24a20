"""What an ADD amounts to: the CNI result, in the shape of spec 1.1.0.

Other versions' shapes are made from this one in `cni.result`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interface:
    """`sandbox` is CNI_NETNS to the letter, "" for an interface of the host."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int = 0
    socket_path: str = ""
    pci_id: str = ""


@dataclass(frozen=True)
class Address:
    """`address` with prefix length; `interface` an index into the result's interfaces."""

    address: str
    gateway: str = ""
    interface: int | None = None


@dataclass(frozen=True)
class Route:
    """`dst` with prefix length; zero or None where the kernel's default holds."""

    dst: str
    gw: str = ""
    mtu: int = 0
    advmss: int = 0
    priority: int = 0
    table: int | None = None
    scope: int | None = None


@dataclass(frozen=True)
class Dns:
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)


@dataclass(frozen=True)
class Result:
    interfaces: tuple[Interface, ...] = ()
    ips: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = field(default_factory=Dns)

    def next_hop(self, route: Route) -> str:
        """The gateway `route` goes by: its own, else that of the first address of its family.

        "" for a route that ends on the link.
        """
        if route.scope == _SCOPE_LINK:
            return ""
        version_6 = ":" in route.dst
        gateways = (ip.gateway for ip in self.ips if (":" in ip.address) == version_6)
        gateway = route.gw or next(gateways, "")
        return gateway if (":" in gateway) == version_6 else ""


_SCOPE_LINK = 253  # linux/rtnetlink.h, RT_SCOPE_LINK
