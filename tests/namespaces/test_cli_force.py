"""`detach --force` and `cni gc --force`: a way out where a plugin's executable is gone for good."""

from __future__ import annotations

import sys

import pytest
from machine import PLUGINS, Machine, bridge, executable

from pynet.testnets.lab.lab import Container, Host

# An IPAM plugin of somebody else's.
LEASES = f"""#!{sys.executable} -IS
import json, os, sys
if os.environ["CNI_COMMAND"] == "ADD":
    print(json.dumps({{"cniVersion": "1.1.0", "ips": [{{"address": "10.3.0.7/16"}}]}}))
"""


@pytest.fixture
def machine(host: Host) -> Machine:
    machine = Machine(host)
    host.call(executable, PLUGINS / "leases", LEASES)
    machine.write("chain", bridge(3), {"type": "theirs"})
    machine.write("leased", bridge(4) | {"ipam": {"type": "leases"}})
    return machine


@pytest.fixture
def c1(host: Host) -> Container:
    return host.container("c1")


def remove(machine: Machine, plugin: str) -> None:
    machine.host.call((PLUGINS / plugin).unlink)


@pytest.mark.parametrize(("network", "plugin"), [("chain", "theirs"), ("leased", "leases")])
def test_detach_goes_past_what_is_gone_and_names_it(
    machine: Machine, c1: Container, network: str, plugin: str
) -> None:
    machine.pynet("attach", "c1", network)
    remove(machine, plugin)
    said = machine.pynet("detach", "c1", network, status=1)
    assert f"`pynet detach c1 {network} --force`" in said
    assert machine.json("detach", "c1", network, status=1)["schema"] == "pynet.error/1"
    first, *left = machine.pynet("detach", "c1", network, "--force", status=1).splitlines()
    assert first == "c1 is detached, and not all of it is gone"
    assert len(left) == 1
    assert left[0].startswith("left: ")
    assert plugin in left[0]
    assert machine.links(c1) == set()
    assert machine.json("inspect")["attachments"] == []
    assert "not attached" in machine.pynet("detach", "c1", network, status=1)


def test_force_that_needs_none_leaves_nothing(machine: Machine, c1: Container) -> None:
    machine.pynet("attach", "c1", "chain")
    assert machine.json("detach", "c1", "chain", "--force")["left"] == []
    assert machine.links(c1) == set()


def test_an_interface_that_stays_is_named(machine: Machine, c1: Container) -> None:
    """It is somebody else's: only his plugin knows how it goes."""
    machine.write("alone", {"type": "alone"})
    machine.host.call(executable, PLUGINS / "alone", LEASES)
    machine.pynet("cni", "add", "alone", "c1")
    c1.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"])
    remove(machine, "alone")
    left = machine.json("detach", "c1", "alone", "--force", status=1)["left"]
    assert left[0].startswith("whatever alone has made for it: there is no plugin")
    assert left[1:] == ["interface eth0 in /run/netns/c1"]


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "recorded"])
@pytest.mark.parametrize(("network", "plugin"), [("chain", "theirs"), ("leased", "leases")])
def test_gc_too(machine: Machine, c1: Container, network: str, plugin: str, cached: bool) -> None:
    machine.pynet("cni", "add", network, "c1", *([] if cached else ["--cache-dir", "/run/other"]))
    machine.end("c1")
    remove(machine, plugin)
    said = machine.pynet("cni", "gc", network, "--yes", status=1)
    assert f"`pynet cni gc {network} --yes --force`" in said
    document = machine.json("cni", "gc", network, "--yes", "--force", status=1)
    assert any(plugin in line for line in document["left"])
    assert machine.json("inspect")["attachments"] == []
