"""`pynet install` where a plugin of another package is needed, and its package is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import isolated
import pytest
from test_cli_install import ALLOWED, BIN, Person

from pynet.testnets.lab.lab import Host

ACME = {"cniVersion": "1.1.0", "name": "web", "type": "acme"}


@pytest.fixture
def person(host: Host, tmp_path: Path) -> Person:
    """c1 is attached by acme, a plugin of another package, which is then removed."""
    person = Person(host, isolated.interpreter(tmp_path / "venv", "python"))
    (site,) = person.python.parents[1].glob("lib/*/site-packages")
    info = site / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pynet.plugins]\nacme = acme:Acme\n")
    (site / "acme.py").write_text(
        "from pynet.plugins.loopback import Loopback\nclass Acme(Loopback):\n    name = 'acme'\n"
    )
    host.container("c1")
    person.succeeds("install", ALLOWED)
    person.plugin("acme", "ADD", ACME)
    shutil.rmtree(info)
    return person


def test_its_link_stays_while_somebody_is_attached_by_it(person: Person) -> None:
    assert "acme" in person.look(BIN)
    said = person.succeeds("install", ALLOWED)
    assert "acme stays" in said
    assert "c1 to web as eth0" in said
    kept = json.loads(person.succeeds("install", ALLOWED, "--json"))["kept"]
    assert kept == {str(BIN): {"acme": ["c1 to web as eth0"]}}
    assert "acme" in person.look(BIN)

    person.host.call(_configure)
    status, _, complaint = person.pynet("detach", "c1", "web")
    assert status == 1
    assert "`pynet detach c1 web --force`" in complaint
    person.succeeds("detach", "c1", "web", "--force")
    assert "acme removed" in person.succeeds("install", ALLOWED)
    assert "acme" not in person.look(BIN)


def _configure() -> None:
    folder = Path("/etc/cni/net.d")
    folder.mkdir(parents=True)
    (folder / "web.conflist").write_text(json.dumps({**ACME, "plugins": [ACME]}))


def test_nor_is_it_given_to_an_interpreter_without_it(person: Person, tmp_path: Path) -> None:
    before = person.look(BIN)
    another = Person(person.host, isolated.interpreter(tmp_path / "another", "python"))
    status, _, complaint = another.pynet("install", ALLOWED)
    assert status == 1
    assert f"{another.python} does not have it" in complaint
    assert "c1 to web as eth0" in complaint
    assert person.look(BIN) == before
