"""A file that somebody removes between a look at it and its use is as good as never there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynet.cli.cni import conf_dir
from pynet.cli.install import installation, readiness, systemd
from pynet.daemon.settings import settings
from pynet.ipam import takeover
from pynet.kernel.roots import OWN
from pynet.model.resources import AddressLease
from pynet.store.store import FILE, Store

Vanish = Callable[[Path], None]


@pytest.fixture
def vanish(monkeypatch: pytest.MonkeyPatch) -> Vanish:
    """Have a file go once somebody has looked at it."""
    doomed: set[str] = set()

    def look(real: Callable[..., Any]) -> Callable[..., Any]:
        def looking(path: Any, *given: Any, **more: Any) -> Any:
            found = real(path, *given, **more)
            if isinstance(path, str | Path) and str(path) in doomed:
                doomed.discard(str(path))
                os.unlink(path)  # noqa: PTH108 - Path's own would look again
            return found

        return looking

    monkeypatch.setattr(os, "stat", look(os.stat))
    monkeypatch.setattr(os, "lstat", look(os.lstat))
    monkeypatch.setattr(os, "readlink", look(os.readlink))
    return lambda path: doomed.add(str(path))


def test_a_network_s_configuration(tmp_path: Path, vanish: Vanish) -> None:
    for name in ("a", "b"):
        document = {"cniVersion": "1.1.0", "name": name, "plugins": [{"type": "loopback"}]}
        (tmp_path / f"{name}.conflist").write_text(json.dumps(document))
    vanish(tmp_path / "a.conflist")
    assert [file for file, _ in conf_dir.files(str(tmp_path))] == ["b.conflist"]


@pytest.mark.parametrize("name", [installation.LAUNCHER, installation.CONFIGURATION, "bridge"])
def test_what_is_in_a_directory_of_plugins(tmp_path: Path, vanish: Vanish, name: str) -> None:
    for file in (installation.LAUNCHER, installation.CONFIGURATION):
        (tmp_path / file).write_text("x")
    (tmp_path / "bridge").symlink_to(installation.LAUNCHER)
    vanish(tmp_path / name)
    assert installation.look(tmp_path).exists


def test_a_unit(tmp_path: Path, vanish: Vanish) -> None:
    (tmp_path / "pynetd.service").write_text("somebody else's")
    vanish(tmp_path / "pynetd.service")
    assert systemd.to_uninstall(tmp_path) == []


def test_the_store_s_log(tmp_path: Path, vanish: Vanish) -> None:
    state = tmp_path / "state"
    store = Store.open(state)
    vanish(state / f"{FILE}-wal")
    found = readiness._store(settings({}, state=state))
    assert (found.exists, found.trouble) == (True, "")
    assert found.size > 0
    store.close()


def test_a_lease_of_the_reference_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "net"
    directory.mkdir()
    for name in ("10.0.0.2", "10.0.0.3"):
        (directory / name).write_text(f"c-{name}\r\neth0")
    real = takeover._owner

    def releasing(where: Any, entry: os.DirEntry[str]) -> Any:
        if entry.name == "10.0.0.2":
            (directory / entry.name).unlink()
        return real(where, entry)

    monkeypatch.setattr(takeover, "_owner", releasing)
    store = Store.open(tmp_path / "state")
    ranges = (("10.0.0.1", "10.0.0.9", 24, "10.0.0.1"),)
    lease = AddressLease(pool="net", index=0, ranges=ranges, directory=str(directory))
    assert takeover.takeover(store, lease, OWN) == 1
    store.close()
