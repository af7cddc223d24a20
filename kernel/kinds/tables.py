"""Elements and sets of our nftables tables: all of a plan together."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.plan import Drift
from ...model.resources import PublishedPort
from ..nft.resources import NftResource
from ..places import Places
from .handler import Handler


class TableHandler(Handler[NftResource]):
    """May raise `TableMissing` on creation."""

    def exists(self, at: Places, resource: NftResource) -> bool:
        return at.table().exists(resource)

    def create(self, at: Places, resource: NftResource) -> None:
        self.create_all(at, [resource])

    def create_all(self, at: Places, resources: Sequence[NftResource]) -> None:
        at.table().create(resources)
        if ports := _udp(resources):
            at.table().flows.forget_old_ways(ports)

    def verify(self, at: Places, resource: NftResource) -> list[Drift]:
        return at.table().verify([resource])

    def verify_all(self, at: Places, resources: Sequence[NftResource]) -> list[Drift]:
        return at.table().verify(resources)

    def delete(self, at: Places, resource: NftResource, previous: str | None) -> None:
        self.delete_all(at, [(resource, previous)])

    def delete_all(self, at: Places, doomed: Sequence[tuple[NftResource, str | None]]) -> None:
        resources = [resource for resource, _ in doomed]
        at.table().delete(resources)
        if ports := _udp(resources):
            at.table().flows.forget_ways_to(ports)


def _udp(resources: Sequence[NftResource]) -> list[PublishedPort]:
    """Those whose flows outlive a change: a TCP client begins a new one, of UDP nobody can tell."""
    return [one for one in resources if isinstance(one, PublishedPort) and one.protocol == "udp"]
