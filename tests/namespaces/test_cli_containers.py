"""`pynet attach` and `detach` of containers that a runtime runs: one container, under one id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import COMMANDS, Machine, executable

from pynet.testnets.lab.lab import Container, Host

ID = "52ba91c04e7f" + "0123456789abc" * 4
CACHED = Path(f"/var/lib/cni/results/web-{ID}-eth0")
CLIENT = """#!/bin/sh
[ "$1 $2 $3" = "inspect --type container" ] || exit 125
for noun; do :; done
[ "$noun" = shop ] || exit 125
echo {} {}
"""


@pytest.fixture
def c1(host: Host) -> Container:
    return host.container("c1")


@pytest.fixture
def pid(machine: Machine, c1: Container) -> Iterator[str]:
    """Of a process in c1, inside the host."""
    with machine.host.popen(["sleep", "600"], netns=c1) as process:
        try:
            while not (found := machine.host.run(["ip", "netns", "pids", "c1"]).stdout.split()):
                pass
            yield found[0].decode()
        finally:
            process.kill()


@pytest.fixture
def podmans(machine: Machine, c1: Container) -> None:
    """c1 is on web, by a runtime whose libcni does not write down where its namespace is."""
    machine.pynet("cni", "add", "web", "c1", "--container-id", ID)
    machine.host.call(_forget_its_place)


def _forget_its_place() -> None:
    document = json.loads(CACHED.read_text())
    del document["netns"]
    CACHED.write_text(json.dumps(document))


def ids(machine: Machine) -> list[str]:
    return [one["container"] for one in machine.json("inspect")["attachments"]]


@pytest.mark.parametrize("noun", [ID, ID[:12], "pid", "c1"])
def test_whom_a_runtime_has_attached_is_found_by_any_noun(
    machine: Machine, c1: Container, pid: str, podmans: None, noun: str
) -> None:
    said = machine.pynet("attach", pid if noun == "pid" else noun, "db")
    assert "is on db as eth1" in said
    assert ids(machine) == [ID, ID]
    assert "already, as eth0" in machine.pynet("attach", pid, "web", status=1)
    machine.pynet("detach", ID[:12], "db")
    machine.pynet("detach", pid, "web")
    assert machine.links(c1) == set()
    assert ids(machine) == []


def test_whom_a_runtime_has_attached_is_taken_off_by_cnis_verbs_too(
    machine: Machine, c1: Container, podmans: None
) -> None:
    assert machine.json("cni", "del", "web", "c1")["containerID"] == ID
    assert machine.links(c1) == set()


def test_by_a_name_that_only_its_runtime_knows(machine: Machine, c1: Container, pid: str) -> None:
    machine.host.call(executable, COMMANDS / "podman", CLIENT.format(ID, pid))
    assert machine.json("attach", "shop", "web")["containerID"] == ID
    assert machine.json("attach", pid, "db")["containerID"] == ID
    assert machine.json("detach", "shop", "db")["containerID"] == ID
    assert ids(machine) == [ID]
    machine.pynet("detach", ID, "web")
    assert "no container that runs here" in machine.pynet("attach", "shopp", "web", status=1)


def test_one_that_has_been_started_again_is_attached_where_it_is_now(
    machine: Machine, c1: Container, podmans: None
) -> None:
    machine.end("c1")
    said = machine.pynet("attach", ID, "db", status=1)
    assert said == (
        "pynet: no network namespace of container 52ba91c04e7f is found here"
        " (/run/netns/c1 is none): start it, or give the path of its namespace\n"
    )
    machine.pynet("detach", ID, "web")
