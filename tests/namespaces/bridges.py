"""Networks of `bridge` for tests, and what `ip` and `bridge` show of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scenes import entered, ip, lines, run

Config = dict[str, Any]

DUAL: Config = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
}
PLAIN: Config = {"cniVersion": "1.1.0", "name": "web", "type": "bridge", "bridge": "cni0"}
LAYER_2 = PLAIN
ADDRESSED: Config = {**PLAIN, "ipam": DUAL}


def config(**keys: Any) -> Config:
    return {**ADDRESSED, **keys}


def with_result(config: Config, result: Config) -> Config:
    return {**config, "prevResult": result}


def link(name: str, netns: str = "") -> Any:
    (found,) = ip(f"-d link show {name}", netns)
    return found


def port(result: Config) -> Any:
    """The bridge's port as `bridge link` shows it."""
    name = result["interfaces"][1]["name"]
    found: Any
    (found,) = json.loads(run(f"bridge -j -d link show dev {name}"))
    return found


def addresses(name: str, netns: str = "") -> set[str]:
    prefix = f"address {name} "
    return {line[len(prefix) :] for line in lines(netns) if line.startswith(prefix)}


def routes(netns: str = "") -> set[str]:
    return {line.removeprefix("route ") for line in lines(netns) if line.startswith("route ")}


def sysctl(key: str, netns: str = "") -> str:
    with entered(netns):
        return Path("/proc/sys/net", key).read_text().strip()


FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
IN_SUBNET = {"10.1.0.0/24 None eth0", "fd00:1::/64 None eth0"}
FULL = config(isDefaultGateway=True, ipMasq=True, macspoofchk=True, hairpinMode=True)
