"""A port of the host that leads to a container."""

from __future__ import annotations

from functools import cache, cached_property
from ipaddress import ip_address

from .blake2 import blake2b
from .resource import Resource, Undo

ANY = {4: "0.0.0.0", 6: "::"}
"""Every address of the host, as a host address."""


@cache
def dead_end(host_address: str) -> str:
    """Why nothing that comes for an IPv6 address of the host can be sent on; "" where it can."""
    address = ip_address(host_address)
    if address.version == 6 and address.is_loopback:
        return (
            "the kernel can't send on what arrives at IPv6 loopback (127.0.0.1 can be published on)"
        )
    if address.version == 6 and address.is_link_local:
        return "what comes from one link (fe80::/10) can't be sent on to another"
    return ""


class PublishedPort(Resource, kw_only=True):
    """`nft add element inet pynet published4_any { tcp . 8080 : 10.1.0.2 . 80 }`

    What reaches `host_port` of `host_address` goes on to `port` of the container's `address`.
    All UDP flows that were on another way are forgotten (`conntrack -D`), when it is made and
    when it is deleted.
    """

    kind = "published-port"
    identity = ("protocol", "host_address", "host_port")
    batch = "nft"
    exclusive = True
    protocol: str
    host_address: str
    host_port: int
    address: str
    port: int
    condition: str = ""
    """The id of the `PublishCondition` it is published on, "" for always."""

    @property
    def family(self) -> int:
        return 6 if ":" in self.address else 4

    @property
    def everywhere(self) -> bool:
        """Whether it is published on every address of its family."""
        return self.host_address == ANY[self.family]

    @property
    def host(self) -> str:
        """The host's end, for people."""
        where = f"every IPv{self.family} address" if self.everywhere else self.host_address
        return f"{self.protocol} port {self.host_port} of {where}"

    @property
    def claim(self) -> str:
        return self.host

    def describe(self) -> str:
        return f"{self.host} leads to port {self.port} of {self.address}"


class PublishCondition(Resource, kw_only=True):
    """`nft add rule inet pynet conditional MATCH jump published4_ID`, and what it leads to.

    `match` is in the words of `nft`. Made once for each condition in use on the host.
    """

    kind = "publish-condition"
    undo = Undo.KEEP
    identity = ("family", "match")
    family: int
    match: str

    @cached_property
    def id(self) -> str:
        """Eight hex digits: what its maps and its chain are named by."""
        return blake2b(self.match.encode(), digest_size=4).hexdigest()

    def describe(self) -> str:
        return f"nftables: IPv{self.family} ports published on: {self.match}"
