"""MAC addresses as configurations give them."""

from __future__ import annotations

import re

from ..model.errors import ConfigError

_MAC = re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")
_NO_MAC = "00:00:00:00:00:00"


def unicast_mac(text: str) -> str:
    """`text` as the kernel writes it: lower case, colons; "" stays "".

    Raises `ConfigError` for what is not a unicast MAC address.
    """
    mac = text.lower().replace("-", ":")
    if text and (not _MAC.fullmatch(text) or int(mac[:2], 16) & 1 or mac == _NO_MAC):
        raise ConfigError(f'mac: "{text}" is not a unicast MAC address (six bytes as in 02:..)')
    return mac
