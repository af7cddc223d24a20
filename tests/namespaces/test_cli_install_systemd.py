"""`pynet install --systemd` on a fake host, and a daemon that starts for its first caller."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import activation
from drive import BRIDGE
from executables import REQUIRE, Executables, daemon_pid, in_host, until

from pynet.testnets.lab.lab import Host

BIN = Path("/opt/cni/bin")
UNITS = "/etc/systemd/system"
PATIENT = {**REQUIRE, "PYNET_ACCEPT_MS": "30000"}
"""A daemon that is cold takes longer than a caller waits for one."""


def pynet(host: Host, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-I", "-m", "pynet.cli", *arguments]
    return host.run(argv, check=check)


@contextmanager
def activated(host: Host) -> Iterator[int]:
    """A socket at which systemd would listen; whoever it is that does."""
    process = host.popen([sys.executable, activation.__file__, UNITS, "pynetd"])
    with process:
        try:
            yield until(lambda: daemon_pid(host), "nobody listens")
        finally:
            process.kill()


def test_the_units_lead_the_first_caller_to_a_daemon(host: Host, plugins: Executables) -> None:
    said = pynet(host, "install", "--systemd", "--allow-writable-interpreter").stdout.decode()
    assert f"{UNITS}: the units of daemon and agent installed" in said
    assert "systemctl enable --now pynetd.socket pynet-agent.socket" in said
    again = pynet(host, "install", "--systemd", "--allow-writable-interpreter").stdout.decode()
    assert f"{UNITS}: nothing to do" in again
    host.container("c1")
    installed = Executables(BIN)
    with activated(host):
        # Asking who listens was the first connection: the service has its socket.
        added = installed.call(host, "ADD", BRIDGE, **PATIENT)
        assert added.status == 0, added
        document = json.loads(pynet(host, "status", "--json", check=False).stdout)
        assert document["daemon"]["running"]
        assert installed.call(host, "DEL", BRIDGE, **PATIENT).status == 0
    assert in_host(host, "/run/pynet/pynetd.sock").exists(), "systemd's socket is left to it"
    said = pynet(host, "uninstall").stdout.decode()
    assert f"{UNITS}: the units of daemon and agent are removed" in said
    assert list(in_host(host, UNITS).iterdir()) == []


def test_the_agent_s_units_lead_its_first_caller_to_it(host: Host, plugins: Executables) -> None:
    pynet(host, "install", "--systemd", "--allow-writable-interpreter")
    with host.popen([sys.executable, activation.__file__, UNITS, "pynet-agent"]) as process:
        listening = in_host(host, "/run/pynet/agent.sock")
        until(listening.exists, "nobody listens")
        agent = json.loads(pynet(host, "status", "--json", check=False).stdout)["agent"]
        assert agent["running"] and agent["trouble"] is None
        pynet(host, "uninstall")
        assert process.wait(30) == 0, "it has not ended"
    assert listening.exists(), "systemd's socket is left to it"


def test_the_units_are_told_what_the_launcher_is(host: Host, plugins: Executables) -> None:
    places = ["--state-dir", "/run/elsewhere", "--socket", "/run/elsewhere.sock"]
    pynet(host, "install", "--allow-writable-interpreter", *places)
    pynet(host, "install", "--systemd", "--allow-writable-interpreter")
    service = in_host(host, f"{UNITS}/pynetd.service").read_text()
    assert "--state /run/elsewhere --socket /run/elsewhere.sock" in service
    assert f"ExecStart={sys.executable} -I" in service


def test_another_s_unit_stops_the_whole_installation(host: Host, plugins: Executables) -> None:
    host.run(["mkdir", UNITS])
    host.run(["touch", f"{UNITS}/pynetd.service"])
    refused = pynet(host, "install", "--systemd", "--allow-writable-interpreter", check=False)
    assert refused.returncode == 1
    assert b"pynetd.service is somebody else's" in refused.stderr
    assert list(in_host(host, "/opt/cni").iterdir()) == []


def test_units_stay_while_plugins_are_left_elsewhere(host: Host, plugins: Executables) -> None:
    allowed = "--allow-writable-interpreter"
    pynet(host, "install", "--systemd", allowed, "--bin-dir", "/opt/cni/bin")
    pynet(host, "install", allowed, "--bin-dir", "/run/other")
    pynet(host, "uninstall", "--bin-dir", "/run/other")
    assert in_host(host, f"{UNITS}/pynetd.service").exists()
    wrong = pynet(host, "install", "--no-start", check=False)
    assert wrong.returncode == 2
