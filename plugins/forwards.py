"""The host forwards for its containers, and goes on being told its own routes meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..cni.addresses import interface_of
from ..model.query import ClosedToForwarding, RouterLinks, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Forwarding, LinkForwarding, RouterAdvertisements, Sysctl
from ..model.result import Result
from .delegation import known_networks


def forwarding(
    request: Request,
    seen: Seen,
    addressed: Result,
    leg: LinkForwarding,
    unadvertised: Collection[Resource] = (),
) -> Iterator[Resource]:
    """For the families that the container has addresses of; by `leg` what it sends comes in.

    `unadvertised` are `no_advertisement` of the interfaces by which nobody advertises to the host.
    """
    for family in dict.fromkeys(interface_of(ip.address).version for ip in addressed.ips):
        if family == 6:
            yield from _still_advertised(request, seen, unadvertised)
        yield Forwarding(family=family)
        if family == 4 and seen[closed(leg)]:
            yield leg


def closed(leg: LinkForwarding) -> ClosedToForwarding:
    """As it is made with each container, one that is `inside` something is new."""
    return ClosedToForwarding("default" if leg.inside else leg.name)


def router_questions(request: Request) -> list[RouterLinks]:
    """Asked where the network may have IPv6 addresses, for which the host is made to forward."""
    networks = known_networks(request)
    asked = not networks or any(":" in network for network in networks)
    return [RouterLinks()] if asked else []


def no_advertisement(name: str) -> Sysctl:
    """The host takes none by that interface of its own."""
    return Sysctl(setting=f"ipv6/conf/{name}/accept_ra", value="0", optional=True)


def _still_advertised(
    request: Request, seen: Seen, unadvertised: Collection[Resource]
) -> Iterator[Resource]:
    """RFC 4861, section 6.2.8: a router ignores what others advertise, unless it is told not to.

    A host that has its own default route by them is to keep it.
    """
    for question in router_questions(request):
        for name in seen[question]:
            if no_advertisement(name) not in unadvertised:
                yield RouterAdvertisements(name=name)
