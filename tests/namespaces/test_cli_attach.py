"""`pynet attach` and `detach` as a person without a runtime uses them, and what they say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest
from executables import until
from machine import Machine, bridge

from pynet.testnets.lab.lab import Container, Host


@pytest.fixture
def machine(host: Host) -> Machine:
    return Machine(host)


@pytest.fixture
def c1(host: Host) -> Container:
    return host.container("c1")


def up(container: Container, interface: str) -> bool:
    done = container.run(["ip", "-j", "link", "show", "dev", interface])
    return "UP" in json.loads(done.stdout)[0]["flags"]


def test_a_container_reaches_itself(machine: Machine, c1: Container) -> None:
    """As under a runtime, which sets lo up: a container's own address is reached by that."""
    c1.run(["ip", "link", "set", "lo", "down"])
    machine.pynet("attach", "c1", "web")
    assert up(c1, "lo")
    for address in ("127.0.0.1", *machine.addresses(c1, "eth0")):
        c1.run(["ping", "-c1", "-W2", address], stdout=subprocess.DEVNULL)
    machine.pynet("attach", "c1", "db")
    machine.pynet("detach", "c1", "web")
    assert up(c1, "lo")  # it is the container's, and db's
    machine.pynet("detach", "c1", "db")
    assert up(c1, "lo")


def test_what_fails_leaves_lo_as_it_was(machine: Machine, c1: Container) -> None:
    c1.run(["ip", "link", "set", "lo", "down"])
    machine.pynet("attach", "c1", "nowhere", status=1)
    assert not up(c1, "lo")


def test_loopback_alone_has_no_eth0(machine: Machine, c1: Container) -> None:
    machine.write("lo", {"type": "loopback"})
    assert machine.pynet("attach", "c1", "lo").startswith("c1 is on lo as lo with 127.0.0.1/8")
    assert machine.pynet("detach", "c1", "lo") == "c1 is no longer on lo\n"
    machine.pynet("attach", "c1", "web")
    assert "(eth0 is gone)" in machine.pynet("detach", "c1", "web")


def test_detach_needs_no_network_where_there_is_one(machine: Machine, c1: Container) -> None:
    machine.pynet("attach", "c1", "web")
    assert "no longer on web" in machine.pynet("detach", "c1")
    machine.pynet("attach", "c1", "web")
    machine.pynet("attach", "c1", "db")
    assert "db as eth1, web as eth0" in machine.pynet("detach", "c1", status=1)
    assert "no longer on db" in machine.pynet("detach", "c1", "--ifname", "eth1")


def test_a_name_that_another_namespace_has_by_now(machine: Machine, c1: Container) -> None:
    machine.pynet("attach", "c1", "web")
    machine.end("c1")
    again = machine.host.container("c1")
    assert "c1 is on web as eth0" in machine.pynet("attach", "c1", "web")
    keep = ["sh", "-c", "ip netns exec c1 sleep 600 >/dev/null 2>&1 &"]
    machine.host.run(keep)
    until(lambda: machine.host.run(["ip", "netns", "pids", "c1"]).stdout != b"", "sleep")
    machine.host.delete_container("c1")
    third = machine.host.container("c1")
    said = machine.pynet("attach", "c1", "web", status=1)
    assert "c1 is another namespace than it was" in said
    assert "--ifname to attach it twice" not in said
    run(machine, said)
    machine.pynet("attach", "c1", "web")
    assert machine.links(third) == {"eth0"}
    del again


def test_what_died_halfway_is_called_so_and_counted_once(machine: Machine, c1: Container) -> None:
    machine.write("chain", bridge(3), {"type": "firewall"})
    for plugin, point in (("bridge", 3), ("firewall", 1)):
        die = (
            "import os; from pynet.engine import faults, engine; left = [0]\n"
            "add = engine.Engine.add\n"
            "def counted(self, plugin, request):\n"
            f"    left[0] = {point} if plugin.name == {plugin!r} else 0\n"
            "    return add(self, plugin, request)\n"
            "engine.Engine.add = counted\n"
            "def point():\n"
            "    left[0] -= 1\n"
            "    if left[0] == 0: os.kill(os.getpid(), 9)\n"
            "faults.point = point\n"
            "from pynet.cli.main import main\n"
            "main(['--daemon', 'never', 'attach', 'c1', 'chain'])"
        )
        machine.python(die)
        said = machine.pynet("attach", "c1", "chain", status=1)
        assert "ended halfway" in said, said
        assert "to attach it twice" not in said
        found = machine.pynet("cni", "gc", "chain", "--yes").splitlines()
        assert found == [
            "removed c1 eth0 (its ADD or DEL ended halfway)",
            "chain: attachments: 1 removed, 0 kept",
        ]
        assert machine.links(c1) == set()
        assert machine.json("inspect")["attachments"] == []
        machine.python(die)
        run(machine, machine.pynet("attach", "c1", "chain", status=1))
        machine.pynet("attach", "c1", "chain")
        machine.pynet("detach", "c1", "chain")


