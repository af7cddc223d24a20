"""Elements and sets of our nftables tables: all of a plan in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ..model.plan import Drift
from ..model.resources import Element, MasqueradePrefix, SharedElement
from .handler import Handler
from .places import Places

NftResource: TypeAlias = Element | SharedElement | MasqueradePrefix


class TableHandler(Handler[NftResource]):
    """May raise `TableMissing` on creation."""

    def exists(self, at: Places, resource: NftResource) -> bool:
        return at.table().exists(resource)

    def create(self, at: Places, resource: NftResource) -> None:
        at.table().create([resource])

    def create_all(self, at: Places, resources: Sequence[NftResource]) -> None:
        at.table().create(resources)

    def verify(self, at: Places, resource: NftResource) -> list[Drift]:
        return at.table().verify(resource)

    def delete(self, at: Places, resource: NftResource, previous: str | None) -> None:
        at.table().delete([resource])

    def delete_all(self, at: Places, doomed: Sequence[tuple[NftResource, str | None]]) -> None:
        at.table().delete([resource for resource, _ in doomed])
