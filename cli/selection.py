"""Which attachments a word means: any noun a person may know one of them by."""

from __future__ import annotations

import os
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

from .attached import Attached

NOUNS = (
    "a network, a container id or its beginning, an interface (the container's or the host's), "
    "a bridge, a namespace (path or name), a pid, a MAC or an IP address"
)


def choose(attachments: list[Attached], words: list[str]) -> tuple[list[Attached], list[str]]:
    """Those that any of `words` means (all without a word), and the words that mean none."""
    if not words:
        return attachments, []
    meant = {word: _meant(word, attachments) for word in words}
    unmatched = [word for word, found in meant.items() if not found]
    chosen = {id(attached) for found in meant.values() for attached in found}
    return [attached for attached in attachments if id(attached) in chosen], unmatched


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
    )
    macs = (attached.mac, attached.host_mac)
    return (
        word in names
        or word.lower().replace("-", ":") in macs
        or _is_address(word, attached)
        or _is_namespace(word, attached)
    )


def _is_address(word: str, attached: Attached) -> bool:
    wanted = _packed(word)
    return wanted != b"" and wanted in map(_packed, attached.addresses)


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
