"""Attachments as they are on record, with nothing asked of the kernel."""

from __future__ import annotations

import os

from ...engine.judging import by_attachment
from ..recorded import records
from .attached import Attached, described


def on_record(network: str | None = None) -> list[Attached]:
    """Of this host namespace, by network, container and interface; [] where there is no store.

    Raises `CniError`: the store can't be read.
    """
    from ...daemon.settings import settings
    from ...store.store import Store

    recorded = records(network)
    if not recorded:
        return []
    with Store.open(settings(os.environ).state).read() as tx:
        return [
            described(mine, [step for one in mine for step in tx.steps(one)])
            for mine in by_attachment(recorded)
        ]
