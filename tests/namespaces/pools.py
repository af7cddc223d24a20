"""IPAM for tests: configurations, and containers that need no namespace of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from drive import Runtime

Config = dict[str, Any]

BASE: Config = {"cniVersion": "1.1.0", "name": "web", "type": "host-local"}


def config(plugin: str = "host-local", **ipam: Any) -> Config:
    return {**BASE, "type": plugin, "ipam": {"type": "host-local", **ipam}}


def ranges(*sets: Sequence[str]) -> list[list[dict[str, str]]]:
    return [[{"subnet": subnet} for subnet in one] for one in sets]


def given(result: Config) -> list[str]:
    return [address["address"] for address in result["ips"]]


def runtime(number: int = 1, **environ: str) -> Runtime:
    """host-local alone needs no namespace that exists but in its environment."""
    return Runtime(f"c{number}", "/run/netns/any", environ=environ)


@pytest.fixture(autouse=True)
def any_namespace(host: Any) -> None:
    host.container("any")


SMALL = config(subnet="10.1.0.0/29")
DUAL = config(ranges=ranges(["10.1.0.0/24"], ["fd00:1::/64"]))
ROUTES = [
    {"dst": "192.0.2.0/24"},
    {"dst": "198.51.100.0/24", "gw": "10.1.0.9", "mtu": 1300, "advmss": 1200, "priority": 50},
    {"dst": "203.0.113.0/24", "table": 100},
    {"dst": "203.0.114.0/24", "scope": 253},
    {"dst": "fd00:99::/64", "priority": 77},
]


def static(*addresses: Config, **more: Any) -> Config:
    return {**BASE, "type": "static", "ipam": {"type": "static", "addresses": addresses, **more}}


FIXED = {"address": "10.9.0.5/24", "gateway": "10.9.0.1"}
