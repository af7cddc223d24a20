"""Podman 4, backend CNI, on pynet's plugins: bridge, portmap, firewall and tuning in a chain."""

from __future__ import annotations

import json
import socket

import pytest
from clients import Answer, ask_from_host, eventually
from containerd import Containerd
from evidence import but_idle_bridge, nothing_left, rest, rows
from podman import Podman

from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import CommandFailed, Host
from pynet.testnets.live.installed import PYNET

HOST4, HOST6 = HOST_ADDRESSES[socket.AF_INET], HOST_ADDRESSES[socket.AF_INET6]
SUBNETS = {"front": ("10.5.0.0/24", "fd00:5::/64"), "back": ("10.6.0.0/24",)}


@pytest.fixture
def networks(podman: Podman) -> None:
    for name in SUBNETS:
        create(podman, name)


@pytest.fixture
def baseline(host: Host, podman: Podman) -> set[str]:
    """All there is once a container and its network have come and gone."""
    create(podman, "front")
    podman.run("first", "--network", "front", "--publish", "8080:80")
    remove(podman, "first")
    podman.podman("network", "rm", "front")
    return host.call(rest)


def create(podman: Podman, name: str) -> None:
    subnets = [word for subnet in SUBNETS[name] for word in ("--subnet", subnet)]
    family = ["--ipv6"] if len(SUBNETS[name]) > 1 else []
    podman.podman("network", "create", *family, *subnets, name)


def remove(podman: Podman, *names: str) -> None:
    podman.podman("rm", "--force", "--time", "0", *names)


def test_published_ports(host: Host, internet: Internet, podman: Podman, networks: None) -> None:
    ports = ["--publish", "8080:80", "--publish", "127.0.0.1:8081:80"]
    podman.run("server", "--network", "front", *ports)
    podman.run("client", "--network", "front")
    outside = internet.outside
    assert ask_from_host(outside, HOST4, 8080) == Answer("server", "192.0.2.1")
    assert ask_from_host(outside, HOST6, 8080) == Answer("server", "2001:db8:1::1")
    with pytest.raises(OSError):
        outside.call(socket.create_connection, (HOST4, 8081), 3)
    for address, port in ((HOST4, 8080), (HOST6, 8080), ("127.0.0.1", 8080), ("127.0.0.1", 8081)):
        assert ask_from_host(host, address, port).name == "server"
    for asking in ("client", "server"):
        assert podman.ask(asking, HOST4, 8080).name == "server"
    assert podman.ask("client", podman.address("server")).caller == podman.address("client")
    host.run([*PYNET, "inspect"])  # CHECK of all; it fails the test where anything has changed


def test_two_networks_and_chosen_addresses(podman: Podman, networks: None) -> None:
    podman.run(
        "both",
        *("--network", "front:ip=10.5.0.77,mac=02:00:00:00:00:77,interface_name=eth0"),
        *("--network", "back:interface_name=eth1"),
    )
    alone = ["--ip", "10.6.0.78", "--mac-address", "02:00:00:00:00:78"]
    podman.run("alone", "--network", "back", *alone)
    assert podman.address("both") == "10.5.0.77"
    assert podman.ask("both", "10.6.0.78") == Answer("alone", podman.address("both", "eth1"))
    for name, mac in (("both", "02:00:00:00:00:77"), ("alone", "02:00:00:00:00:78")):
        assert podman.inside(name, "cat", "/sys/class/net/eth0/address").strip() == mac
    podman.podman("network", "disconnect", "back", "both")
    assert "eth1" not in podman.inside("both", "ip", "link")
    podman.podman("network", "connect", "front", "alone")
    assert podman.ask("alone", "10.5.0.77") == Answer("both", podman.address("alone", "eth1"))


def test_a_container_of_podmans_on_another_network_by_any_noun(
    host: Host, podman: Podman, networks: None
) -> None:
    """Podman's libcni does not write down where the namespace is; the container keeps its id."""
    podman.run("server", "--network", "front")
    asked = podman.podman("inspect", "--format", "{{.Id}} {{.State.Pid}}", "server").split()
    for noun in (*asked, asked[0][:12]):
        done = host.run([*PYNET, "attach", noun, "back", "--json"], env={"PYNET_DAEMON": "never"})
        assert json.loads(done.stdout)["containerID"] == asked[0]
        assert "eth1" in podman.inside("server", "ip", "link")
        host.run([*PYNET, "detach", noun, "back"])
    inspected = json.loads(host.run([*PYNET, "inspect", "--json"]).stdout)
    assert [one["container"] for one in inspected["attachments"]] == [asked[0]]


