"""Links of the host's to be lent: how one is, and a card that `host-device` gives a container."""

from __future__ import annotations

from typing import Any

import lan
from drive import HOST_DEVICE, Runtime
from scenes import add, container, ip, run

CARD, OTHER = lan.CARDS
RANGES = [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd00:7::/64"}]]
ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
DUAL = {**HOST_DEVICE, "ipam": {"type": "host-local", "ranges": RANGES, "routes": ROUTES}}
NAMELESS = {key: value for key, value in HOST_DEVICE.items() if key != "device"}
PLAIN = {key: value for key, value in HOST_DEVICE.items() if key != "ipam"}


def inserted() -> dict[str, Any]:
    """How a card is that an administrator has set up."""
    lan.insert_cards()
    run(f"ip link set {CARD} mtu 1380 txqueuelen 77 up")
    run(f"ip link set {CARD} alias uplink-7")
    run(f"ip addr add 192.0.2.1/24 dev {CARD}")
    return dict(shown(CARD))


def attached(config: dict[str, Any], name: str = "c1") -> tuple[Runtime, dict[str, Any]]:
    runtime = container(name)
    return runtime, add(config, runtime)


def shown(name: str = "nic0", netns: str = "") -> Any:
    """What is to be as it was: the index is another where somebody has taken it meanwhile."""
    (link,) = ip(f"-d addr show dev {name}", netns)
    flags = sorted({"UP", "PROMISC", "ALLMULTI"} & set(link["flags"]))
    kept = {key: link.get(key) for key in ("ifname", "address", "mtu", "txqlen", "master")}
    told = [
        f"{each['local']}/{each['prefixlen']}"
        for each in link["addr_info"]
        if each["scope"] != "link"
    ]
    return {**kept, "alias": link.get("ifalias"), "flags": flags, "addresses": sorted(told)}
