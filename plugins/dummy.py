"""`dummy`: a link of the container's own that leads nowhere, for addresses to stand on.

Keys, results and refusals are the reference plugin's.
"""

from __future__ import annotations

from ..cni.net_conf import NetConf
from ..model.errors import ConfigError
from ..model.link_attributes import DEFAULT_MTU
from ..model.plan import Plan
from ..model.query import Seen
from ..model.request import Request
from ..model.resources import Dummy as DummyLink
from ..model.result import Interface
from . import container_link
from .container_link import ContainerLinkPlugin
from .delegation import ipam_type
from .mac import asked_mac


class Dummy(ContainerLinkPlugin):
    name = link_kind = "dummy"
    about = "gives the container an interface that leads nowhere"
    config = NetConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        if not ipam_type(request):
            raise ConfigError("ipam: dummy needs one")
        seen.together(*container_link.questions(request))
        mac = asked_mac(request) or request.attachment.mac("container")
        link = DummyLink(name=request.interface, mac=mac, mtu=DEFAULT_MTU)
        told = Interface(link.name, mac=mac, mtu=link.mtu, sandbox=request.netns)
        return container_link.plan(request, seen, link, told, dad=False)

    def link_left(self, request: Request, mac: str) -> DummyLink:
        return DummyLink(name=request.interface, mac=mac)
