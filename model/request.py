"""What a runtime asked for, parsed: the input of every plan."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import field

from .blake2 import blake2b
from .resource import Resource
from .result import Result
from .value import Value


class Command(StrEnum):
    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"
    VERSION = "VERSION"


class Attachment(Value, order=True):
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

    @property
    def host_end(self) -> str:
        """What the host's end of its pair is called: known beforehand, and without a record."""
        return "veth" + self.digest("veth", 6).hex()[:11]

    def mac(self, purpose: str) -> str:
        """A locally administered unicast MAC of this attachment's own."""
        return local_mac(self.digest(purpose, 6))


def bridge_mac(host: str, name: str) -> str:
    """What a bridge that we make is given: by it ours is told from another's of that name.

    It is derived from host (`Request.host`) and name, so that two first ADDs at once agree on it,
    and given at creation, so that it does not change when ports come and go.
    """
    return local_mac(Attachment(host, "bridge", name).digest("bridge", 6))


def leg_mac(host: str, name: str) -> str:
    """The same of a bridge's leg in a VLAN."""
    return Attachment(host, "vlan-gateway", name).mac("vlan-gateway")


def local_mac(raw: bytes) -> str:
    """`raw`'s first six bytes as a locally administered unicast MAC."""
    first = (raw[0] & 0xFC) | 0x02
    return bytes((first, *raw[1:6])).hex(":")


class Request(Value):
    """One execution of one plugin.

    `config` is the whole network configuration as it came (keys unfolded), `conf` the
    plugin's own model parsed from it. `netns` is CNI_NETNS to the letter, "" where not
    given. `host` identifies the caller's network namespace on this machine. `first` is for an IPAM
    that has to have the interface (`Plugin.needs_interface`): what makes it, and last sets it up.
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
    first: tuple[Resource, ...] = ()
    memo: dict[str, Any] = field(default_factory=dict)
    """What a plan worked out from the request alone: it is asked again after each answer."""
    common: dict[str, Any] = field(default_factory=dict)
    """What was worked out from `config` alone: every request with the same bytes shares it."""

    @property
    def attachment(self) -> Attachment:
        return Attachment(self.network, self.container, self.interface)
