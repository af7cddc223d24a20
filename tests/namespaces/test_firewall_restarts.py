"""Real firewalls, alone and together: started, reloaded, flushed, stopped and started again.

Each time containers that are attached get through, by hand as with the daemon, and what pynet says
is so.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import drive
import pytest
from executables import Executables, daemon, until
from published import ask, start_servers
from reachability import HOST, LENGTH, OUTSIDE, SIDES, Site, all_reached
from references import REFERENCE, needs_reference
from test_firewall_foreign import BOTH, listing, tables
from test_firewall_orders import is_fine, is_let_through, reload
from test_firewall_real import DOCKER, need, run_firewalld, start_docker, start_firewalld

from pynet.cli.reload import _reload
from pynet.testnets.lab.lab import Container, Host, Lab

WAYS = ("by hand", "by the daemon")


def settle(site: Site, how: str, event: str) -> None:
    """All is mended, and pynet has said so."""
    if how == "by hand":
        done = reload(site.host)
        assert not done.left and not done.failures, (event, done)
    until(lambda: is_fine(site.host), f"{event}: it is not mended")
    assert is_let_through(site), event
    site.succeed("CHECK", site.target)


def served(host: Host, how: str) -> AbstractContextManager[object]:
    return nullcontext() if how == "by hand" else daemon(host)


def ufw(host: Host, *words: str) -> None:
    host.run(["ufw", *words], stdout=subprocess.DEVNULL)


def prepare_ufw(host: Host) -> None:
    """Its settings are the fake host's own."""
    host.run(["cp", "-a", "/etc/ufw", "/run/etc-ufw"])
    host.run(["mount", "--bind", "/run/etc-ufw", "/etc/ufw"])


def empty(host: Host) -> None:
    """`iptables -F; iptables -X`, in one transaction.

    Between the two the daemon may have put its chain back, which can't be deleted then.
    """
    for program in BOTH:
        host.run([f"{program}-nft-restore"], input=b"*filter\nCOMMIT\n")


@pytest.mark.real_root
@pytest.mark.parametrize("how", WAYS)
def test_ufw(lab: Lab, how: str) -> None:
    need(ufw="ufw")
    site = Site.of(lab, prepare=prepare_ufw)
    init = "/lib/ufw/ufw-init"
    events: dict[str, Callable[[], object]] = {
        "it is enabled": lambda: ufw(site.host, "--force", "enable"),
        "it is reloaded": lambda: ufw(site.host, "reload"),
        "a rule is added": lambda: ufw(site.host, "allow", "22/tcp"),
        "all is flushed": lambda: empty(site.host),
        "it writes its chains again": lambda: site.host.run([init, "force-reload"], check=False),
        "it is stopped": lambda: site.host.run([init, "stop"]),
        "it is started": lambda: site.host.run([init, "start"]),
        # Of a chain that we put back meanwhile it says that it can't be deleted, and goes on.
        "it flushes everything": lambda: site.host.run([init, "flush-all"], check=False),
        "it is started after that": lambda: site.host.run([init, "start"]),
    }
    with served(site.host, how):
        for event, happen in events.items():
            happen()
            settle(site, how, event)
        for one in site.all:
            site.release(one)
    assert "pynet" not in listing(site.host, "nft").lower()


@pytest.mark.real_root
def test_docker_and_ufw(lab: Lab) -> None:
    need(dockerd="docker.io", docker="docker.io", ufw="ufw")
    site = Site.of(lab, prepare=prepare_ufw)
    site.host.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"])  # else dockerd drops nothing
    dockerd = start_docker(lab, site.host)

    def restart() -> None:
        nonlocal dockerd
        dockerd.terminate()
        dockerd.wait(20)
        site.host.run(["rm", "-rf", DOCKER])
        dockerd = start_docker(lab, site.host)

    events: dict[str, Callable[[], object]] = {
        "ufw is enabled": lambda: ufw(site.host, "--force", "enable"),
        "FORWARD is flushed": lambda: tables(site.host, "nft", "-F FORWARD"),
        "dockerd is started again": restart,
        "all is flushed": lambda: tables(site.host, "nft", "-F"),
        "ufw is reloaded": lambda: ufw(site.host, "reload"),
        "dockerd is started once more": restart,
        "ufw is disabled": lambda: ufw(site.host, "disable"),
    }
    settle(site, "by hand", "dockerd is started")
    for how, listed in (("by hand", [*events][:3]), ("by the daemon", [*events][3:])):
        with served(site.host, how):
            for event in listed:
                events[event]()
                settle(site, how, event)


@pytest.mark.parametrize("how", WAYS)
def test_firewalld(lab: Lab, tmp_path: Path, how: str) -> None:
    need(firewalld="firewalld", **{"dbus-daemon": "dbus"})
    site = Site.of(lab)
    firewalld = start_firewalld(lab, site.host, tmp_path)

    def stop() -> None:
        firewalld.terminate()
        firewalld.wait(20)

    def restart() -> None:
        nonlocal firewalld
        stop()
        firewalld = run_firewalld(lab, site.host)

    command = ["firewall-cmd"]
    events: dict[str, Callable[[], object]] = {
        "it is started": lambda: None,
        "it is reloaded": lambda: site.host.run([*command, "--reload"]),
        "it is reloaded whole": lambda: site.host.run([*command, "--complete-reload"]),
        "a bridge leaves its zone": lambda: site.host.run(
            [*command, "--zone=trusted", "--remove-interface=cni0"]
        ),
        "all is flushed": lambda: site.host.run(["nft", "flush", "ruleset"]),
        "it is started again": restart,
        "it is stopped": stop,
    }
    with served(site.host, how):
        for event, happen in events.items():
            happen()
            settle(site, how, event)


