"""`pynet cni add --dry-run`: a chain is planned as a chain, and fails where the ADD would."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import drive
import pytest
from scenes import in_host, run, stderr_of, wait_for, whole
from test_findings import network, pynet

import pynet as package
from pynet.store.store import Store
from pynet.testnets.lab.lab import Host

ROOT = Path(package.__file__).resolve().parent
BRIDGE = {key: value for key, value in drive.BRIDGE.items() if key not in ("name", "cniVersion")}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}, "masqAll": True}
TUNING = {"type": "tuning", "mtu": 1400, "promisc": True, "mac": "02:00:00:00:99:01"}
LIMITS = {key: value for key, value in drive.BANDWIDTH.items() if key not in ("name", "cniVersion")}
MACVLAN = {key: value for key, value in drive.MACVLAN.items() if key not in ("name", "cniVersion")}
FIREWALL = {"type": "firewall", "ingressPolicy": "same-bridge"}
PORTS = """--capabilities '{"portMappings": [{"hostPort": 8080, "containerPort": 80}]}'"""
CHAINS: dict[str, list[dict[str, Any]]] = {
    "tuning": [BRIDGE, TUNING],
    "tuning's sysctls": [
        BRIDGE,
        {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}},
    ],
    "all of them": [BRIDGE, PORTMAP, FIREWALL, TUNING],
    "twice": [BRIDGE, TUNING, {"type": "tuning", "mtu": 1300}],
    "limits": [BRIDGE, LIMITS],
    "limits inside": [MACVLAN, LIMITS],
    "loopback": [{"type": "loopback"}, BRIDGE, TUNING],
}


@pytest.mark.parametrize("chain", CHAINS)
@in_host
def test_what_is_planned_is_what_the_add_makes(chain: str) -> None:
    drive.ready(*(plugin["type"] for plugin in CHAINS[chain]))
    network("web", *CHAINS[chain])
    run("ip netns add c1")
    before = whole()
    ports = PORTS if PORTMAP in CHAINS[chain] else ""
    plan = json.loads(pynet(f"cni add web c1 --dry-run --json {ports}"))
    assert {line for line in whole() - before if not line.startswith("row pool")} == set()
    assert all(each["plannable"] for each in plan["plugins"])
    made = json.loads(pynet(f"cni add web c1 --json {ports}"))
    assert plan["result"] == made["result"]
    planned = [each["description"] for one in plan["plugins"] for each in one["resources"]]
    assert planned == _recorded()


@in_host
def test_the_mtu_of_the_way_out_is_in_the_plan() -> None:
    network("web", BRIDGE)
    run("ip netns add c1")
    assert "in the container, MTU 1500" in pynet("cni add web c1 --dry-run")
    run("ip link add up0 mtu 1400 type veth peer name up1")
    for end in ("up0", "up1"):
        run(f"ip link set {end} up")
    run("ip addr add 192.0.2.2/24 dev up0")
    run("ip route add default via 192.0.2.1")
    planned = pynet("cni add web c1 --dry-run")
    assert "bridge cni0, up, MTU 1400" in planned
    assert "in the container, MTU 1400" in planned


def _recorded() -> list[str]:
    with Store.open(drive.STATE).read() as tx:
        return [step.resource.describe() for one in tx.records() for step in tx.steps(one)]


def refused_alike(words: str) -> str:
    """What the ADD of these words is refused by, as the dry run has said before."""
    before = whole()
    planned = pynet(f"cni add {words} --dry-run", status=1).removeprefix("pynet: ").rstrip()
    assert whole() == before
    said = pynet(f"cni add {words}", status=1)
    assert planned.removesuffix(")").partition(" (")[0] in said
    return planned


@in_host
def test_what_an_add_says_beside_its_result_is_said_too() -> None:
    drive.ready("macvlan")
    network("web", {**MACVLAN, "mode": "passthru", "mac": "02:00:00:00:77:01"})
    run("ip netns add c1")
    said = [stderr_of(lambda way=way: pynet(f"cni add web c1 {way}")) for way in ("--dry-run", "")]
    assert said[0] == said[1]
    assert "mac 02:00:00:00:77:01 has no effect" in said[0]


@in_host
def test_what_an_add_is_refused_by_a_dry_run_is_too() -> None:
    network("web", BRIDGE, PORTMAP)
    network("twice", BRIDGE, {**BRIDGE, "bridge": "cni1"})
    network("two", BRIDGE, {**BRIDGE, "bridge": "cni1", "ipam": {}})
    network("nobody", BRIDGE, {"type": "nosuch"})
    for name in ("c1", "c2", "c3"):
        run(f"ip netns add {name}")
    run("ip -n c3 link add eth0 type bridge")
    assert "eth0 already exists" in refused_alike("web c3")
    assert "duplicate allocation is not allowed" in refused_alike("twice c2")
    assert "eth0 already exists" in refused_alike("two c2")
    assert 'there is no plugin "nosuch"' in refused_alike("nobody c2")
    pynet(f"cni add web c1 {PORTS}")
    assert "already, by an ADD of plugin bridge" in refused_alike(f"web c1 {PORTS}")
    assert "has it already" in refused_alike(f"web c2 {PORTS}")
    run("ip netns del c1")
    wait_for(lambda: "veth" not in run("ip link show type veth"))
    pynet(f"cni add web c2 --dry-run {PORTS}")  # an ADD would take it from the dead
    pynet(f"cni add web c2 {PORTS}")


def test_the_example_of_the_sdk_is_planned_behind_a_bridge(host: Host, tmp_path: Path) -> None:
    (source,) = re.findall(
        r"<!-- test: quiet.py -->\n```python\n(.*?)```",
        (ROOT / "docs" / "sdk.md").read_text(),
        re.DOTALL,
    )
    (tmp_path / "quiet.py").write_text(source)
    info = tmp_path / "quiet-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: pynet-quiet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pynet.plugins]\nquiet = quiet:Quiet\n")
    host.call(lambda: network("web", BRIDGE, {"type": "quiet"}))
    host.container("c1")

    def add(*more: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "pynet.cli", "cni", "add", "web", "c1", "--json", *more]
        path = {"PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
        done = host.run(argv, env=path, check=False)
        assert isinstance(done, subprocess.CompletedProcess)
        assert done.returncode == 0, done.stderr.decode()
        return dict(json.loads(done.stdout))

    plan = add("--dry-run")
    (setting,) = plan["plugins"][1]["resources"]
    assert setting["setting"] == "ipv4/conf/eth0/arp_announce"
    assert plan["result"] == add()["result"]


@in_host
def test_what_only_an_add_can_tell_is_said_and_no_failure() -> None:
    theirs = Path("/opt/cni/bin/their-ipam")
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("#!/bin/sh\nexit 1\n")
    theirs.chmod(0o755)
    network("web", {**BRIDGE, "ipam": {"type": "their-ipam"}}, TUNING)
    run("ip netns add c1")
    said = pynet("cni add web c1 --dry-run")
    assert "bridge: not plannable, /opt/cni/bin/their-ipam leases the address" in said
    assert "tuning: not plannable, it goes on with what bridge answers" in said


@in_host
def test_a_plugin_that_stands_twice_in_a_list_is_refused_before_anything_is_done() -> None:
    network("web", BRIDGE, TUNING, TUNING)
    run("ip netns add c1")
    assert "plugins[2] is the tuning that plugins[1] is already" in refused_alike("web c1")
    assert "plugins[2] is the same as plugins[1]" in pynet("network validate", status=1)
    network("web", BRIDGE, TUNING, {**TUNING, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}})
    pynet("cni add web c1 --dry-run")
    pynet("cni add web c1")


@in_host
def test_what_the_dead_hold_counts_as_free() -> None:
    small = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/30"}]]}
    network("web", {**BRIDGE, "ipam": small})
    for name in ("c1", "c2"):
        run(f"ip netns add {name}")
    pynet("cni add web c1")
    assert "no IP address" in refused_alike("web c2")
    run("ip netns del c1")
    wait_for(lambda: "veth" not in run("ip link show type veth"))
    assert "10.1.0.2/30" in pynet("cni add web c2 --dry-run")
    assert "10.1.0.2/30" in pynet("cni add web c2")
