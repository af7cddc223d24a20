"""The daemon's units: what they say, what is missing to them, and whose they are."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pynet.cli.install import systemd
from pynet.cli.install.file_changes import Change
from pynet.cli.install.installation import CantInstall
from pynet.testnets.lab.lab import Host

SETTINGS = {"python": sys.executable}
UNITS = ["pynetd.service", "pynetd.socket", "pynet-agent.service", "pynet-agent.socket"]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine is not started by systemd, whatever it is."""
    monkeypatch.setattr(systemd, "_RUNNING", tmp_path / "none")


def install(directory: Path, **settings: str) -> list[Change]:
    changes = systemd.to_install(directory, SETTINGS | settings, start=True, renewed=False)
    for change in changes:
        change.apply()
    return changes


def test_they_are_written_once_and_taken_away_again(tmp_path: Path) -> None:
    units = tmp_path / "units"
    assert [change.action for change in install(units)] == [
        "make directory", *["write"] * 4
    ]  # fmt: skip
    assert install(units) == []
    assert [change.path.name for change in install(units, state="/srv/pynet")] == UNITS
    for change in systemd.to_uninstall(units):
        change.apply()
    assert list(units.iterdir()) == []
    assert systemd.to_uninstall(units) == []


def test_another_s_unit_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "pynetd.service").write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(CantInstall, match=r"pynetd\.service is somebody else's.*--unit-dir"):
        install(tmp_path)
    assert systemd.to_uninstall(tmp_path) == []


@pytest.mark.parametrize("state", ["/run/pynet", "/srv/my pynet", "/srv/50%", "/srv/a$b", '/srv/"'])
def test_systemd_reads_what_was_meant(tmp_path: Path, host: Host, state: str) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("needs systemd-analyze: install the package systemd")
    install(tmp_path, state=state)
    paths = [str(tmp_path / name) for name in UNITS]
    # It makes /run/systemd: in a fake host that is nobody else's.
    done = host.run([tool, "verify", *paths], check=False)
    complaints = [line for line in done.stderr.decode().splitlines() if "pynet" in line]
    assert complaints == []
    for unit, name in (("pynetd.socket", "pynetd.sock"), ("pynet-agent.socket", "agent.sock")):
        said = (tmp_path / unit).read_text()
        assert f"ListenStream={state.replace('%', '%%')}/{name}\n" in said


def told(path: Path) -> list[str]:
    return (path / "told").read_text().splitlines()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemd that runs, and whose systemctl only notes what it is told."""
    monkeypatch.setattr(systemd, "_RUNNING", tmp_path)
    script = tmp_path / "systemctl"
    script.write_text(
        f'#!/bin/sh\ncd {tmp_path}; echo "$*" >>told\n'
        "case $1 in is-*) [ -e up ];; enable) [ ! -e broken ] || { echo no >&2; exit 1; };; esac\n"
    )
    script.chmod(0o755)
    (tmp_path / "told").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_a_running_systemd_is_told(systemctl: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    install(units)
    assert told(systemctl) == [
        "daemon-reload",
        "enable pynetd.socket pynet-agent.socket",
        "restart pynetd.socket pynet-agent.socket",
    ]
    (systemctl / "up").touch()
    assert install(units) == []
    renewed = systemd.to_install(units, SETTINGS, start=True, renewed=True)
    assert [change.describe() for change in renewed] == [
        "run systemctl try-restart pynetd.service pynet-agent.service"
    ]
    assert systemd.to_install(units, SETTINGS, start=False, renewed=True) == []
    (systemctl / "up").unlink()
    again = systemd.to_install(units, SETTINGS, start=True, renewed=False)
    assert [change.describe() for change in again] == [
        "run systemctl enable --now pynetd.socket pynet-agent.socket"
    ]
    actions = [change.describe() for change in systemd.to_uninstall(units)]
    assert actions[0] == f"run systemctl disable --now {' '.join(UNITS)}"
    assert actions[-1] == "run systemctl daemon-reload"
    assert len(actions) == 6


def test_what_systemctl_says_is_passed_on(systemctl: Path, tmp_path: Path) -> None:
    (systemctl / "broken").touch()
    with pytest.raises(CantInstall, match=r"`systemctl enable pynetd\.socket .*` failed: no"):
        install(tmp_path / "units")
