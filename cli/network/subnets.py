"""Which subnets a new network may have: none that this host, or another network, uses.

What is in use is told apart by who uses it, so that a refusal names the very route or network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from ...model.errors import ConfigError

Subnet: TypeAlias = IPv4Network | IPv6Network

POOL = IPv4Network("10.224.0.0/11")
"""Where an IPv4 subnet is looked for: /24 after /24, apart from Podman's and Docker's defaults."""
_LENGTH = 24
_TRIES = 256


@dataclass(frozen=True)
class Used:
    """`owner` is for people: "route 10.0.0.0/8 via eth0", "network web"."""

    subnet: Subnet
    owner: str
    device: str = ""
    """Of a route."""


def parsed(texts: Iterable[str]) -> list[Subnet]:
    """At most one of each IP family. Raises ValueError."""
    found: list[Subnet] = []
    for text in texts:
        try:
            subnet = ip_network(text)
            if "/" not in text:
                raise ValueError(f"{text} has no prefix length")
        except ValueError as error:
            raise ValueError(f"{error}; write it as {_as_meant(text)}") from None
        if purpose := _not_for_networks(subnet):
            raise ValueError(
                f"{text}: these are {purpose} addresses, which no container can have;"
                " leave --subnet away to have one chosen"
            )
        if subnet.prefixlen > subnet.max_prefixlen - 2:
            raise ValueError(f"{text}: it is too small to give out addresses from")
        if any(other.version == subnet.version for other in found):
            raise ValueError(f"{text}: a network has one subnet of IPv{subnet.version}")
        found.append(subnet)
    return found


def _as_meant(text: str) -> str:
    """The subnet that an address with its prefix length is in; for anything else an example."""
    if "/" not in text:
        text += "/64" if ":" in text else "/24"
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return "10.1.0.0/24"


def _not_for_networks(subnet: Subnet) -> str:
    """What else the addresses are for; "" for those that hosts have. RFC 6890, section 2.2."""
    purposes = {
        "loopback": subnet.is_loopback,
        "link-local": subnet.is_link_local,
        "multicast": subnet.is_multicast,
        "unspecified": subnet.network_address.is_unspecified,
        "reserved": subnet.version == 4 and subnet.is_reserved,
    }
    return next((purpose for purpose, holds in purposes.items() if holds), "")


def refuse_used(subnet: Subnet, used: Iterable[Used], bridge: str) -> None:
    """Raises `ConfigError` that names what `subnet` overlaps with, but for its own `bridge`.

    That stands where the network's file was lost, and containers are connected by it.
    """
    for other in _in_the_way(subnet, used):
        if other.device == bridge:
            continue
        raise ConfigError(
            f"--subnet {subnet} overlaps with {other.owner}: choose another one, or leave"
            " --subnet away to have one chosen"
        )


def chosen(network: str, machine: str, used: Iterable[Used]) -> list[Subnet]:
    """A /24 of IPv4 and a /64 of IPv6 that nobody uses. Raises `ConfigError` where there is none.

    IPv6's is a unique local prefix (RFC 4193, section 3.2) of this machine and network.
    """
    listed = list(used)
    candidates = {"IPv4": _subnets_4(), "IPv6": _subnets_6(network, machine)}
    return [_free(subnets, listed, family) for family, subnets in candidates.items()]


def _free(candidates: Iterable[Subnet], used: list[Used], family: str) -> Subnet:
    for subnet in candidates:
        if not any(_in_the_way(subnet, used)):
            return subnet
    raise ConfigError(f"no {family} subnet is free for a new network: choose one by --subnet")


def _in_the_way(subnet: Subnet, used: Iterable[Used]) -> Iterator[Used]:
    return (
        other
        for other in used
        if other.subnet.version == subnet.version and other.subnet.overlaps(subnet)
    )


def _subnets_4() -> Iterator[Subnet]:
    return POOL.subnets(new_prefix=_LENGTH)


def _subnets_6(network: str, machine: str) -> Iterator[Subnet]:
    for attempt in range(_TRIES):
        text = f"{machine}\0{network}\0{attempt}"
        raw = b"\xfd" + blake2b(text.encode(), digest_size=7).digest() + bytes(8)
        yield IPv6Network((raw, 64))
