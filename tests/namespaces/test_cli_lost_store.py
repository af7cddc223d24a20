"""A store that was lost or damaged while somebody is attached: no command calls that nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli_install import ALLOWED, BIN, Person

from pynet.testnets.lab.lab import Host

RUN = Path("/run/pynet")
NETWORK = Path("/etc/cni/net.d/web.conflist")


@pytest.fixture
def person(host: Host) -> Person:
    """c1 is attached to web."""
    person = Person(host, Path(sys.executable))
    host.container("c1")
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web")
    person.succeeds("attach", "c1", "web")
    return person


def lost() -> None:
    RUN.rename("/run/x")


def damaged() -> None:
    (RUN / "pynet.db-wal").unlink(missing_ok=True)
    with (RUN / "pynet.db").open("r+b") as file:
        file.write(b"\xa5" * 8192)


EITHER = pytest.mark.parametrize(("happens", "why"), [(lost, "lost"), (damaged, "damaged")])


@EITHER
def test_looking_says_so(person: Person, happens: Callable[[], None], why: str) -> None:
    person.host.call(happens)
    for words in (("inspect",), ("status",)):
        status, said, _ = person.pynet(*words)
        assert status == 1
        assert f"the store was {why}" in said
        assert "`pynet reload`" in said


@EITHER
def test_who_is_attached_is_not_forgotten(
    person: Person, happens: Callable[[], None], why: str
) -> None:
    person.host.call(happens)
    _assert_still_refused(person)


def test_nor_is_who_is_on_record_again_by_no_network(person: Person) -> None:
    person.host.call(lost)
    person.pynet("reload")
    _assert_still_refused(person)


def test_once_detached_nothing_is_in_the_way(person: Person) -> None:
    person.host.call(lost)
    person.succeeds("detach", "c1", "web")
    assert "none attached" in person.succeeds("network", "show", "web")
    person.succeeds("network", "rm", "web")
    person.succeeds("uninstall")


def _assert_still_refused(person: Person) -> None:
    (listed,) = json.loads(person.succeeds("network", "ls", "--json"))["networks"]
    assert listed["attachments"] is None
    assert person.succeeds("network", "ls").split()[-2:] == ["?", "web.conflist"]
    said = person.succeeds("network", "show", "web")
    assert "may be attached" in said
    assert "none attached" not in said
    status, _, complaint = person.pynet("network", "rm", "web")
    assert status == 1
    assert "veth" in complaint
    assert person.host.call(NETWORK.exists)
    for words in (("uninstall",), ("uninstall", "--dry-run")):
        assert person.pynet(*words)[0] == 1, words
    assert "bridge" in person.look(BIN)


def test_a_network_of_another_bridge_is_not_in_its_way(person: Person) -> None:
    person.succeeds("network", "create", "db")
    person.host.call(lost)
    assert person.pynet("network", "rm", "web")[0] == 1
    person.succeeds("network", "rm", "db")


def test_what_is_left_of_a_damaged_store_is_named(person: Person) -> None:
    person.host.call(damaged)
    person.pynet("status")
    person.succeeds("detach", "c1", "web")
    assert "is kept as /run/pynet/pynet.db.damaged" in person.pynet("status")[1]
