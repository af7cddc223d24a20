"""An MTU that somebody has changed in a container: seen, and mended before what it has taken."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from pynet.testnets.lab.lab import Host

RANGES = [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd00:7::/64"}]]
IPAM: dict[str, Any] = {
    "type": "host-local",
    "ranges": RANGES,
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
BRIDGE: dict[str, Any] = {"type": "bridge", "bridge": "br7", "isGateway": True, "ipam": IPAM}
PTP: dict[str, Any] = {"type": "ptp", "ipam": IPAM}
TUNING: dict[str, Any] = {"type": "tuning", "mtu": 1400}


def pynet(host: Host, *words: str) -> tuple[int, str]:
    done = host.run([sys.executable, "-m", "pynet.cli", *words], check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def attach(host: Host, *plugins: dict[str, Any]) -> None:
    document = {"cniVersion": "1.0.0", "name": "web", "plugins": plugins}
    script = "mkdir -p /etc/cni/net.d; cat > /etc/cni/net.d/web.conflist"
    host.run(["sh", "-c", script], input=json.dumps(document).encode())
    host.container("c1")
    status, said = pynet(host, "attach", "c1", "web")
    assert status == 0, said


def inside(host: Host) -> list[str]:
    """Its MTU, addresses and routes, without the link-local ones, which come by themselves."""
    (link,) = json.loads(host.run(["ip", "-n", "c1", "-j", "addr", "show", "eth0"]).stdout)
    addresses = [one["local"] for one in link["addr_info"] if one["scope"] == "global"]
    routes = [
        line.split(" metric ")[0]
        for family in ("-4", "-6")
        for line in host.run(["ip", "-n", "c1", family, "route"]).stdout.decode().splitlines()
        if not line.startswith("fe80::")
    ]
    return sorted([str(link["mtu"]), *addresses, *routes])


@pytest.mark.parametrize("mtu", [1200, 1300])
@pytest.mark.parametrize(
    ("plugins", "has"),
    [
        ([BRIDGE], 1500),
        ([PTP], 1500),
        ([BRIDGE, TUNING], 1400),
        ([PTP, TUNING], 1400),
    ],
    ids=["bridge", "ptp", "bridge tuning", "ptp tuning"],
)
def test_one_reload_puts_all_of_it_back(
    host: Host, plugins: list[dict[str, Any]], has: int, mtu: int
) -> None:
    attach(host, *plugins)
    before = inside(host)
    host.run(["ip", "-n", "c1", "link", "set", "eth0", "mtu", str(mtu)])
    status, said = pynet(host, "inspect")
    assert status == 1
    assert f"MTU is {mtu}, should be {has}" in said
    status, said = pynet(host, "reload")
    assert status == 0, said
    assert inside(host) == before
    assert pynet(host, "inspect")[0] == 0


def test_the_host_s_end_is_looked_at_too(host: Host) -> None:
    attach(host, BRIDGE)
    (link,) = json.loads(host.run(["ip", "-j", "link", "show", "type", "veth"]).stdout)
    host.run(["ip", "link", "set", link["ifname"], "mtu", "1300"])
    assert f"{link['ifname']}: MTU is 1300, should be 1500" in pynet(host, "inspect")[1]
    assert pynet(host, "reload")[0] == 0
    (now,) = json.loads(host.run(["ip", "-j", "link", "show", "type", "veth"]).stdout)
    assert now["mtu"] == 1500


def test_what_somebody_else_s_tuning_was_told_is_right(host: Host) -> None:
    """The reference's sets an MTU, and does not say so in its result."""
    host.run(["sh", "-c", "mkdir -p /opt/cni/bin && cp /usr/lib/cni/tuning /opt/cni/bin/"])
    attach(host, BRIDGE, TUNING)
    assert pynet(host, "inspect")[0] == 0
    before = inside(host)
    assert "1400" in before
    host.run(["ip", "-n", "c1", "link", "set", "eth0", "mtu", "1200"])
    assert "MTU is 1200, should be 1400" in pynet(host, "inspect")[1]
    assert pynet(host, "reload")[0] == 0
    assert inside(host) == before
    assert pynet(host, "cni", "check", "web", "c1", "--container-id", "c1")[0] == 0
