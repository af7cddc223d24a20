"""Containers on a `macvlan` network with `hostAddresses`, and the host's own link beside them."""

from __future__ import annotations

from typing import Any

from drive import MACVLAN_LEG as LEGGED
from drive import Runtime
from scenes import add, container, reaches

LEG = "mv-nic0"
HOST = ("10.6.0.250", "fd00:6::250")


def attached(name: str, config: dict[str, Any] = LEGGED) -> tuple[Runtime, dict[str, Any]]:
    runtime = container(name)
    return runtime, add(config, runtime)


def bare(result: dict[str, Any]) -> list[str]:
    return [each["address"].partition("/")[0] for each in result["ips"]]


def host_reaches(address: str) -> bool:
    return reaches("", address)