def test_an_address_that_is_taken(podman: Podman, networks: None, host: Host) -> None:
    podman.run("one", "--network", "back", "--ip", "10.6.0.5")
    before = host.call(rest)
    with pytest.raises(CommandFailed, match=r"10\.6\.0\.5"):
        podman.run("two", "--network", "back", "--ip", "10.6.0.5")
    assert nothing_left(before, host.call(rest)) == []


def test_ports_of_a_container_on_two_networks(
    host: Host, internet: Internet, podman: Podman, networks: None
) -> None:
    """Podman has them published once for each network; they lead to it by the first."""
    podman.run("server", "--network", "front", "--network", "back", "--publish", "8080:80")
    assert ask_from_host(internet.outside, HOST4, 8080) == Answer("server", "192.0.2.1")
    host.run([*PYNET, "inspect"])
    with pytest.raises(CommandFailed, match="has it already"):
        podman.run("other", "--network", "back", "--publish", "8080:80")
    podman.podman("network", "disconnect", "front", "server")
    host.run([*PYNET, "inspect"])
    assert ask_from_host(internet.outside, HOST4, 8080).name == "server"
    remove(podman, "server")
    podman.run("another", "--network", "back", "--publish", "8080:80")
    assert ask_from_host(internet.outside, HOST4, 8080).name == "another"


def test_restart_and_kill(host: Host, internet: Internet, podman: Podman, networks: None) -> None:
    """Podman itself asks for DEL where a container ended by itself, by what it leaves behind."""
    podman.run("server", "--network", "front", "--publish", "8080:80")
    podman.podman("restart", "--time", "0", "server")
    assert ask_from_host(internet.outside, HOST4, 8080).name == "server"
    pid = podman.podman("inspect", "--format", "{{.State.Pid}}", "server").strip()
    host.run(["kill", "-KILL", pid])
    eventually(lambda: nobody_attached(host))
    podman.podman("start", "server")
    assert ask_from_host(internet.outside, HOST4, 8080).name == "server"
    podman.podman("stop", "--time", "0", "server")
    nobody_attached(host)


def nobody_attached(host: Host) -> None:
    """Raises `OSError` where the store has anything."""
    if found := host.call(rows):
        raise OSError(f"still on record: {found}")


def test_reload(host: Host, internet: Internet, podman: Podman, networks: None) -> None:
    """`podman network reload`: DEL and ADD under a running container, its address kept."""
    podman.run("server", "--network", "front", "--publish", "8080:80")
    address = podman.address("server")
    host.run(["nft", "flush", "ruleset"])
    podman.podman("network", "reload", "--all")
    assert podman.address("server") == address
    assert ask_from_host(internet.outside, HOST4, 8080) == Answer("server", "192.0.2.1")


def test_nothing_is_left(host: Host, podman: Podman, baseline: set[str]) -> None:
    for name in SUBNETS:
        create(podman, name)
    for number in range(3):
        networks = ["--network", "front", "--network", "back"]
        ports = ["--publish", f"{8080 + number}:80"]
        ports += ["--publish", f"5{number}00-5{number}09:5000-5009/udp"]
        podman.run(f"c{number}", *networks, *ports)
    remove(podman, "c0", "c1")
    podman.podman("network", "rm", "--force", "--time", "0", "front", "back")
    left = nothing_left(baseline, host.call(rest))
    for bridge in ("cni-podman1", "cni-podman2"):
        left = but_idle_bridge(left, bridge)
    assert left == []


def test_containers_of_podman_and_containerd_on_one_network(
    host: Host, podman: Podman, containerd: Containerd
) -> None:
    """Each takes its configuration from the same file."""
    create(podman, "front")
    podman.run("pod", "--network", "front", "--publish", "8080:80")
    containerd.run("ctr")
    for family in (4, 6):
        at = {"pod": podman.address("pod", family=family)}
        at["ctr"] = containerd.address("ctr", family=family)
        assert podman.ask("pod", at["ctr"]) == Answer("ctr", at["pod"])
        assert containerd.ask("ctr", at["pod"]) == Answer("pod", at["ctr"])
    assert containerd.ask("ctr", "10.5.0.1", 8080).name == "pod"
    remove(podman, "pod")
    assert ask_from_host(host, containerd.address("ctr")).name == "ctr"
    host.run([*PYNET, "inspect"])
