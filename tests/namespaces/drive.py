"""Plugin calls as a runtime makes them, for tests: warm in this process, or by the executables.

Everything here runs inside a fake host of a lab (`host.call(add, ...)`), where /run/pynet,
the nftables tables and the network are the host's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lan

from pynet.daemon import one_shot
from pynet.daemon.serve import Services, serve
from pynet.engine import faults
from pynet.model.errors import NewerLayout
from pynet.store.failure import Newer

STATE = Path("/run/pynet")

BRIDGE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "bridge",
    "bridge": "cni0",
    "isDefaultGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
    },
}
PLAIN_BRIDGE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
}
LOOPBACK: dict[str, Any] = {"cniVersion": "1.1.0", "name": "web", "type": "loopback"}
HOST_LOCAL: dict[str, Any] = {**BRIDGE, "type": "host-local"}
STATIC: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "static",
    "ipam": {"type": "static", "addresses": [{"address": "10.9.0.5/24", "gateway": "10.9.0.1"}]},
}
TUNING: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "tuning",
    "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1", "net/core/somaxconn": "500"},
    "mac": "02:00:00:00:99:01",
    "promisc": True,
    "mtu": 1400,
    "allmulti": True,
    "txQLen": 500,
}
BANDWIDTH: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "bandwidth",
    "ingressRate": 8_000_000,
    "ingressBurst": 800_000,
    "egressRate": 16_000_000,
    "egressBurst": 800_000,
}
PORTMAP: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "portmap",
    "masqAll": True,
    "runtimeConfig": {
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 8080, "containerPort": 80, "protocol": "udp"},
            {"hostPort": 8443, "containerPort": 443, "protocol": "tcp", "hostIP": "127.0.0.1"},
        ]
    },
}
FIREWALL: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "firewall",
    "ingressPolicy": "isolated",
}
MACVLAN: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "lan",
    "type": "macvlan",
    "master": lan.PARENT,
    "ipam": {"type": "host-local", "subnet": "10.6.0.0/24"},
}
MACVLAN_LEG: dict[str, Any] = {
    **MACVLAN,
    "hostAddresses": ["10.6.0.250", "fd00:6::250"],
    "ipam": {
        "type": "host-local",
        "ranges": [
            [{"subnet": "10.6.0.0/24", "rangeEnd": "10.6.0.99"}],
            [{"subnet": "fd00:6::/64", "rangeEnd": "fd00:6::99"}],
        ],
    },
}
PTP: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "pairs",
    "type": "ptp",
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.8.0.0/24"}], [{"subnet": "fd00:8::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}
NETKIT: dict[str, Any] = {**PTP, "device": "netkit"}
LIMITED_INSIDE: dict[str, Any] = {
    **BANDWIDTH,
    "name": MACVLAN["name"],
    "unshapedSubnets": ["10.6.0.0/30", "fd00:6::/126"],
}
"""Behind macvlan, whose interface has no end on the host."""
HOST_DEVICE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "cards",
    "type": "host-device",
    "device": lan.CARDS[0],
    "ipam": {"type": "host-local", "subnet": "10.7.0.0/24"},
}
TAP: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "machines",
    "type": "tap",
    "multiQueue": True,
    "owner": 0,
    "ipam": {"type": "host-local", "subnet": "10.3.0.0/24"},
}
SBR: dict[str, Any] = {"cniVersion": "1.1.0", "name": "web", "type": "sbr"}
CONFIGS = {
    "bandwidth": BANDWIDTH,
    "bridge": BRIDGE,
    "firewall": FIREWALL,
    "host-device": HOST_DEVICE,
    "host-local": HOST_LOCAL,
    "loopback": LOOPBACK,
    "macvlan": MACVLAN,
    "portmap": PORTMAP,
    "ptp": PTP,
    "sbr": SBR,
    "static": STATIC,
    "tap": TAP,
    "tuning": TUNING,
}
BEFORE: dict[str, tuple[dict[str, Any], ...]] = {
    "bandwidth": (BRIDGE,),
    "firewall": (BRIDGE,),
    "portmap": (BRIDGE,),
    "sbr": (BRIDGE,),
    "tuning": (BRIDGE,),
    "vrf": (BRIDGE,),
}
"""What stands before a chained plugin in its network's list."""
_LEASED = {"type": "host-local", "subnet": "10.6.0.0/24"}
STACKED: dict[str, dict[str, Any]] = {
    "dummy": {"cniVersion": "1.1.0", "name": "lan", "type": "dummy", "ipam": _LEASED},
    "ipvlan": {**MACVLAN, "type": "ipvlan"},
    "vlan": {**MACVLAN, "type": "vlan", "vlanId": 7},
}
"""Links that a plugin makes by itself."""
VRF: dict[str, Any] = {"cniVersion": "1.1.0", "name": "web", "type": "vrf", "vrfname": "red"}
NOT_EVERYWHERE: dict[str, dict[str, Any]] = {**STACKED, "vrf": VRF}
"""What the kernel that `scripts/vm` boots can make, and not every other."""
if "PYNET_VM" in os.environ:
    CONFIGS |= NOT_EVERYWHERE
