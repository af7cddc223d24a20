"""`pynet install` and `pynet uninstall` on a fake host, launcher compiled and in Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drive
import isolated
import pytest

from pynet.plugins.registry import OURS
from pynet.testnets.lab import Host

BIN = Path("/opt/cni/bin")
ALLOWED = "--allow-writable-interpreter"
"""A test's temporary directory is in one that everybody can write."""


@dataclass
class Person:
    """Someone at a shell of `host`, with pynet installed for `python`."""

    host: Host
    python: Path

    def pynet(self, *arguments: str) -> tuple[int, str, str]:
        done = self.host.run(
            [str(self.python), "-m", "pynet.cli", *arguments],
            env=isolated.environment(),
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def succeeds(self, *arguments: str) -> str:
        status, stdout, stderr = self.pynet(*arguments)
        assert status == 0, stderr
        return stdout

    def plugin(self, name: str, command: str, config: dict[str, Any]) -> dict[str, Any]:
        """Run the installed plugin for the container c1."""
        done = self.host.run(
            [str(BIN / name)],
            input=json.dumps(config).encode(),
            env={**drive.Runtime().environment(command), **isolated.environment()},
        )
        return dict(json.loads(done.stdout)) if done.stdout else {}

    def look(self, path: Path) -> dict[str, str]:
        """What the host has in a directory: where links lead, and how long files are."""
        script = (
            f"cd {path} && find . -mindepth 1 -type l -printf '%P -> %l\\n' "
            "-o -type f -printf '%P %s\\n'"
        )
        lines = self.host.run(["sh", "-c", script], check=False).stdout.decode().splitlines()
        return dict(line.split(" ", 1) for line in lines)


@pytest.fixture(params=["compiled", "python"])
def anybody(request: pytest.FixtureRequest, host: Host, tmp_path: Path) -> Person:
    return Person(host, isolated.interpreter(tmp_path / "venv", request.param))


@pytest.fixture
def person(host: Host, tmp_path: Path) -> Person:
    return Person(host, isolated.interpreter(tmp_path / "venv", "python"))


def test_an_installed_plugin_attaches_and_uninstall_waits_for_its_detachment(
    anybody: Person,
) -> None:
    anybody.host.container("c1")
    said = anybody.succeeds("install", ALLOWED)
    assert ", ".join(sorted(OURS)) in said
    assert ("no compiled launcher" in said) == ("pynet-launcher" not in _compiled(anybody))
    assert anybody.plugin("bridge", "VERSION", {"cniVersion": "1.1.0"})["supportedVersions"]
    result = anybody.plugin("bridge", "ADD", drive.BRIDGE)
    assert result["ips"][0]["address"] == "10.1.0.2/24"

    status, _, complaint = anybody.pynet("uninstall")
    assert status == 1
    assert "c1 to web as eth0" in complaint
    assert "--force" in complaint
    assert "bridge" in anybody.look(BIN)

    anybody.plugin("bridge", "DEL", drive.BRIDGE)
    anybody.succeeds("uninstall")
    assert anybody.look(BIN) == {}


def _compiled(person: Person) -> list[str]:
    return [path.name for path in person.python.parents[1].rglob("pynet-launcher")]


def test_uninstall_can_be_forced(person: Person) -> None:
    person.host.container("c1")
    person.succeeds("install", ALLOWED)
    person.plugin("loopback", "ADD", drive.LOOPBACK)
    person.succeeds("uninstall", "--force")
    assert person.look(BIN) == {}


def test_the_second_run_has_nothing_to_do(person: Person) -> None:
    person.succeeds("install", ALLOWED)
    before = person.look(BIN)
    assert person.succeeds("install", ALLOWED).startswith("/opt/cni/bin: nothing to do")
    assert person.look(BIN) == before


def test_a_dry_run_says_all_and_does_nothing(person: Person) -> None:
    said = person.succeeds("install", ALLOWED, "--dry-run", "--json")
    document = json.loads(said)
    assert document["schema"] == "pynet.install/1"
    assert document["dry_run"] is True
    changes = document["directories"][0]["changes"]
    assert {"action": "link", "path": "/opt/cni/bin/bridge", "target": "pynet-launcher"} in changes
    assert person.look(BIN) == {}


def test_plugins_of_others_are_refused_then_replaced_then_put_back(person: Person) -> None:
    person.host.run(["mkdir", "-p", str(BIN)])
    person.host.run(["cp", "/bin/true", str(BIN / "bridge")])
    person.host.run(["ln", "-s", "bridge", str(BIN / "static")])
    before = person.look(BIN)

    status, _, complaint = person.pynet("install", ALLOWED)
    assert status == 1
    assert "/opt/cni/bin/bridge (of no package)" in complaint
    assert "pynet install --bin-dir /opt/pynet/bin" in complaint
    assert complaint.count("\n") == 1
    assert person.look(BIN) == before

    assert "keep /opt/cni/bin/bridge" in person.succeeds("install", ALLOWED, "--replace")
    person.host.run([str(BIN / ".pynet-replaced" / "bridge")])
    assert "put back /opt/cni/bin/bridge" in person.succeeds("uninstall")
    assert person.look(BIN) == before


def test_a_refusal_for_one_directory_leaves_the_others_alone(person: Person) -> None:
    person.host.run(["mkdir", "-p", "/opt/cni/second"])
    person.host.run(["cp", "/bin/true", "/opt/cni/second/bridge"])
    arguments = ["--bin-dir", "/opt/cni/first", "--bin-dir", "/opt/cni/second"]
    assert person.pynet("install", ALLOWED, *arguments)[0] == 1
    assert person.look(Path("/opt/cni/first")) == {}


def test_root_is_not_made_to_run_what_others_can_write(person: Person) -> None:
    person.python.parents[1].chmod(0o777)
    status, _, complaint = person.pynet("install")
    assert status == 1
    assert "can be written by everybody" in complaint
    assert ALLOWED in complaint
    assert person.look(BIN) == {}


def test_an_interpreter_that_finds_no_pynet_by_itself_is_refused(
    host: Host, tmp_path: Path
) -> None:
    python = isolated.interpreter(tmp_path / "venv", "")
    done = host.run(
        [str(python), "-m", "pynet.cli", "install", ALLOWED],
        env={**isolated.environment(), "PYTHONPATH": str(isolated.SOURCES)},
        check=False,
    )
    assert done.returncode == 1
    assert b"finds none" in done.stderr
    assert b"pip install" in done.stderr


def test_the_state_directory_that_was_asked_for_is_the_plugins(person: Person) -> None:
    person.host.container("c1")
    person.succeeds("install", ALLOWED, "--state-dir", "/run/elsewhere")
    person.plugin("loopback", "ADD", drive.LOOPBACK)
    assert "pynet.db" in person.look(Path("/run/elsewhere"))
    status, _, complaint = person.pynet("uninstall")
    assert status == 1
    assert "c1 to web as eth0" in complaint


def test_status_follows_the_installation(person: Person) -> None:
    def findings() -> list[str]:
        document = json.loads(person.pynet("status", "--json")[1])
        assert document["schema"] == "pynet.status/1"
        return [each for each in document["findings"] if "plugins" in each or "/opt" in each]

    assert findings() == ["plugins: none of pynet's are installed; `pynet install` puts them there"]
    person.succeeds("install", ALLOWED)
    assert findings() == []
    person.host.run(["sh", "-c", f"echo >> {BIN}/pynet-launcher; rm {BIN}/static"])
    again = "`pynet install --bin-dir /opt/cni/bin` brings it up to date"
    assert findings() == [
        f"/opt/cni/bin: its launcher is not this package's; {again}",
        f"/opt/cni/bin: static not installed; {again}",
    ]
    person.succeeds("install", ALLOWED)
    assert findings() == []


def test_status_tells_that_an_upgrade_took_a_name_back(person: Person) -> None:
    person.host.run(["mkdir", "-p", str(BIN)])
    person.host.run(["cp", "/bin/true", str(BIN / "bridge")])
    person.succeeds("install", ALLOWED, "--replace")
    person.host.run(["cp", "--remove-destination", "/bin/false", str(BIN / "bridge")])
    status, stdout, _ = person.pynet("status")
    assert status == 1
    assert "bridge was replaced, and is somebody else's again" in stdout
