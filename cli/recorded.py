"""What pynet's own records say, for commands that only look: no store is made for it."""

from __future__ import annotations

import os
import socket
from collections import Counter

from ..model.errors import CniError
from ..store.records import Record, State


def records(network: str | None = None) -> list[Record]:
    """Those of this host namespace, oldest first; [] where there is no store.

    Raises `CniError`: the store can't be read.
    """
    from ..daemon.settings import settings
    from ..kernel import namespaces
    from ..store.store import FILE, Store

    directory = settings(os.environ).state
    if not (directory / FILE).exists():
        return []
    with socket.socket(socket.AF_UNIX) as probe:
        host = str(namespaces.cookie(probe))
    with Store.open(directory).read() as reader:
        return reader.records(host=host, network=network)


def attachments() -> Counter[str] | None:
    """How many attachments each network has; None where the store can't be read."""
    try:
        found = {r.attachment for r in records() if r.state is State.READY}
    except CniError:
        return None
    return Counter(attachment.network for attachment in found)
