"""The names of a lab's nodes resolve in all of them, by one /etc/hosts that they share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .testnet import Testnet

_LOOPBACK = ("127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback")


def resolve_names(testnet: Testnet) -> None:
    """Write down the addresses that the nodes of `testnet` have now."""
    places = testnet.places.values()
    lines = [f"{address} {place.name}" for place in places for address in place.addresses]
    # The lab's /etc is a tmpfs, which all its hosts see.
    testnet.lab.call(_replace, "\n".join([*_LOOPBACK, *lines, ""]))


def _replace(text: str) -> None:
    hosts = Path("/etc/hosts")
    hosts.unlink(missing_ok=True)  # a link to the machine's own
    hosts.write_text(text)
