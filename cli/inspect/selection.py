"""Which attachments a word means: any noun a person may know one of them by."""

from __future__ import annotations

import os
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

from ...store.leases import HeldLease
from .attached import Attached

NOUNS = (
    "a network, a container id or its beginning, an interface (the container's or the host's), "
    "a bridge, a namespace (path or name), a pid, a MAC or an IP address, or a published port "
    "(8080, :8080/udp)"
)


def choose(attachments: list[Attached], words: list[str]) -> tuple[list[Attached], list[str]]:
    """Those that any of `words` means (all without a word), and the words that mean none."""
    if not words:
        return attachments, []
    meant = {word: _meant(word, attachments) for word in words}
    unmatched = [word for word, found in meant.items() if not found]
    chosen = {id(attached) for found in meant.values() for attached in found}
    return [attached for attached in attachments if id(attached) in chosen], unmatched


def choose_leases(
    leases: list[HeldLease], words: list[str], unmatched: list[str]
) -> tuple[list[HeldLease], list[str]]:
    """Those of no attachment that any of `words` means, and what of `unmatched` means none."""
    if not words:
        return leases, unmatched
    meant = {word: [one for one in leases if _means_lease(word, one)] for word in words}
    chosen = [one for one in leases if any(one in found for found in meant.values())]
    return chosen, [word for word in unmatched if not meant[word]]


def _means_lease(word: str, lease: HeldLease) -> bool:
    if word == lease.pool or lease.container.startswith(word):
        return True
    return bool(wanted := _packed(word)) and wanted == _packed(lease.address)


def _meant(word: str, attachments: list[Attached]) -> list[Attached]:
    """A whole name counts before the beginning of one: c1 is not c10."""
    return [attached for attached in attachments if _means(word, attached)] or [
        attached for attached in attachments if attached.container.startswith(word)
    ]


def _means(word: str, attached: Attached) -> bool:
    names = (
        attached.network,
        attached.container,
        attached.interface,
        attached.host_interface,
        attached.bridge,
        attached.leg,
    )
    macs = (attached.mac, attached.host_mac)
    return (
        word in names
        or word.lower().replace("-", ":") in macs
        or _is_address(word, attached)
        or _is_port(word, attached)
        or _is_namespace(word, attached)
    )


def _is_address(word: str, attached: Attached) -> bool:
    wanted = _packed(word)
    found = (*attached.addresses, *attached.gateways, *attached.leg_addresses)
    return wanted != b"" and wanted in map(_packed, found)


def _is_port(word: str, attached: Attached) -> bool:
    """`8080`, `:8080`, `8080/udp`: whatever address of the host it is published on."""
    number, _, protocol = word.removeprefix(":").partition("/")
    return number.isdecimal() and any(
        port.host_port == int(number) and protocol.lower() in ("", port.protocol)
        for port in attached.ports
    )


def _packed(address: str) -> bytes:
    """Of whatever spelling, with or without prefix length; b"" for what is no address."""
    host = address.partition("/")[0]
    try:
        return inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except OSError:
        return b""


def _is_namespace(word: str, attached: Attached) -> bool:
    if not attached.netns:
        return False
    if word in (attached.netns, Path(attached.netns).name):
        return True
    path = f"/proc/{word}/ns/net" if word.isdecimal() else word
    if "/" not in path:
        return False
    try:
        return os.path.samefile(path, attached.netns)  # noqa: PTH121 - follows both
    except OSError:
        return False
