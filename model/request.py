"""What a runtime asked for, parsed: the input of every plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from .result import Result


class Command(StrEnum):
    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"
    VERSION = "VERSION"


@dataclass(frozen=True, order=True)
class Attachment:
    """One container's place on one network, under one interface name.

    CNI spec 1.1.0, "Attachment": network name, CNI_CONTAINERID, CNI_IFNAME.
    """

    network: str
    container: str
    interface: str

    def digest(self, purpose: str, size: int) -> bytes:
        """`size` bytes that differ for each attachment and purpose, and are always the same."""
        text = f"{purpose}\0{self.network}\0{self.container}\0{self.interface}"
        return blake2b(text.encode(), digest_size=size).digest()

    def mac(self, purpose: str) -> str:
        """A locally administered unicast MAC of this attachment's own."""
        return local_mac(self.digest(purpose, 6))


def local_mac(raw: bytes) -> str:
    """`raw`'s first six bytes as a locally administered unicast MAC."""
    first = (raw[0] & 0xFC) | 0x02
    return ":".join(f"{byte:02x}" for byte in (first, *raw[1:6]))


@dataclass(frozen=True)
class Request:
    """One execution of one plugin.

    `config` is the whole network configuration as it came (keys unfolded), `conf` the
    plugin's own model parsed from it. `netns` is CNI_NETNS to the letter, "" where not
    given. `host` identifies the caller's network namespace on this machine.
    """

    command: Command
    plugin: str
    network: str
    container: str
    interface: str
    cni_version: str
    config: Mapping[str, Any]
    conf: Any = None
    netns: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    runtime_config: Mapping[str, Any] = field(default_factory=dict)
    prev_result: Result | None = None
    valid_attachments: frozenset[tuple[str, str]] | None = None
    host: str = ""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What a plan worked out from the request alone: it is asked again after each answer."""
    common: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out from `config` alone: every request with the same bytes shares it."""

    @property
    def attachment(self) -> Attachment:
        return Attachment(self.network, self.container, self.interface)
