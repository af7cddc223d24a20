"""`pynet install` and `pynet uninstall` on a fake host, launcher compiled and in Python."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drive
import isolated
import pytest
from executables import SOCKET, daemon, daemon_pid, until

from pynet.cli.main import run
from pynet.plugins.registry import OURS
from pynet.testnets.lab.lab import Host

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


@pytest.mark.parametrize(
    ("spoiling", "mending"),
    [
        ("chmod 1777 /run/pynet", "chmod 700 /run/pynet"),
        ("chown 65534 /run/pynet", "rm -r /run/pynet"),
    ],
)
def test_a_state_directory_that_is_not_roots_alone_is_told_at_once(
    person: Person, spoiling: str, mending: str
) -> None:
    """Also where it is the usual one, that nobody has named: the plugins will refuse it."""
    person.host.run(["mkdir", "-m", "700", "/run/pynet"])
    person.host.run(spoiling.split())
    status, _, complaint = person.pynet("install", ALLOWED)
    assert (status, mending in complaint) == (1, True), complaint
    assert person.look(BIN) == {}
    person.host.run(mending.split())
    person.succeeds("install", ALLOWED)
    person.host.container("c1")
    person.plugin("loopback", "ADD", drive.LOOPBACK)


def test_a_daemon_of_the_plugins_before_makes_room(person: Person) -> None:
    person.succeeds("install", ALLOWED)
    with daemon(person.host) as pid:
        assert "nothing to do" in person.succeeds("install", ALLOWED)
        # As the plugins of another environment's package are.
        person.host.run(["sh", "-c", f"echo >> {BIN}/pynet-launcher"])
        would = person.succeeds("install", ALLOWED, "--dry-run")
        assert f"end the daemon at {SOCKET}" in would
        assert daemon_pid(person.host) == pid
        person.succeeds("install", ALLOWED)
        until(lambda: daemon_pid(person.host) is None, "it did not make room")


def test_status_follows_the_installation(person: Person) -> None:
    def findings() -> list[str]:
        document = json.loads(person.pynet("status", "--json")[1])
        assert document["schema"] == "pynet.status/2"
        return [each for each in document["findings"] if each.startswith(("plugins", "/opt"))]

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
    person.host.run(["chmod", "777", "/opt/cni"])
    (finding,) = findings()
    assert "/opt/cni can be written by everybody" in finding


def test_status_asks_a_daemon_as_plugins_do(person: Person) -> None:
    person.succeeds("install", ALLOWED)
    with daemon(person.host):
        document = json.loads(person.pynet("status", "--json")[1])
    assert [each for each in document["findings"] if "daemon" in each] == []
    assert document["daemon"]["running"] and document["daemon"]["version"]


def test_status_tells_that_an_upgrade_took_a_name_back(person: Person) -> None:
    person.host.run(["mkdir", "-p", str(BIN)])
    person.host.run(["cp", "/bin/true", str(BIN / "bridge")])
    person.succeeds("install", ALLOWED, "--replace")
    person.host.run(["cp", "--remove-destination", "/bin/false", str(BIN / "bridge")])
    status, stdout, _ = person.pynet("status")
    assert status == 1
    assert "bridge was replaced, and is somebody else's again" in stdout


# --- is this host ready? ----------------------------------------------------------------------

NETWORKS = Path("/etc/cni/net.d")
CONTAINERD = Path("/etc/containerd/config.toml")


def status(person: Person, found: int) -> str:
    """What it says is in the way, "ready" where nothing is."""
    code, stdout, stderr = person.pynet("status")
    assert (code, stderr) == (found, ""), stdout
    return stdout.rpartition("\n\n")[2]


def test_status_says_ready_once_all_that_an_attach_needs_is_there(person: Person) -> None:
    host = person.host
    host.call(_without_runtimes)
    host.container("c1")
    assert "`pynet install` puts them there" in status(person, 1)
    person.succeeds("install", ALLOWED)
    assert "none in /etc/cni/net.d; create one: `pynet network create web`" in status(person, 1)
    person.succeeds("network", "create", "web")
    assert status(person, 0) == "ready\n"
    host.call(_write, NETWORKS / "00-broken.conflist", "{")
    said = status(person, 1)
    assert f"correct it or move it away: {NETWORKS}/00-broken.conflist" in said
    wrong = {"cniVersion": "1.1.0", "name": "x", "plugins": [{"type": "brigde"}]}
    host.call(_write, NETWORKS / "00-broken.conflist", json.dumps(wrong))
    assert 'there is no plugin "brigde"' in status(person, 1)
    host.call((NETWORKS / "00-broken.conflist").unlink)
    assert status(person, 0) == "ready\n"
    person.succeeds("attach", "c1", "web")
    assert status(person, 0) == "ready\n"
    host.run(["ip", "-n", "c1", "addr", "flush", "dev", "eth0"])
    assert "c1 eth0 on web: eth0: address " in (said := status(person, 1))
    assert said.endswith("put it back: `pynet reload`\n")
    person.succeeds("reload")
    assert status(person, 0) == "ready\n"
    small = {"type": "host-local", "subnet": "10.9.0.0/30"}
    plugin = {"type": "bridge", "bridge": "small0", "ipam": small}
    host.call(_write, NETWORKS / "small.conflist", json.dumps(wrong | {"plugins": [plugin]}))
    assert status(person, 0) == "ready\n"
    host.container("c2")
    person.succeeds("attach", "c2", "x")
    assert "network x: bridge STATUS: no IP addresses available" in status(person, 1)
    person.succeeds("detach", "c2", "x")
    assert status(person, 0) == "ready\n"
    host.run(["mkdir", "/run/elsewhere"])
    elsewhere = person.pynet("--state-dir", "/run/elsewhere", "status")[1]
    assert "this host's containers are kept by store" in elsewhere


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _without_runtimes() -> None:
    """Of this machine's; some have configuration files."""
    for path in ("/etc/containerd", "/etc/crio", "/etc/containers", "/etc/nomad.d"):
        if Path(path).is_dir():
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)


def test_status_tells_of_a_runtime_that_looks_elsewhere(person: Person) -> None:
    host = person.host
    host.call(_without_runtimes)
    if not host.call(CONTAINERD.parent.is_dir):
        pytest.skip("there is no /etc/containerd to put a configuration into")
    host.run(["sh", "-c", "mkdir -p /run/containerd; : > /run/containerd/containerd.sock"])
    host.call(_write, CONTAINERD, ELSEWHERE)
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web")
    said = status(person, 1)
    assert f"containerd: it looks for plugins in /opt/other (see {CONTAINERD})" in said
    assert said.count("!") == 1
    person.succeeds("install", ALLOWED, "--bin-dir", "/opt/other")  # as it says
    assert "`pynet install --bin-dir /opt/other`" in said
    assert status(person, 0) == "ready\n"


ELSEWHERE = """\
version = 2
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/other"
"""


@pytest.mark.second_user
def test_status_tells_a_user_that_he_has_not_the_privilege(person: Person) -> None:
    host = person.host
    host.call(_without_runtimes)
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web")
    assert status(person, 0) == "ready\n"
    said = host.call(_status_of_nobody)
    assert "may not change the network of this host; run this as root" in said
    assert "\nready" not in said


def _status_of_nobody() -> str:
    os.environ["PYNET_STATE_DIR"] = "/tmp/nobodys-own"
    os.setgroups([])
    os.setuid(65534)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert run(["status"]) == 1
    return said.getvalue()
