"""A sample network of each plugin that is known by its name.

They are plain on purpose: what they ask for, every plugin of that name understands.
"""

from __future__ import annotations

from typing import Any

from .subject import CHAINED, IPAM, LOOPBACK, MAIN, Subject

UPLINK = "uplink0"
"""The interface of a host that macvlan, ipvlan and vlan are put on."""
DEVICE = "dev0"
"""The interface that host-device moves into a container."""

_RANGES: dict[str, Any] = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.88.0.0/24"}]],
    "routes": [{"dst": "10.200.0.0/16", "gw": "10.88.0.1"}],
}
_BRIDGE: dict[str, Any] = {
    "type": "bridge",
    "bridge": "cni-test0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": _RANGES,
}
_PORTS = [
    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
    {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
]


def _main(plugin: str, needs: tuple[str, ...] = (), **keys: Any) -> Subject:
    links = tuple(keys[key] for key in ("master", "device") if key in keys)
    return Subject(plugin, MAIN, {"type": plugin, "ipam": _RANGES, **keys}, (), needs, links)


def _chained(plugin: str, needs: tuple[str, ...] = (), **keys: Any) -> Subject:
    return Subject(plugin, CHAINED, {"type": plugin, **keys}, (_BRIDGE,), needs)


def _ipam(plugin: str, ipam: dict[str, Any]) -> Subject:
    return Subject(plugin, IPAM, {"type": plugin, "ipam": ipam})


_STATIC = {
    "type": "static",
    "addresses": [{"address": "10.88.0.7/24", "gateway": "10.88.0.1"}],
    "routes": [{"dst": "10.200.0.0/16", "gw": "10.88.0.1"}],
}

SAMPLES = {
    subject.plugin: subject
    for subject in (
        _chained("bandwidth", ("tbf", "ifb"), ingressRate=10_000_000, ingressBurst=2_000_000,
                 egressRate=10_000_000, egressBurst=2_000_000),
        Subject("bridge", MAIN, _BRIDGE),
        _main("dummy", ("dummy",)),
        _chained("firewall"),
        _main("host-device", device=DEVICE),
        _ipam("host-local", _RANGES),
        _main("ipvlan", ("ipvlan",), master=UPLINK),
        Subject("loopback", LOOPBACK, {"type": "loopback"}),
        _main("macvlan", ("macvlan",), master=UPLINK),
        _chained("portmap", runtimeConfig={"portMappings": _PORTS}),
        _main("ptp", ipMasq=True),
        _chained("sbr"),
        _ipam("static", _STATIC),
        _chained("tuning", sysctl={"net.ipv4.conf.IFNAME.arp_filter": "1"}, mtu=1400),
        _main("vlan", ("vlan",), master=UPLINK, vlanId=7),
        _chained("vrf", ("vrf",), vrfname="blue"),
    )
}  # fmt: skip
