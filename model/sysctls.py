"""The kinds of resource that are sysctls, and what is said of forwarding by them."""

from __future__ import annotations

from .resource import Resource, Undo


class Sysctl(Resource, kw_only=True):
    """`sysctl -w net/KEY=VALUE`; KEY with slashes, e.g. "ipv4/conf/eth0/arp_notify".

    With `optional`, a key the kernel lacks (no IPv6) is passed over.
    """

    kind = "sysctl"
    undo = Undo.RESTORE
    batch = "sysctl"
    identity = ("place", "setting")
    setting: str
    value: str
    optional: bool = False

    def properties(self) -> frozenset[tuple[str, str]]:
        return frozenset({(f"sysctl net/{self.setting}", "value")})

    def describe(self) -> str:
        return f"sysctl net/{self.setting}={self.value}" + self.whereabouts


class Forwarding(Resource, kw_only=True):
    """`sysctl -w net.ipv4.ip_forward=1`, or net.ipv6.conf.all.forwarding for family 6."""

    kind = "forwarding"
    undo = Undo.KEEP
    may_be_found = True
    identity = ("family",)
    family: int

    def describe(self) -> str:
        return f"IPv{self.family} forwarding"


class LinkForwarding(Resource, kw_only=True):
    """`sysctl -w net.ipv4.conf.NAME.forwarding=1`: the host forwards what comes by NAME.

    With `Forwarding` it does so by all interfaces there are, and by new ones unless
    `net.ipv4.conf.default.forwarding` is set otherwise. IPv6 asks for no such setting of a link.
    """

    kind = "link-forwarding"
    undo = Undo.KEEP
    may_be_found = True
    identity = ("name",)
    name: str

    def describe(self) -> str:
        return f"IPv4 forwarding of what comes by {self.name}"


class RouterAdvertisements(Resource, kw_only=True):
    """`sysctl -w net.ipv6.conf.NAME.accept_ra=2`, where it is 1: taken though the host forwards.

    It stays as long as `Forwarding` does: without, the host would lose what it has by them.
    """

    kind = "router-advertisements"
    undo = Undo.KEEP
    may_be_found = True
    identity = ("name",)
    name: str

    def describe(self) -> str:
        return f"router advertisements on {self.name}, though the host forwards IPv6"
