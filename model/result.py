"""What an ADD amounts to: the CNI result, in the shape of spec 1.1.0.

Other versions' shapes are made from this one in `cni.result`. In that of 1.1.0 whatever is at its
default is left out, as the reference has it.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import field

from .value import Value


class Interface(Value, omit_defaults=True, rename={"socket_path": "socketPath", "pci_id": "pciID"}):
    """`sandbox` is CNI_NETNS as it was at ADD, "" for an interface of the host."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int = 0
    socket_path: str = ""
    pci_id: str = ""

    def is_in(self, netns: str, leads_there: Callable[[str], bool | None]) -> bool:
        """Whether it is in the container whose CNI_NETNS is `netns`.

        There are several ways to one namespace (/var/run is a link to /run), so another text is
        looked at: `leads_there` answers False for one that leads elsewhere, None for nowhere.
        """
        if self.sandbox in ("", netns):
            return self.sandbox != ""
        return leads_there(self.sandbox) is not False


class Address(Value):
    """`address` with prefix length; `interface` an index into the result's interfaces."""

    address: str
    gateway: str = ""
    interface: int | None = None


class Route(Value, omit_defaults=True):
    """`dst` with prefix length; zero or None where the kernel's default holds."""

    dst: str
    gw: str = ""
    mtu: int = 0
    advmss: int = 0
    priority: int = 0
    table: int | None = None
    scope: int | None = None


class Dns(Value, omit_defaults=True):
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)


class Result(Value):
    interfaces: tuple[Interface, ...] = ()
    ips: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = field(default_factory=Dns)

    def next_hop(self, route: Route) -> str:
        """The gateway `route` goes by: its own, else that of the first address of its family.

        "" for a route that ends on the link, as one by 0.0.0.0 or :: does.
        """
        if route.scope == _SCOPE_LINK:
            return ""
        version_6 = ":" in route.dst
        gateways = (ip.gateway for ip in self.ips if (":" in ip.address) == version_6)
        gateway = route.gw or next(gateways, "")
        is_one = gateway.strip("0.:") and (":" in gateway) == version_6
        return gateway if is_one else ""


_SCOPE_LINK = 253  # linux/rtnetlink.h, RT_SCOPE_LINK
