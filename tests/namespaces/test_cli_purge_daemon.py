"""A daemon that no socket leads to: purging ends it, and nothing is made anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from executables import asleep, daemon, stopped
from test_cli_install import ALLOWED, Person

from pynet.cli.processes import serving
from pynet.testnets.lab.lab import Host

RUN = Path("/run/pynet")


@pytest.fixture
def person(host: Host) -> Person:
    person = Person(host, Path(sys.executable))
    person.succeeds("install", ALLOWED)
    return person


def test_one_whose_store_was_moved_away(person: Person) -> None:
    with daemon(person.host):
        person.host.call(RUN.rename, "/run/x")
        assert "stop the daemon, pid " in person.succeeds("uninstall", "--purge")
        assert person.host.call(serving, "pynet.daemon", RUN) == []
    assert not person.host.call(RUN.exists)


def test_one_that_was_told_another_socket(person: Person) -> None:
    with daemon(person.host):
        person.host.call((RUN / "pynetd.sock").rename, RUN / "other.sock")
        person.succeeds("uninstall", "--purge")
    assert not person.host.call(RUN.exists)


def test_an_empty_mount_point_is_nobodys_file(person: Person) -> None:
    person.host.run(
        ["sh", "-c", "mkdir -m 700 /run/pynet; mount -t tmpfs -o mode=700 tmpfs /run/pynet"]
    )
    with daemon(person.host):
        person.succeeds("uninstall", "--purge")
    assert person.look(RUN) == {}


def test_what_is_somebody_elses_is_named(person: Person) -> None:
    with daemon(person.host):
        person.host.call((RUN / "notes").write_text, "mine")
        status, said, _ = person.pynet("uninstall", "--purge")
    assert status == 1
    assert "left: /run/pynet: it holds files of others: notes" in said


def test_one_that_hangs_is_named_with_what_helps(person: Person) -> None:
    with daemon(person.host) as pid:
        asleep(pid)  # it holds no lock that a look would wait for
        with stopped(pid):
            said = person.pynet("status")[1]
    found = re.search(r"it does not answer; `kill -CONT (\d+)` if it was stopped", said)
    assert found, said
    assert f"`kill -9 {found[1]}`" in said
