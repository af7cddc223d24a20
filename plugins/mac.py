"""MAC addresses as configurations give them, and what follows from one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any

from ..cni.keys import get
from ..model.errors import ConfigError
from ..model.request import Request

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


def asked_mac(request: Request, configured: str = "") -> str:
    """The MAC that was asked for, "" for none: `configured`, overridden by CNI_ARGS MAC, then by
    args.cni.mac, then by runtimeConfig.mac.

    Raises `ConfigError` for what is not a unicast MAC address.
    """
    found = request.args.get("MAC", "") or configured
    for source in (request.conf.cni_args, request.runtime_config):
        found = _text(source, "mac") or found
    return unicast_mac(found)


def _text(source: Mapping[str, Any], key: str) -> str:
    value = get(source, key) or ""
    if not isinstance(value, str):
        raise ConfigError(f"{key}: {value!r} is not a string")
    return value


def link_local(mac: str) -> IPv6Address:
    """The address that Linux gives an interface with this MAC (RFC 4291, appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(
        b"\xfe\x80".ljust(8, b"\0") + bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:]
    )
