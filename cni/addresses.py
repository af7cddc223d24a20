"""Addresses as the protocol writes them: no scope ids, no netmasks."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1024)  # the plugins of a chain are all given the same result
def is_cidr(text: str) -> bool:
    """Whether `text` is an address with prefix length, such as 10.1.0.5/24 or fd00::5/64."""
    from ipaddress import ip_interface

    address, slash, length = text.partition("/")
    try:
        ip_interface(text)
    except ValueError:
        return False
    return bool(slash) and length.isdecimal() and length.isascii() and "%" not in address


def is_address(text: str) -> bool:
    return "/" not in text and is_cidr(f"{text}/0")
