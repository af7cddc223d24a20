"""`vlan`: a link of the container's own in one VLAN of an interface of the host.

Keys, results and refusals are the reference plugin's.
"""

from __future__ import annotations

from typing import Annotated

from ..cni.section import within
from ..model.errors import ConfigError, TryLater
from ..model.plan import Plan
from ..model.query import Seen
from ..model.request import Request
from ..model.resources import Vlan as VlanLink
from ..model.result import Interface
from . import container_link
from .container_link import ContainerLinkPlugin, OnParentConf, is_down, parent, parent_questions
from .delegation import ipam_type

_MAX_VLAN = 4094
"""IEEE 802.1Q; 0 tags with a priority alone."""


class VlanConf(OnParentConf):
    vlanId: Annotated[int, within(0, _MAX_VLAN)] = 0

    def check(self) -> None:
        super().check()
        if not self.master:
            raise ValueError("master: none is given; name the interface that the VLAN is on")


class Vlan(ContainerLinkPlugin):
    name = link_kind = "vlan"
    about = "connects the container to a VLAN of an interface of the host"
    config = VlanConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: VlanConf = request.conf
        if not ipam_type(request):
            raise ConfigError("ipam: vlan needs one")
        seen.together(*parent_questions(conf), *container_link.questions(request))
        on = parent(request, seen, self.link_kind)
        if not on.up:
            raise TryLater(f"the kernel sets up no VLAN while {is_down(request, on)}")
        link = VlanLink(
            name=request.interface,
            mtu=conf.mtu or on.mtu,
            parent=on.name,
            parent_place=conf.place,
            id=conf.vlanId,
        )
        told = Interface(link.name, mac=on.mac, mtu=link.mtu, sandbox=request.netns)
        return container_link.plan(request, seen, link, told, on=on)

    def link_left(self, request: Request, mac: str) -> VlanLink:
        return VlanLink(name=request.interface, id=0)
