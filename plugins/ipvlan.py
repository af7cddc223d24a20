"""`ipvlan`: a link of the container's own on an interface of the host, with that one's MAC.

Keys, results and refusals are the reference plugin's. Chained behind another plugin it stands on
that one's interface of the host, and without `ipam` it has the addresses of `prevResult`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ..model.errors import ConfigError
from ..model.plan import Plan
from ..model.query import Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Ipvlan as IpvlanLink
from ..model.result import Interface, Result
from . import container_link, host_leg
from .container_link import ContainerLinkPlugin, parent, parent_questions
from .delegation import ipam_type
from .host_leg import LegConf


class IpvlanConf(LegConf):
    mode: Literal["", "l2", "l3", "l3s"] = ""


class Ipvlan(ContainerLinkPlugin):
    name = link_kind = "ipvlan"
    about = "gives the container addresses of its own on an interface of the host"
    config = IpvlanConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        request = container_link.behind(request)
        conf: IpvlanConf = request.conf
        given = None if ipam_type(request) else _given(request)
        seen.together(
            *parent_questions(conf),
            *container_link.questions(request),
            *host_leg.questions(conf, "ipvlan"),
        )
        on = parent(request, seen, self.link_kind)
        leg = host_leg.leg(request, seen, on, "ipvlan", conf.mode or "l2")
        link = IpvlanLink(
            name=request.interface,
            mtu=conf.mtu or on.mtu,
            parent=on.name,
            parent_place=conf.place,
            mode=conf.mode or "l2",
        )
        told = Interface(link.name, mac=on.mac, mtu=link.mtu, sandbox=request.netns)
        plan = container_link.plan(
            request, seen, link, told, on=on, dad=link.mode == "l2", given=given
        )
        return host_leg.joined(plan, leg, link) if leg else plan

    def leftovers(self, request: Request) -> Iterable[Resource]:
        yield from super().leftovers(request)
        yield from host_leg.leg_left(request, "ipvlan")

    def link_left(self, request: Request, mac: str) -> IpvlanLink:
        return IpvlanLink(name=request.interface)


def _given(request: Request) -> Result:
    if request.prev_result is None or not request.prev_result.ips:
        raise ConfigError("ipam: ipvlan needs one, or addresses in prevResult")
    return request.prev_result