def run(machine: Machine, said: str) -> str:
    """What was said advises a command, which a shell is given as it stands."""
    (line,) = re.findall(r"`(pynet [^`]+)`", said)
    return machine.pynet(*shlex.split(line)[1:])


def test_a_name_that_a_terminal_would_obey(machine: Machine) -> None:
    evil = "f\x1b[31mvil"
    machine.host.run(["ip", "netns", "add", evil])
    written = r"f\x1b[31mvil"
    for command, said in (
        (["attach", evil, "web"], f"{written} is on web as eth0"),
        (["detach", evil, "web"], f"{written} is no longer on web"),
    ):
        assert said in (printed := machine.pynet(*command)), printed
        assert "\x1b" not in printed
    said = machine.pynet("attach", "g\x1b[31mone", "web", status=1)
    assert r"`ip netns add $'g\x1b[31mone'`" in said


def test_who_has_a_port_is_said_with_nothing_of_the_newcomer(
    machine: Machine, c1: Container
) -> None:
    machine.host.container("c2")
    machine.write("shop", bridge(5), {"type": "portmap", "capabilities": {"portMappings": True}})
    machine.pynet("attach", "c1", "shop", "--publish", "8080:80")
    said = machine.pynet("attach", "c2", "shop", "--publish", "8080:81", status=1)
    assert "tcp port 8080 of every IPv4 address: container c1 (eth0 on network" in said
    assert "10.5.0.3" not in said


@pytest.mark.parametrize(
    ("address", "said"), [("10.9.0.2", "10.9.0.2 is not in 10.1.0.0/16"), ("fd00::1", "is not in")]
)
def test_an_address_outside(machine: Machine, c1: Container, address: str, said: str) -> None:
    assert said in machine.pynet("attach", "c1", "web", "--ip", address, status=1)


def test_what_is_wrong_with_an_option_is_said_by_its_name(machine: Machine, c1: Container) -> None:
    publisher = {"type": "portmap", "capabilities": {"portMappings": True}}
    machine.write("shop", bridge(5), publisher)
    said = machine.pynet("attach", "c1", "shop", "--publish", "[::1]:81:81", status=1)
    assert "--publish [::1]:81:81" in said, said
    assert "runtimeConfig" not in said
    ports = ["--publish", "8080:80", "--publish", "10.99.9.9:70:70"]
    status, _, note = machine.said("attach", "c1", "shop", *ports)
    assert (status, note.count("\n")) == (0, 1), note
    assert "--publish 10.99.9.9:70:70: 10.99.9.9 is no address of this host" in note


def test_a_gateway_is_one_that_a_route_leads_to(machine: Machine, c1: Container) -> None:
    assert "gateway 10.1.0.1" in machine.pynet("attach", "c1", "web")
    assert "gateway" not in machine.pynet("attach", "c1", "db")
    assert "c1" in machine.pynet("inspect", "10.1.0.1")


def test_arguments_that_no_plugin_takes(machine: Machine, c1: Container) -> None:
    wish = ["--capabilities", '{"ips": ["10.2.0.9/16"], "nothing": 1}']
    status, _, note = machine.said("cni", "add", "db", "c1", *wish)
    assert status == 0
    assert note.startswith("note: no plugin of network db declares the capability nothing")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attach", "c1", "web", "--publish"], "see pynet attach --help"),
        (["cni", "add", "-i"], "see pynet cni add --help"),
        (["--json", "inspect"], "after the command: pynet inspect --json"),
        (["network", "create", "x", "--subnet", "10.1.0.0"], "write it as 10.1.0.0/24"),
        (["network", "create", "x", "--subnet", "fd00:1::"], "write it as fd00:1::/64"),
    ],
)
def test_wrong_usage_names_the_command(machine: Machine, arguments: list[str], said: str) -> None:
    status, out, err = machine.said(*arguments)
    assert (status, said in out + err) == (2, True), out + err
