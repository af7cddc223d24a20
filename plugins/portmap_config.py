"""The keys of `portmap`, and the port mappings a runtime gives it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from pydantic import field_validator, model_validator

from ..cni.config import ConfigModel, NetConf
from ..cni.keys import shown
from ..model.errors import UnsupportedField
from .conditions import Unreadable, compiled

PROTOCOLS = ("tcp", "udp", "sctp")
BACKENDS = ("", "iptables", "nftables")
MAX_PORT = 65535


class PortMapping(ConfigModel):
    """One of the capability `portMappings` (CNI conventions, "Dynamic plugin specific fields").

    After validation `protocol` is in lower case, and `hostIP` an address as Python writes it.
    """

    hostPort: int = 0
    containerPort: int = 0
    protocol: str = "tcp"
    hostIP: str = ""

    @field_validator("hostPort", "containerPort")
    @classmethod
    def _is_a_port(cls, port: int) -> int:
        return _checked_port(port)

    @field_validator("protocol")
    @classmethod
    def _is_known(cls, protocol: str) -> str:
        known = protocol.lower() or "tcp"
        if known not in PROTOCOLS:
            raise ValueError(f"it is none of {', '.join(PROTOCOLS)}")
        return known

    @field_validator("hostIP")
    @classmethod
    def _is_reachable(cls, text: str) -> str:
        return str(_host_address(text)) if text else ""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        for key in ("hostPort", "containerPort"):
            if key not in self.model_fields_set:
                raise ValueError(f"it needs {key}")
        return self

    @property
    def families(self) -> tuple[int, ...]:
        """The IP families it is meant for."""
        return (ip_address(self.hostIP).version,) if self.hostIP else (4, 6)


def _checked_port(port: int) -> int:
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"it is not within 1..{MAX_PORT}")
    return port


def _host_address(text: str) -> IPv4Address | IPv6Address:
    if "%" in text:
        raise ValueError("an address of one interface (with %) can't be published on")
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("it is not an IP address") from None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.is_loopback:
            raise ValueError(
                "the kernel can't send on what arrives at IPv6 loopback: use 127.0.0.1,"
                " or another address of the host"
            )
        if address.is_link_local:
            raise ValueError("what comes from one link (fe80::/10) can't be sent on to another")
    if address.is_multicast:
        raise ValueError("it is a multicast address, not one of a host")
    return address


class RuntimePorts(ConfigModel):
    portMappings: tuple[PortMapping, ...] = ()


class PortmapConf(NetConf):
    """`backend`, `markMasqBit` and `externalSetMarkChain` are accepted and select nothing:
    there is one table, and nobody's mark is needed to masquerade in it.
    """

    snat: bool = True
    masqAll: bool = False
    backend: str = ""
    markMasqBit: int | None = None
    externalSetMarkChain: str = ""
    conditionsV4: tuple[str, ...] = ()
    conditionsV6: tuple[str, ...] = ()
    runtimeConfig: RuntimePorts = RuntimePorts()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.backend not in BACKENDS:
            raise ValueError(f'backend: "{self.backend}" is not iptables or nftables')
        if self.externalSetMarkChain and self.markMasqBit is not None:
            raise ValueError("cannot specify externalSetMarkChain and markMasqBit")
        if self.markMasqBit is not None and not 0 <= self.markMasqBit <= 31:
            raise ValueError(f"markMasqBit: {self.markMasqBit} is not within 0..31")
        for family in (4, 6):
            self.condition(family)
        return self

    def condition(self, family: int) -> str:
        """What must hold of a packet to a published port, in nft's words; "" for nothing.

        Raises `UnsupportedField`.
        """
        key, words = f"conditionsV{family}", getattr(self, f"conditionsV{family}")
        if not "".join(words).strip():
            return ""
        try:
            return compiled(words, family)
        except Unreadable as error:
            raise UnsupportedField(
                f"{key}: {shown(list(words))}: {error} is not supported; source, destination,"
                " incoming interface, protocol and ports are"
            ) from None

    @property
    def mappings(self) -> tuple[PortMapping, ...]:
        ports: RuntimePorts = self.runtimeConfig
        return ports.portMappings
