"""By which interfaces the host goes by router advertisements (RFC 4861).

Rules that hold here:
- A host that forwards takes none where accept_ra is 1, and what it had by them is gone at once.
- The tunnels that the kernel itself puts into each namespace (erspan0, gretap0) lead nowhere.
- What only containers are behind is nobody's uplink: a port of a bridge, a pair's end whose other
  one is elsewhere, a bridge that has no other ports. Of the last two it is, where a route of the
  host's came that way: this host may be a container itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model.link_pair import PAIRS
from ..model.query import OWN, Link
from .netlink import links, routes
from .places import Places

_FORWARDING = "ipv6/conf/all/forwarding"
_UNLESS_FORWARDING, _ALWAYS = "1", "2"
"""Values of accept_ra."""
_LOOPBACK = "lo"
_TUNNELS = frozenset({
    "erspan", "gre", "gretap", "ip6erspan", "ip6gre", "ip6gretap", "ip6tnl", "ipip", "sit",
    "vti", "vti6",
})  # fmt: skip


def closed_by_forwarding(at: Places) -> Iterator[str]:
    """Names of those that will take no more of them once the host forwards; none where it does."""
    if at.sysctl("host", _FORWARDING) != "0":
        return
    sock = at.socket("host")
    everything = links.everything(sock)
    for link in everything:
        if link.master or link.name == _LOOPBACK or (link.kind in _TUNNELS and not link.up):
            continue
        if at.sysctl("host", setting(link.name)) != _UNLESS_FORWARDING:
            continue
        if not _leads_to_containers(link, everything) or routes.advertised(sock, link.index):
            yield link.name


def is_uplink(at: Places, name: str, bridge: str) -> bool:
    """Whether the host goes by advertisements on `name`, and `bridge` leads outside.

    It does where it has a route by one, or was told to take them though it forwards.
    """
    sock = at.socket("host")
    index = links.index(sock, name)
    told = index and at.sysctl("host", setting(name)) == _ALWAYS
    if not told and not (index and routes.advertised(sock, index)):
        return False
    # Only now, for there may be a thousand of them.
    return not _are_containers(links.ports(sock, links.index(sock, bridge)))


def setting(name: str) -> str:
    return f"ipv6/conf/{name}/accept_ra"


def _leads_to_containers(link: Link, everything: Iterable[Link]) -> bool:
    if link.kind == "bridge":
        return _are_containers(port for port in everything if port.master == link.index)
    return _are_containers([link])


def _are_containers(found: Iterable[Link]) -> bool:
    return all(link.kind in PAIRS and link.peer_number != OWN for link in found)
