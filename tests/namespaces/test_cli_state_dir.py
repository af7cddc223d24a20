"""Plugins installed with a state directory of their own: every command looks where they do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli_install import ALLOWED, BIN, Person

from pynet.testnets.lab.lab import Host

ELSEWHERE = ("--state-dir", "/srv/pynet", "--socket", "/srv/pynet/daemon.sock")


@pytest.fixture
def person(host: Host) -> Iterator[Person]:
    person = Person(host, Path(sys.executable))
    host.run(["sh", "-c", "mount -t tmpfs -o mode=755 tmpfs /srv"])
    host.container("c1")
    yield person


@pytest.fixture
def elsewhere(person: Person) -> Person:
    """c1 is attached by plugins that keep their state in /srv/pynet."""
    person.succeeds("install", ALLOWED, *ELSEWHERE)
    person.succeeds("network", "create", "web")
    person.succeeds("attach", "c1", "web")
    return person


def test_commands_look_where_the_installed_plugins_do(elsewhere: Person) -> None:
    status, said, where = elsewhere.pynet("inspect")
    assert (status, "1 attachment, all as made" in said) == (0, True)
    assert where == "state: /srv/pynet, as the plugins in /opt/cni/bin have it\n"
    (listed,) = json.loads(elsewhere.succeeds("network", "ls", "--json"))["networks"]
    assert listed["attachments"] == 1
    assert "1 attached" in elsewhere.succeeds("network", "show", "web")
    status, _, complaint = elsewhere.pynet("network", "rm", "web")
    assert status == 1
    assert "in use by c1" in complaint
    found = json.loads(elsewhere.pynet("status", "--json")[1])
    assert found["daemon"]["socket"] == "/srv/pynet/daemon.sock"
    assert found["store"]["attachments"] == 1
    words = ("store", "attachments", "tables", "networks")
    assert not [each for each in found["findings"] if each.startswith(words)]
    assert "all is as recorded (1 attachment" in elsewhere.succeeds("reload")
    elsewhere.succeeds("detach", "c1", "web")
    assert not elsewhere.host.call(Path("/run/pynet").exists)


def test_whoever_names_a_directory_gets_that_one(elsewhere: Person) -> None:
    elsewhere.host.run(["mkdir", "-p", "/run/pynet"])
    status, said, where = elsewhere.pynet("--state-dir", "/run/pynet", "inspect")
    assert where == ""
    assert "they are on record in /srv/pynet: `pynet --state-dir /srv/pynet inspect`" in said
    assert "lost" not in said
    assert status == 1
    elsewhere.succeeds("install", ALLOWED, "--bin-dir", "/opt/cni/plain")
    elsewhere.host.container("c2")
    where = elsewhere.pynet("attach", "c2", "web", "--plugin-dir", "/opt/cni/plain")[2]
    assert "kept by store" in where  # which those keep in /run/pynet
    status, said, _ = elsewhere.pynet("status", "--bin-dir", "/opt/cni/plain")
    assert "those in /opt/cni/plain keep their state in /run/pynet" in said
    assert status == 1


def test_an_install_over_it_keeps_the_directory_and_says_so(elsewhere: Person) -> None:
    before = elsewhere.host.call((BIN / "pynet-launcher.conf").read_text)
    said = elsewhere.succeeds("install", ALLOWED)
    assert "nothing to do" in said
    assert "state stays /srv/pynet, as it was told before (--state-dir changes that)" in said
    assert "socket stays /srv/pynet/daemon.sock" in said
    assert elsewhere.host.call((BIN / "pynet-launcher.conf").read_text) == before
    elsewhere.succeeds("detach", "c1", "web")
    said = elsewhere.succeeds("install", ALLOWED, "--state-dir", "/srv/new")
    assert "state is /srv/new now, and was /srv/pynet" in said


def test_another_directory_is_refused_while_somebody_is_attached(person: Person) -> None:
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web")
    person.succeeds("attach", "c1", "web")
    before = person.look(BIN)
    for words in (
        ("install", ALLOWED, *ELSEWHERE),
        ("--state-dir", "/srv/pynet", "install", ALLOWED),
    ):
        status, _, complaint = person.pynet(*words)
        assert status == 1
        assert "keep their state in /run/pynet" in complaint
        assert "c1 to web as eth0" in complaint
        assert "--force" in complaint
        assert person.look(BIN) == before


def test_what_the_new_directory_does_not_know_is_seen_and_not_called_gone(person: Person) -> None:
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web")
    person.succeeds("attach", "c1", "web")
    person.succeeds("install", ALLOWED, "--force", *ELSEWHERE)
    for words in (("inspect",), ("status",)):
        status, said, _ = person.pynet(*words)
        assert status == 1, words
        assert "on record in /run/pynet" in said
    status, _, complaint = person.pynet("uninstall")
    assert status == 1
    assert "on record in /run/pynet" in complaint
    assert "stays: whoever is behind veth" in person.succeeds("uninstall", "--force", "--dry-run")
    status, said, _ = person.pynet("detach", "c1", "web")
    assert status == 1
    assert "eth0 is gone" not in said
    assert "left: interface eth0 in /run/netns/c1" in said
    complaint = person.pynet("cni", "del", "web", "c1", "--container-id", "c1")[2]
    assert "left: interface eth0 in /run/netns/c1" in complaint
    person.host.run(["ip", "-n", "c1", "link", "show", "eth0"])
