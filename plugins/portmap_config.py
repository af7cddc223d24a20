"""The keys of `portmap`, and the port mappings a runtime gives it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from ..cni.keys import shown
from ..cni.net_conf import NetConf
from ..cni.section import Clash, Section
from ..model.errors import UnsupportedField
from ..model.published import dead_end
from .conditions import Unreadable, compiled

PROTOCOLS = ("tcp", "udp", "sctp")
BACKENDS = ("", "iptables", "nftables")
MAX_PORT = 65535


def _checked_port(port: int) -> int:
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"it is not within 1..{MAX_PORT}")
    return port


def _known_protocol(protocol: str) -> str:
    known = protocol.lower() or "tcp"
    if known not in PROTOCOLS:
        raise ValueError(f"it is none of {', '.join(PROTOCOLS)}")
    return known


def _reachable(text: str) -> str:
    return str(_host_address(text)) if text else ""


def _host_address(text: str) -> IPv4Address | IPv6Address:
    if "%" in text:
        raise ValueError("an address of one interface (with %) can't be published on")
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("it is not an IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    if address.is_multicast:
        raise ValueError("it is a multicast address, not one of a host")
    return address


class PortMapping(Section):
    """One of the capability `portMappings` (CNI conventions, "Dynamic plugin specific fields").

    Once read `protocol` is in lower case, and `hostIP` an address as Python writes it.
    """

    hostPort: Annotated[int, _checked_port] = 0
    containerPort: Annotated[int, _checked_port] = 0
    protocol: Annotated[str, _known_protocol] = "tcp"
    hostIP: Annotated[str, _reachable] = ""

    def check(self) -> None:
        for key in ("hostPort", "containerPort"):
            if key not in vars(self):
                raise Clash(f"it needs {key}", key)

    @property
    def families(self) -> tuple[int, ...]:
        """The IP families it is meant for."""
        return (ip_address(self.hostIP).version,) if self.hostIP else (4, 6)

    @property
    def dead_end(self) -> str:
        """Why nothing that comes for `hostIP` can be sent on; "" where it can."""
        return dead_end(self.hostIP) if self.hostIP else ""


class RuntimePorts(Section):
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

    def check(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f'backend: "{self.backend}" is not iptables or nftables')
        if self.externalSetMarkChain and self.markMasqBit is not None:
            both = "externalSetMarkChain", "markMasqBit"
            raise Clash(f"cannot specify {' and '.join(both)}", *both)
        if self.markMasqBit is not None and not 0 <= self.markMasqBit <= 31:
            raise ValueError(f"markMasqBit: {self.markMasqBit} is not within 0..31")
        for family in (4, 6):
            self.condition(family)

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
