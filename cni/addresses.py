"""Addresses as the protocol writes them: no scope ids, no netmasks."""

from __future__ import annotations

from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Interface, IPv6Interface


@lru_cache(maxsize=1024)  # the plugins of a chain are all given the same result
def is_cidr(text: str) -> bool:
    """Whether `text` is an address with prefix length, such as 10.1.0.5/24 or fd00::5/64."""
    address, _, length = text.partition("/")
    try:
        inet_pton(AF_INET6 if ":" in address else AF_INET, address)
        return length.isascii() and length.isdecimal() and int(length) <= _bits(address)
    except (OSError, ValueError):
        return False


def _bits(address: str) -> int:
    return 128 if ":" in address else 32


@lru_cache(maxsize=1024)  # of a network's addresses only the container's own is new
def interface_of(text: str) -> IPv4Interface | IPv6Interface:
    """`text` parsed. Raises ValueError."""
    from ipaddress import ip_interface

    return ip_interface(text)


def is_address(text: str) -> bool:
    return "/" not in text and is_cidr(f"{text}/0")
