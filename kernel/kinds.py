"""The table of kinds: which handler serves which kind of resource."""

from __future__ import annotations

from typing import Any

from ..model import resources
from ..model.resource import Resource
from . import attribute_kinds, forward_kinds
from .address_kinds import (
    AddressRemovedHandler,
    GatewayAddressHandler,
    InterfaceAddressHandler,
    InterfaceRouteHandler,
)
from .handler import Handler
from .link_batch import LinkHandler
from .link_kinds import ArpNotifyHandler, BridgeHandler, LinkUpHandler
from .port_kinds import BridgePortHandler
from .sysctl_kinds import ForwardingHandler, SysctlHandler
from .table_kinds import TableHandler
from .veth_kinds import VethHandler, VlanGatewayHandler

_TABLE = TableHandler()

HANDLERS: dict[str, Handler[Any]] = {
    resources.Bridge.kind: BridgeHandler(),
    resources.Veth.kind: VethHandler(),
    resources.BridgePort.kind: BridgePortHandler(),
    resources.LinkUp.kind: LinkUpHandler(),
    resources.ArpNotify.kind: ArpNotifyHandler(),
    resources.VlanGateway.kind: VlanGatewayHandler(),
    resources.InterfaceAddress.kind: InterfaceAddressHandler(),
    resources.GatewayAddress.kind: GatewayAddressHandler(),
    resources.AddressRemoved.kind: AddressRemovedHandler(),
    resources.InterfaceRoute.kind: InterfaceRouteHandler(),
    resources.Sysctl.kind: SysctlHandler(),
    resources.Forwarding.kind: ForwardingHandler(),
    resources.MasqueradePrefix.kind: _TABLE,
    resources.Element.kind: _TABLE,
    resources.SharedElement.kind: _TABLE,
    resources.PublishedPort.kind: _TABLE,
    resources.PublishCondition.kind: _TABLE,
    **attribute_kinds.HANDLERS,
    **forward_kinds.HANDLERS,
}


def handler(resource: Resource) -> Handler[Any]:
    """Leases are not made by the kernel: KeyError, a programming error."""
    return HANDLERS[resource.kind]


def link_handler(resource: Resource) -> LinkHandler[Any]:
    """That of a resource of batch LINK."""
    found = handler(resource)
    assert isinstance(found, LinkHandler)
    return found
