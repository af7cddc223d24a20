"""`macvlan`: a link of the container's own on an interface of the host, with a MAC of its own.

Keys, results and refusals are the reference plugin's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec.structs import replace

from ..cni.section import within
from ..model.plan import Plan
from ..model.query import Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Macvlan as MacvlanLink
from ..model.resources import Sysctl
from ..model.result import Interface
from . import container_link, host_leg
from .container_link import ContainerLinkPlugin, parent, parent_questions
from .host_leg import LegConf
from .mac import asked_mac

_MAX_QUEUE = 2**32 - 1


class MacvlanConf(LegConf):
    mode: Literal["", "bridge", "private", "vepa", "passthru"] = ""
    mac: str = ""
    bcqueuelen: Annotated[int, within(0, _MAX_QUEUE)] = 0

    def check(self) -> None:
        super().check()
        if self.hostAddresses and self.mode not in ("", "bridge"):
            raise ValueError(
                f'hostAddresses: in mode "{self.mode}" the kernel takes nothing to a container from'
                ' another link of its master; set mode to "bridge"'
            )


class Macvlan(ContainerLinkPlugin):
    name = link_kind = "macvlan"
    about = "gives the container a MAC of its own on an interface of the host"
    config = MacvlanConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: MacvlanConf = request.conf
        seen.together(
            *parent_questions(conf),
            *container_link.questions(request),
            *host_leg.questions(conf, "macvlan"),
        )
        on = parent(request, seen, self.link_kind)
        leg = host_leg.leg(request, seen, on, "macvlan", "bridge")
        asked = asked_mac(request, conf.mac)
        passes = conf.mode == "passthru"  # and so has its master's MAC, whatever is asked for
        mac = on.mac if passes else asked or request.attachment.mac("container")
        link = MacvlanLink(
            name=request.interface,
            mac=mac,
            mtu=conf.mtu or on.mtu,
            parent=on.name,
            parent_place=conf.place,
            mode=conf.mode or "bridge",
            broadcast_queue=conf.bcqueuelen,
        )
        told = Interface(link.name, mac=mac, mtu=link.mtu, sandbox=request.netns)
        notify = Sysctl(
            setting=f"ipv6/conf/{link.name}/ndisc_notify",
            value="1",
            place="sandbox",
            optional=True,
            inside=link.key,
        )
        plan = container_link.plan(request, seen, link, told, on=on, settings=(notify,))
        if leg:
            plan = host_leg.joined(plan, leg, link)
        if not passes or asked in ("", mac):
            return plan
        note = f"mac {asked} has no effect: in mode passthru the interface has its master's, {mac}"
        return replace(plan, notes=(*plan.notes, note))

    def leftovers(self, request: Request) -> Iterable[Resource]:
        yield from super().leftovers(request)
        yield from host_leg.leg_left(request, "macvlan")

    def link_left(self, request: Request, mac: str) -> MacvlanLink:
        return MacvlanLink(name=request.interface, mac=mac)
