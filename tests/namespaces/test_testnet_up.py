"""Testnets that are up: who reaches whom, how it is addressed, and what links do to packets."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from testnet_scenes import BACK, WEB, container, link, reaches, topology, wait_until

from pynet.testnets.lab.forked import LabError
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.topology import (
    Container,
    Impairment,
    Membership,
    Network,
    Node,
    Topology,
)


@pytest.fixture(scope="module")
def net() -> Iterator[Testnet]:
    with Testnet.up(topology()) as testnet:
        yield testnet


def serve(ready: int, count: int) -> list[str]:
    """The addresses of the next `count` callers of port 80."""
    with socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        os.close(ready)
        callers = []
        for _ in range(count):
            connection, peer = server.accept()
            connection.close()
            callers.append(peer[0].removeprefix("::ffff:"))
        return callers


def call_port(address: str, port: int) -> None:
    socket.create_connection((address, port), timeout=3).close()


# --- what is up -----------------------------------------------------------------------------


def test_hosts_and_containers_reach_each_other(net: Testnet) -> None:
    h1, h2, a, b = (net.place(name) for name in ("h1", "h2", "a", "b"))
    assert reaches(h1, h2) == [True, True]
    assert reaches(a, b) == [True, True]
    assert (a.kind, h1.kind, sorted(net.links)) == ("container", "host", ["h1 -- sw", "h2 -- sw"])
    assert {text.rpartition(".")[0] for text in a.addresses if "." in text} == {"10.1.0"}
    assert a.interfaces["eth0"][0].endswith("/24")


def test_a_published_port_leads_into_the_container(net: Testnet) -> None:
    listening, ready = os.pipe()
    server = net.place("a").fork_call(serve, ready, 2)
    os.close(ready)
    with os.fdopen(listening, "rb") as told:
        told.read()
    h1, h2 = net.place("h1"), net.place("h2")
    for family in (4, 6):
        h2.call(call_port, h1.address(family), 8080)
    assert server.wait() == [h2.address(4), h2.address(6)]


def test_pynet_itself_knows_the_containers(net: Testnet) -> None:
    host = net.lab.hosts["h1"]
    assert json.loads(host.run(["cat", "/etc/cni/net.d/web.conflist"]).stdout)["name"] == "web"
    records = host.run(["ls", "/run/pynet"]).stdout.decode().split()
    assert "pynetd.sock" in records
    assert net.lab.hosts["h2"].run(["ls", "/opt/cni"]).stdout == b""


def test_a_place_that_is_not_there_is_named(net: Testnet) -> None:
    with pytest.raises(LabError, match="no 'c' in this testnet; there is h1, h2, a, b"):
        net.place("c")


def test_a_router_forwards_between_its_links() -> None:
    routed = Topology(
        nodes={
            "h1": Node(),
            "h2": Node(),
            "r": Node(kind="router"),
            "out": Node(kind="external"),
        },
        links=(link("h1", "r"), link("h2", "r"), link("r", "out")),
    )
    with Testnet.up(routed) as net:
        assert reaches(net.place("h1"), net.place("h2")) == [True, True]
        assert net.place("out").addresses[:2] == ("203.0.113.1", "2001:db8:ffff::1")
        assert reaches(net.place("h1"), net.place("out")) == [True, True]


def test_the_first_network_with_a_way_out_is_the_default_route() -> None:
    both = topology(
        networks={
            "back": BACK,
            "web": WEB,
            "more": Network(hosts=("h1",), subnets=("10.3.0.0/24",)),
        },
        containers={"a": container("back", "web", "more")},
    )
    with Testnet.up(both) as net:
        a = net.place("a")
        assert list(a.interfaces) == ["eth0", "eth1", "eth2"]
        ways = a.run(["ip", "-4", "route", "show", "default"]).stdout.decode().splitlines()
        assert [way.split()[4] for way in ways] == ["eth1"]
        assert reaches(a, net.place("h2")) == [True, True]


def test_addresses_and_macs_that_are_asked_for_are_given() -> None:
    membership = Membership(network="web", ips=("10.1.0.77", "fd00:1::77"), mac="02:00:00:00:00:77")
    one = Container(host="h1", networks=(membership,))
    with Testnet.up(topology(containers={"a": one})) as net:
        assert net.place("a").addresses == ("10.1.0.77", "fd00:1::77")
        shown = net.place("a").run(["ip", "-o", "link", "show", "eth0"]).stdout
        assert b"02:00:00:00:00:77" in shown


def test_a_command_of_a_container_runs_inside_and_its_output_is_kept() -> None:
    argv = ("sh", "-c", "hostname; ip -o -4 address show eth0; exec sleep 1000")
    with Testnet.up(topology(containers={"a": container("web", run=argv)})) as net:
        log = Path(f"/proc/{net.lab.hosts['h1'].pid}/root/var/log/containers/a.log")
        wait_until(lambda: "10.1.0.2/24" in log.read_text())
        assert log.read_text().startswith("h1\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("no-such-command",), "'no-such-command' could not be started in a: there is no such"),
        (("sh", "-c", "no-such-command"), "'no-such-command' could not .* not found"),
        (("sh", "-c", "exec no-such-command -x"), "'exec no-such-command -x' could not be"),
        (("sh", "-c", "cd / && /etc"), "Permission denied"),
    ],
)
def test_a_command_that_is_not_there_is_refused_by_name(argv: tuple[str, ...], says: str) -> None:
    missing = topology(containers={"a": container("web", run=argv)})
    with pytest.raises(LabError, match=says):
        Testnet.up(missing)


def test_a_lab_that_stands_is_told_of_such_a_command_too() -> None:
    with Testnet.up(topology(containers={"b": container("web")})) as net:
        added = {"a": container("web", run=("sh", "-c", "no-such-command"))}
        with pytest.raises(LabError, match="could not be started in a"):
            net.converge(topology(containers={"b": container("web"), **added}))


@pytest.mark.parametrize(
    "command", [":", "exit 3", "read line <>/run/pipe", "sleep 60", "exec cat"]
)
def test_what_a_command_is_and_how_it_ends_is_its_own_business(command: str) -> None:
    text = f"mkfifo /run/pipe 2>/dev/null; {command}"
    with Testnet.up(topology(containers={"a": container("web", run=("sh", "-c", text))})) as net:
        assert reaches(net.place("a"), net.place("h1")) == [True, True]


def test_a_lab_has_no_name_server_to_wait_for() -> None:
    """Of a name in /etc/hosts with one address, the other one is asked for by DNS."""
    outside = topology(
        nodes={"h1": Node(), "out": Node(kind="external")}, links=(link("h1", "out"),)
    )
    with Testnet.up(outside) as net:
        h1 = net.place("h1")
        h1.run(
            ["nft", "-f", "-"],
            input=b"""
            table inet seen {
                counter asked {}
                chain output {
                    type filter hook output priority 0
                    oifname != "lo" meta l4proto { tcp, udp } th dport 53 counter name asked
                }
            }""",
        )
        assert h1.run(["getent", "hosts", "nobody"], check=False).returncode != 0
        assert b"packets 0 " in h1.run(["nft", "list", "counter", "inet", "seen", "asked"]).stdout


def test_what_a_plugin_refuses_is_said_with_container_and_network() -> None:
    full = Network(hosts=("h1",), subnets=("10.1.0.0/30",))
    many = {name: container("web") for name in ("a", "b")}
    with pytest.raises(LabError, match=r"container '[ab]' .* network 'web': ADD of bridge failed"):
        Testnet.up(topology(networks={"web": full}, containers=many))


def test_sysctls_and_mtu_are_as_wanted() -> None:
    nodes = {
        "h1": Node(sysctls={"net.ipv4.conf.eth0.rp_filter": "2"}),
        "h2": Node(sysctls={"net.ipv4.ip_forward": "1"}),
    }
    small = topology(nodes=nodes, links=(link("h1", "h2", mtu=1400),), containers={}, networks={})
    with Testnet.up(small) as net:
        h1, h2 = (net.lab.hosts[name] for name in ("h1", "h2"))
        assert h1.run(["cat", "/proc/sys/net/ipv4/conf/eth0/rp_filter"]).stdout == b"2\n"
        assert h2.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == b"1\n"
        assert h2.run(["cat", "/sys/class/net/eth0/mtu"]).stdout == b"1400\n"


# --- links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [False, True], ids=["at a switch", "between hosts"])
def test_a_link_that_was_down_is_as_before(direct: bool) -> None:
    nodes = {"h1": Node(), "h2": Node(), "sw": Node(kind="switch")}
    links = (link("h1", "h2"),) if direct else (link("h1", "sw"), link("h2", "sw"))
    with Testnet.up(topology(nodes=nodes, links=links, networks={}, containers={})) as net:
        h1, h2 = net.place("h1"), net.place("h2")
        first = next(iter(net.links.values()))
        assert reaches(h1, h2) == [True, True]
        first.down()
        assert reaches(h1, h2) == [False, False]
        first.up()
        # Who has just asked in vain for a neighbour's MAC asks again a second later.
        wait_until(lambda: reaches(h1, h2) == [True, True])


def test_loss_is_for_a_while_and_in_both_directions(net: Testnet) -> None:
    h1, h2 = net.place("h1"), net.place("h2")
    with net.links["h1 -- sw"].impaired(Impairment(loss=1.0)):
        assert reaches(h1, h2) == [False, False]
        assert reaches(h2, h1) == [False, False]
    wait_until(lambda: reaches(h1, h2) == [True, True])


def test_a_rate_holds_back_what_is_more() -> None:
    slow = topology(
        links=(link("h1", "sw", impairment=Impairment(rate=1_000_000)), link("h2", "sw")),
        networks={},
        containers={},
    )
    with Testnet.up(slow) as net:
        live = net.links["h1 -- sw"]
        descriptor = live.open_network(1)
        os.close(descriptor)
        shown = net.place("h1").run(["tc", "qdisc", "show", "dev", "eth0"]).stdout.decode()
        assert "rate 1Mbit" in shown
        live.impair(Impairment())
        shown = net.place("h1").run(["tc", "qdisc", "show", "dev", "eth0"]).stdout.decode()
        assert "rate" not in shown
