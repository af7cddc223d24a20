"""Links that come in pairs: one end on the host, and the other in the container."""

from __future__ import annotations

from .resource import Resource


class LinkPair(Resource, kw_only=True):
    """`ip link add NAME address MAC type KIND peer name PEER address PEER_MAC netns SANDBOX`

    NAME stays on the host. Neither end is set up. With it goes all that is inside it.
    """

    identity = ("name",)
    name: str
    mac: str
    peer: str
    peer_mac: str
    mtu: int = 0

    @property
    def container_end(self) -> tuple[str, str]:
        return self.peer, self.peer_mac

    def describe(self) -> str:
        inside = f"{self.peer} ({self.peer_mac}) in the container"
        mtu = f", MTU {self.mtu}" if self.mtu else ""
        return f"{self.kind} pair {self.name} on the host, {inside}{mtu}"


class Veth(LinkPair, kw_only=True):
    """`ip link add ... type veth ...`"""

    kind = "veth"


class Netkit(LinkPair, kw_only=True):
    """`ip link add ... type netkit mode l2 forward peer forward ...`

    In mode l2 its ends have MACs, and find each other's as those of a veth pair do. The host's is
    the primary one: by it alone programs are put on either (Linux 6.7 and newer).
    """

    kind = "netkit"


PAIRS: dict[str, type[LinkPair]] = {each.kind: each for each in (Veth, Netkit)}
"""By the kernel's name of their kind."""