LEGACY = """*filter
:INPUT ACCEPT [0:0]
:FORWARD {policy} [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i lan0 -j ACCEPT
{last}
COMMIT
"""
"""As somebody has it in /etc/iptables, whatever else stands there."""


def test_a_script_of_iptables_legacy(lab: Lab) -> None:
    site = Site.of(lab)

    def load(text: str) -> None:
        for program in ("iptables", "ip6tables"):
            site.host.run([f"{program}-legacy-restore"], input=text.encode())

    def saved() -> bytes:
        return site.host.run(["iptables-legacy-save"]).stdout

    by_policy = LEGACY.format(policy="DROP", last="")
    by_rule = LEGACY.format(policy="ACCEPT", last="-A FORWARD -j REJECT")
    for text in (by_policy, by_rule, by_rule, by_policy):
        load(text)
        settle(site, "by hand", text)
    with_ours = saved()
    tables(site.host, "legacy", "-F")
    settle(site, "by hand", "it is flushed")
    site.host.run(["iptables-legacy-restore"], input=with_ours)
    settle(site, "by hand", "what was saved beside us is loaded")
    load(LEGACY.format(policy="ACCEPT", last=""))
    settle(site, "by hand", "nothing is dropped")
    assert b"PYNET" not in saved()
    site.host.run(["iptables-legacy-restore"], input=with_ours)
    for one in site.all:
        site.release(one)
    reload(site.host)
    assert b"pynet" not in saved()


# --- firewalld where there is no bridge ----------------------------------------------------------


def pair_by_reference(host: Host, container: Container) -> dict[str, Any]:
    """The reference's `ptp`: its result names the host's end."""
    ranges = [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    leases = {"type": "host-local", "dataDir": "/run/leases", "ranges": ranges, "routes": routes}
    config = {"cniVersion": "1.0.0", "name": "pairs", "type": "ptp", "ipam": leases}
    outcome = Executables(REFERENCE).call(host, "ADD", config)
    assert outcome.status == 0, outcome.stdout
    result: dict[str, Any] = outcome.document
    return result


def pair_by_hand(host: Host, container: Container) -> dict[str, Any]:
    """As others have it: with routes to the container alone, and nothing of the host's named."""
    pair = "ip link add cali1 type veth peer name eth0 netns c1"
    for command in (pair, "ip link set cali1 up"):
        host.run(command.split())
    container.run(["ip", "link", "set", "eth0", "up"])
    for version, address, gateway in (
        ("-4", "10.1.0.2", "10.9.0.1"),
        ("-6", "fd00:1::2", "fd09::1"),
    ):
        nodad = " nodad" if version == "-6" else ""
        host.run(f"ip {version} addr add {gateway} dev cali1{nodad}".split())
        host.run(f"ip {version} route add {address} dev cali1".split())
        for words in (
            f"addr add {address} dev eth0{nodad}",
            f"route add {gateway} dev eth0",
            f"route add default via {gateway} dev eth0",
        ):
            container.run(["ip", version, *words.split()])
    ips = [{"address": one, "interface": 0} for one in ("10.1.0.2/32", "fd00:1::2/128")]
    sandbox = {"name": "eth0", "sandbox": container.path}
    return {"cniVersion": "1.0.0", "interfaces": [sandbox], "ips": ips}


@needs_reference("ptp")
@pytest.mark.parametrize("connect", [pair_by_reference, pair_by_hand])
def test_firewalld_without_a_bridge(
    lab: Lab, tmp_path: Path, connect: Callable[[Host, Container], dict[str, Any]]
) -> None:
    need(firewalld="firewalld", **{"dbus-daemon": "dbus"})
    host, outside = lab.host("h1"), lab.host("outside")
    ends = [tuple(f"{side[family]}/{LENGTH[family]}" for family in LENGTH) for side in SIDES]
    lab.wire(host, "out0", outside, "eth0", addresses=(ends[0], ends[1]))
    for subnet, gateway in (("10.1.0.0/24", HOST["v4"]), ("fd00:1::/64", HOST["v6"])):
        outside.run(["ip", "route", "add", subnet, "via", gateway])
    host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
    start_servers(lab, outside)
    start_firewalld(lab, host, tmp_path)
    container = host.container("c1")
    result = connect(host, container)
    config = {"cniVersion": "1.0.0", "name": "pairs", "type": "firewall", "prevResult": result}

    def reaches(patience: float = 2.0) -> bool:
        asked = [
            host.fork_call(ask, "tcp", address, 80, patience, netns=container)
            for address in OUTSIDE.values()
        ]
        return all_reached(asked)

    def done(command: str) -> int:
        return host.call(drive.call, command, config).code

    assert not reaches(0.6)
    assert done("ADD") == 0
    assert reaches()
    assert done("CHECK") == 0
    host.run(["firewall-cmd", "--complete-reload"])
    host.call(_reload)
    assert reaches()
    assert done("DEL") == 0
    assert not reaches(0.6)
    shown = ["firewall-cmd", "--zone=trusted", "--list-interfaces"]
    assert host.run(shown, stdout=subprocess.PIPE).stdout.split() == []
