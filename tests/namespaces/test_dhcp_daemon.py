"""`dhcp daemon`, as a unit for the reference's plugin starts it: pynet's agent, by its flags."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dhcp_site import MACVLAN, Site
from executables import until

from pynet import launcher


@pytest.fixture
def dhcp(executable: Path, tmp_path: Path) -> Path:
    """The plugin as it is installed, by each of the launchers."""
    folder = tmp_path / "bin"
    shutil.copytree(executable.parent, folder, symlinks=True)
    (folder / launcher.CONFIGURATION).write_text(f"python={sys.executable}\n")
    return shutil.copy(folder / executable.name, folder / "dhcp")


def test_it_is_the_agent_in_the_foreground(site: Site, dhcp: Path) -> None:
    pidfile = site.folder / "dhcp.pid"
    flags = (
        f"-pidfile {pidfile} -timeout=1s -resendmax 62s -socketpath /run/cni/dhcp.sock -broadcast"
    )
    strays = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    with site.host.popen([dhcp, "daemon", *flags.split()], env=strays) as daemon:
        until(site.agent_pid, "no agent came up")
        command = Path(f"/proc/{int(pidfile.read_text())}/cmdline")
        assert b"pynet.agent" in site.host.call(command.read_bytes)
        assert daemon.poll() is None
        site.host.container("c1")
        refused = site.call("ADD", MACVLAN)
        assert "no server answers" in refused.document["msg"]
        with site.dnsmasq():
            site.add(MACVLAN)
            site.good("DEL", MACVLAN)
        daemon.terminate()
        assert daemon.wait(30) == 0
    assert not pidfile.exists()


def test_one_beside_an_agent_says_that_it_is_none(site: Site, dhcp: Path) -> None:
    """The number in the file is still that of who serves."""
    pidfile = site.folder / "dhcp.pid"
    with site.agent():
        pidfile.write_text(f"{site.agent_pid()}\n")
        flags = ["-pidfile", str(pidfile), "-timeout", "3s"]
        done = site.host.run([dhcp, "daemon", *flags], stderr=subprocess.PIPE)
        assert b"on which -pidfile, -timeout has no effect" in done.stderr
        assert pidfile.read_text() == f"{site.agent_pid()}\n"


@pytest.mark.parametrize("flags", ["-pidfile /nowhere/pid", "-hostprefix /nowhere"])
def test_directories_that_are_not_there(site: Site, dhcp: Path, flags: str) -> None:
    done = site.host.run([dhcp, "daemon", *flags.split()], check=False, stderr=subprocess.PIPE)
    assert done.returncode == 2
    [line] = done.stderr.decode().splitlines()
    assert line.endswith("there is no directory /nowhere")
    assert site.agent_pid() is None


@pytest.mark.parametrize("flags", ["-timeout soon", "-timeout 0s", "-broadcast=maybe", "-nonsense"])
def test_flags_that_make_no_sense(site: Site, dhcp: Path, flags: str) -> None:
    done = site.host.run([dhcp, "daemon", *flags.split()], check=False, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"usage: dhcp daemon" in done.stderr
    assert site.agent_pid() is None