READY: dict[str, Callable[[], None]] = {
    "host-device": lan.insert_cards,
    **dict.fromkeys(("ipvlan", "macvlan", "vlan"), lan.wire),
}
"""What gives a host what a plugin needs there; others need nothing."""


def ready(*plugins: str) -> None:
    """Give this host what they need; nothing where it has that."""
    for plugin in plugins:
        if plugin in READY:
            READY[plugin]()


@dataclass
class Outcome:
    status: int
    stdout: bytes

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails the test where there is not exactly one."""
        return json.loads(self.stdout) if self.stdout else None

    @property
    def code(self) -> int:
        return int(self.document["code"]) if self.status else 0


@dataclass
class Runtime:
    """Who calls: a container's namespace path and what goes with it."""

    container: str = "c1"
    netns: str = "/run/netns/c1"
    interface: str = "eth0"
    environ: dict[str, str] = field(default_factory=dict)

    def environment(self, command: str) -> dict[str, str]:
        return {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self.container,
            "CNI_NETNS": self.netns,
            "CNI_IFNAME": self.interface,
            "CNI_PATH": "/opt/cni/bin",
            "PATH": os.environ.get("PATH", ""),
            **self.environ,
        }


def call(
    command: str,
    config: Any,
    runtime: Runtime | None = None,
    services: Services | None = None,
) -> Outcome:
    """One plugin call in this process, as the daemon and the one-shot serve it."""
    runtime = runtime or Runtime()
    stdin = config if isinstance(config, bytes) else json.dumps(config).encode()
    plugin = config["type"] if isinstance(config, dict) else "bridge"
    return raw_call(plugin, runtime.environment(command), stdin, services)


def prepare(plugin: str, runtime: Runtime) -> dict[str, Any]:
    """ADD what stands before `plugin`; its configuration, with the result of that."""
    ready(plugin)
    result = None
    for config in BEFORE.get(plugin, ()):
        outcome = call("ADD", config, runtime)
        assert outcome.status == 0, outcome.stdout
        result = outcome.document
    return {**CONFIGS[plugin], **({"prevResult": result} if result else {})}


def dismantle(plugin: str, runtime: Runtime) -> None:
    """DEL what stands before `plugin`."""
    for config in reversed(BEFORE.get(plugin, ())):
        outcome = call("DEL", config, runtime)
        assert outcome.status == 0, outcome.stdout


def raw_call(
    plugin: str, environ: dict[str, str], stdin: bytes, services: Services | None = None
) -> Outcome:
    """What the one-shot's `main` does, but for leaving a daemon behind."""
    handler = partial(serve, services=services or Services(STATE))
    try:
        reply = one_shot.run(handler, plugin, environ, stdin)
    except (Newer, NewerLayout) as error:
        reply = one_shot.error_reply(error)
    return Outcome(reply.status, reply.stdout)


def killed_at(count: int, command: str, config: Any, runtime: Runtime) -> Outcome:
    """The same, but this process is killed at its `count`-th fault point."""
    faults.arm(count)
    return call(command, config, runtime)
