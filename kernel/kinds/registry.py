"""The table of kinds: which handler serves which kind of resource."""

from __future__ import annotations

from typing import Any

from ...model import resources
from ...model.resource import Resource
from . import attributes, container_link, forwarding, routing, shaping, vrf
from .addresses import (
    AddressRemovedHandler,
    GatewayAddressHandler,
    InterfaceAddressHandler,
    InterfaceRouteHandler,
)
from .batch import LinkHandler
from .handler import Handler
from .host_leg import HostLegHandler
from .links import ArpNotifyHandler, BridgeHandler, LinkUpHandler
from .moved_link import MovedLinkHandler
from .pairs import NetkitHandler, VethHandler, VlanGatewayHandler
from .ports import BridgePortHandler
from .sysctls import (
    ForwardingHandler,
    LinkForwardingHandler,
    RouterAdvertisementsHandler,
    SysctlHandler,
)
from .tables import TableHandler
from .tap import TapHandler

_TABLE = TableHandler()

HANDLERS: dict[str, Handler[Any]] = {
    resources.Bridge.kind: BridgeHandler(),
    resources.Veth.kind: VethHandler(),
    resources.Netkit.kind: NetkitHandler(),
    resources.MovedLink.kind: MovedLinkHandler(),
    resources.Tap.kind: TapHandler(),
    resources.BridgePort.kind: BridgePortHandler(),
    resources.LinkUp.kind: LinkUpHandler(),
    resources.ArpNotify.kind: ArpNotifyHandler(),
    resources.VlanGateway.kind: VlanGatewayHandler(),
    resources.HostLeg.kind: HostLegHandler(),
    resources.InterfaceAddress.kind: InterfaceAddressHandler(),
    resources.GatewayAddress.kind: GatewayAddressHandler(),
    resources.AddressRemoved.kind: AddressRemovedHandler(),
    resources.InterfaceRoute.kind: InterfaceRouteHandler(),
    resources.Sysctl.kind: SysctlHandler(),
    resources.Forwarding.kind: ForwardingHandler(),
    resources.LinkForwarding.kind: LinkForwardingHandler(),
    resources.RouterAdvertisements.kind: RouterAdvertisementsHandler(),
    resources.MasqueradePrefix.kind: _TABLE,
    resources.Element.kind: _TABLE,
    resources.SharedElement.kind: _TABLE,
    resources.PublishedPort.kind: _TABLE,
    resources.PublishCondition.kind: _TABLE,
    **attributes.HANDLERS,
    **container_link.HANDLERS,
    **forwarding.HANDLERS,
    **shaping.HANDLERS,
    **routing.HANDLERS,
    **vrf.HANDLERS,
}


def handler(resource: Resource) -> Handler[Any]:
    """Leases are not made by the kernel: KeyError, a programming error."""
    return HANDLERS[resource.kind]


def link_handler(resource: Resource) -> LinkHandler[Any]:
    """That of a resource of batch LINK."""
    found = handler(resource)
    assert isinstance(found, LinkHandler)
    return found
