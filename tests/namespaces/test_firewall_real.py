"""firewall beside a real dockerd and a real firewalld, each in a fake host of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from executables import daemon, until
from reachability import OUTSIDE, Site, reached

from pynet.testnets.lab.lab import Host, Lab, Process

DOCKER = "/run/docker-test"
BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow send_type="signal"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""


def need(**packages: str) -> None:
    for command, package in packages.items():
        if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip(f"there is no {command} here: apt-get install {package}")


def start(lab: Lab, host: Host, *argv: str) -> Process:
    """It is ended with the lab."""
    null = subprocess.DEVNULL
    process = host.popen(argv, stdin=null, stdout=null, stderr=null)

    def end() -> None:
        process.kill()
        process.wait()

    lab.at_close(end)
    return process


def succeeds(host: Host, *argv: str) -> bool:
    return host.run(argv, check=False).returncode == 0


def start_docker(lab: Lab, host: Host) -> Process:
    """dockerd with all of its state in the fake host. It turns forwarding on, and drops."""
    host.run(["mkdir", DOCKER])
    place = ["--data-root", f"{DOCKER}/data", "--exec-root", f"{DOCKER}/exec"]
    socket = f"unix://{DOCKER}/socket"
    dockerd = start(lab, host, "dockerd", *place, "--pidfile", f"{DOCKER}/pid", "-H", socket)
    until(lambda: succeeds(host, "docker", "-H", socket, "version"), "dockerd does not answer")
    return dockerd


def start_firewalld(lab: Lab, host: Host, folder: Path) -> Process:
    (folder / "bus.conf").write_text(BUS)
    host.run(["mkdir", "-p", "/run/dbus", "/run/firewalld"])
    start(lab, host, "dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork")
    until(lambda: succeeds(host, "test", "-S", "/run/dbus/system_bus_socket"), "no bus")
    return run_firewalld(lab, host)


def run_firewalld(lab: Lab, host: Host) -> Process:
    firewalld = start(lab, host, "firewalld", "--nofork", "--nopid")
    until(lambda: succeeds(host, "firewall-cmd", "--state"), "firewalld does not answer")
    return firewalld


def filter_table(host: Host) -> str:
    return host.run(["iptables-nft", "-S"]).stdout.decode()


@pytest.mark.real_root
def test_dockerd(lab: Lab) -> None:
    need(dockerd="docker.io", docker="docker.io")
    started: list[Process] = []
    before: list[str] = []

    def prepare(host: Host) -> None:
        started.append(start_docker(lab, host))
        before.append(filter_table(host))
        assert "-P FORWARD DROP" in before[0]

    site = Site.of(lab, prepare=prepare)
    assert site.ways_through()
    assert site.closed("v4")
    for served in site.all:
        site.succeed("CHECK", served)
    started[0].terminate()
    started[0].wait(20)
    # Its chains stay, and so does what they drop.
    assert "-P FORWARD DROP" in filter_table(site.host)
    assert site.ways_through()
    for served in site.all:
        site.release(served)
    assert filter_table(site.host) == before[0]


@pytest.mark.real_root
def test_dockerd_that_comes_later_and_goes_again(lab: Lab) -> None:
    """The daemon lets those through who are attached already, as long as they need it."""
    need(dockerd="docker.io", docker="docker.io")
    site = Site.of(lab)
    forwarding_off = ["sysctl", "-w", "net.ipv4.ip_forward=0"]
    site.host.run(forwarding_off)
    with daemon(site.host):
        until(lambda: forwards(site.host), "a daemon that starts does not mend forwarding")
        # Where forwarding is on already dockerd drops nothing: as before the first container.
        site.host.run(forwarding_off)
        dockerd = start_docker(lab, site.host)
        assert "-P FORWARD DROP" in filter_table(site.host)
        until(lambda: "pynet: cni1" in filter_table(site.host), "dockerd is not noticed")
        until(site.ways_through, "there is no way through")
        assert "-A DOCKER-USER -m comment" in filter_table(site.host)
        dockerd.terminate()
        dockerd.wait(20)
        assert site.ways_through(), "its chains are still there, and drop"
        site.host.run(["iptables-nft", "-P", "FORWARD", "ACCEPT"])
        until(lambda: "pynet" not in filter_table(site.host).lower(), "ours is left in its chains")
        assert "-N DOCKER-USER" in filter_table(site.host)
        assert site.ways_through()


def forwards(host: Host) -> bool:
    said = host.run(["sysctl", "-n", "net.ipv4.ip_forward"], stdout=subprocess.PIPE).stdout
    return bool(said.strip() == b"1")


@pytest.mark.real_root
def test_dockerd_that_comes_later_is_noticed_at_the_next_add(lab: Lab) -> None:
    """Without the daemon."""
    need(dockerd="docker.io", docker="docker.io")
    site = Site.of(lab)
    site.host.run(["sysctl", "-w", "net.ipv4.ip_forward=0"])
    start_docker(lab, site.host)
    assert not reached(site.ask("itself", "tcp", OUTSIDE["v4"], 80, hopeful=False))
    for served in (site.neighbour, site.other):
        site.release(served)
        site.guard(served)
    assert site.ways_through()


def test_firewalld(lab: Lab, tmp_path: Path) -> None:
    need(firewalld="firewalld", **{"dbus-daemon": "dbus"})

    def zone(name: str) -> list[str]:
        asked = ["firewall-cmd", f"--zone={name}", "--list-interfaces"]
        return sorted(site.host.run(asked).stdout.decode().split())

    site = Site.of(lab, prepare=lambda host: start_firewalld(lab, host, tmp_path))
    assert site.ways_through()
    assert site.closed()
    assert zone("trusted") == ["cni0", "cni1"]
    for served in site.all:
        site.succeed("CHECK", served)
    site.host.run(["firewall-cmd", "--zone=trusted", "--remove-interface=cni1"])
    outcome = site.call("CHECK", site.other)
    assert outcome.code == 101
    assert "interface cni1" in outcome.document["msg"]
    for served in site.all:
        site.release(served)
    assert zone("trusted") == []
    # One that somebody has put in a zone stays there.
    site.host.run(["firewall-cmd", "--zone=internal", "--add-interface=cni0"])
    site.guard(site.target)
    site.release(site.target)
    assert zone("internal") == ["cni0"]


def test_firewalld_that_comes_later_and_goes_again(lab: Lab, tmp_path: Path) -> None:
    need(firewalld="firewalld", **{"dbus-daemon": "dbus"})

    def trusted() -> list[str]:
        asked = ["firewall-cmd", "--zone=trusted", "--list-interfaces"]
        return sorted(site.host.run(asked, check=False).stdout.decode().split())

    site = Site.of(lab)
    with daemon(site.host):
        firewalld = start_firewalld(lab, site.host, tmp_path)
        until(lambda: trusted() == ["cni0", "cni1"], "firewalld is not noticed")
        assert site.ways_through()
        site.host.run(["firewall-cmd", "--complete-reload"])
        until(lambda: trusted() == ["cni0", "cni1"], "what it forgot is not put back")
        assert site.ways_through()
        site.release(site.other)
        assert trusted() == ["cni0"]
        firewalld.terminate()
        firewalld.wait(20)
        until(lambda: site.call("CHECK", site.target).status == 0, "its zone is still needed")
        assert site.ways_through()
    for served in (site.target, site.neighbour):
        site.release(served)
