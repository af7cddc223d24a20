"""`tap`: an interface of the container's own whose other end is a program, a virtual machine say.

Keys and results are the reference plugin's.
"""

from __future__ import annotations

from typing import Annotated

from ..cni.names import interface_problem
from ..cni.net_conf import NetConf
from ..cni.section import within
from ..model.errors import ConfigError
from ..model.link_attributes import DEFAULT_MTU
from ..model.plan import Plan
from ..model.query import LinkNamed, Seen
from ..model.request import Request
from ..model.resources import Tap as TapLink
from ..model.result import Interface
from . import container_link
from .container_link import ContainerLinkPlugin, possible_mtu
from .mac import asked_mac

_MAX_ID = 2**32 - 2  # 2**32 - 1 stands for nobody


class TapConf(NetConf):
    mac: str = ""
    mtu: Annotated[int, possible_mtu] = 0
    multiQueue: bool = False
    owner: Annotated[int, within(0, _MAX_ID)] | None = None
    group: Annotated[int, within(0, _MAX_ID)] | None = None
    selinuxContext: str = ""
    bridge: str = ""

    def check(self) -> None:
        if self.bridge and (problem := interface_problem(self.bridge)):
            raise ValueError(f'bridge: "{self.bridge}" {problem}')


class Tap(ContainerLinkPlugin):
    name = "tap"
    about = "gives the container an interface whose other end is a program"
    config = TapConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: TapConf = request.conf
        bridges = (LinkNamed(conf.bridge, "sandbox"),) if conf.bridge else ()
        seen.together(*bridges, *container_link.questions(request))
        for question in bridges:
            bridge = seen[question]
            if bridge is None or bridge.kind != "bridge":
                raise ConfigError(f'bridge: there is no bridge "{conf.bridge}" in {request.netns}')
        link = TapLink(
            name=request.interface,
            mac=asked_mac(request, conf.mac) or request.attachment.mac("container"),
            mtu=conf.mtu,
            owner=conf.owner,
            group=conf.group,
            multi_queue=conf.multiQueue,
            bridge=conf.bridge,
            selinux=conf.selinuxContext,
        )
        told = Interface(
            link.name, mac=link.mac, mtu=link.mtu or DEFAULT_MTU, sandbox=request.netns
        )
        # There is no carrier, and no duplicate address detection, until a program opens it.
        return container_link.plan(request, seen, link, told, dad=False)

    def link_left(self, request: Request, mac: str) -> TapLink:
        return TapLink(name=request.interface, mac=mac)
