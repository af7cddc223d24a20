"""Whose an address is that stands in the way: nobody is told to take it from running containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..model.errors import AddressInTheWay, ConfigError
from ..model.shown import command
from ..store.store import Store
from .world import World


@contextmanager
def whose(store: Store, world: World, network: str) -> Iterator[None]:
    """Where containers need what is in the way, the refusal names their networks.

    They may be those of this `network`, which had another subnet when they were attached.
    """
    try:
        yield
    except AddressInTheWay as refusal:
        with store.read() as tx:
            holders = tx.holders(world.host, [refusal.key], but=0).get(refusal.key, [])
        if not holders:
            raise
        networks = {record.network for record in holders}
        if network in networks:
            raise ConfigError(
                f"{refusal.found}, which containers of this network have still: its subnet was"
                " another when they were attached; detach them first, or put the subnet back:"
                f" {command('pynet', 'detach', 'CONTAINER', network)}"
            ) from None
        raise ConfigError(
            f"{refusal.found}, which containers of network {', '.join(sorted(networks))} need;"
            " give this network a bridge of its own"
        ) from None
