"""Who could change what root runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pynet.cli.install import command, installation
from pynet.cli.install.trusted import places_open_to_others, way_to, writable_by_others
from pynet.cli.main import run


def place(tmp_path: Path) -> tuple[Path, Path]:
    """An interpreter and a package that only their owner can write."""
    python = tmp_path / "bin" / "python"
    module = tmp_path / "lib" / "pynet" / "cli" / "main.py"
    for file in (python, module):
        file.parent.mkdir(parents=True)
        file.write_text("")
        file.chmod(0o644)
    return python, tmp_path / "lib" / "pynet"


def below(tmp_path: Path, python: Path, package: Path) -> set[str]:
    """What others can write of it; the way to the test's own directory is left aside."""
    found = writable_by_others(python, package)
    return {
        str(each.path.relative_to(tmp_path))
        for each in found
        if each.path.is_relative_to(tmp_path) and "everybody" in each.reason
    }


@pytest.mark.parametrize(
    "open_to_all",
    ["bin", "bin/python", "lib", "lib/pynet", "lib/pynet/cli", "lib/pynet/cli/main.py"],
)
def test_whatever_everybody_can_write_is_named(tmp_path: Path, open_to_all: str) -> None:
    python, package = place(tmp_path)
    assert below(tmp_path, python, package) == set()
    (tmp_path / open_to_all).chmod(0o777)
    assert below(tmp_path, python, package) == {open_to_all}


def test_where_modules_are_looked_for_counts_too(tmp_path: Path) -> None:
    python, package = place(tmp_path)
    others = tmp_path / "site-packages"
    others.mkdir()
    others.chmod(0o777)
    found = writable_by_others(python, package, [others, tmp_path / "python311.zip"])
    assert others in [each.path for each in found]
    assert others not in [each.path for each in writable_by_others(python, package)]


def test_the_way_goes_through_links(tmp_path: Path) -> None:
    _, package = place(tmp_path)
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "python").symlink_to("../bin/python")
    (tmp_path / "bin").chmod(0o777)
    assert below(tmp_path, venv / "python", package) == {"bin"}


def test_a_package_of_links_is_followed(tmp_path: Path) -> None:
    python, _ = place(tmp_path)
    links = tmp_path / "src" / "pynet"
    links.mkdir(parents=True)
    (links / "cli").symlink_to("../../lib/pynet/cli")
    (tmp_path / "lib" / "pynet" / "cli" / "main.py").chmod(0o666)
    assert {path.rpartition("/")[2] for path in below(tmp_path, python, links)} == {"main.py"}


def test_links_that_lead_round_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert tmp_path / "b" in set(way_to(tmp_path / "a", set()))


def test_places_that_others_can_write_are_named_but_for_sticky_ones_on_the_way(
    tmp_path: Path,
) -> None:
    place = tmp_path / "shared" / "bin"
    place.mkdir(parents=True)

    def found() -> set[Path]:
        told = places_open_to_others([place, place / "not-there"])
        return {each.path for each in told if each.path.is_relative_to(tmp_path)}

    assert found() == set()
    (tmp_path / "shared").chmod(0o1777)
    assert found() == set()
    (tmp_path / "shared").chmod(0o777)
    assert found() == {tmp_path / "shared"}
    (tmp_path / "shared").chmod(0o755)
    place.chmod(0o1777)
    assert place in found()


@pytest.mark.real_root
@pytest.mark.parametrize("option", ["--bin-dir", "--state-dir"])
def test_nothing_is_put_where_others_can_write(
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That the tests' own interpreter is in such a place is passed over."""
    monkeypatch.setattr(command, "_check_interpreter", lambda allow_writable: None)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    places = {"--bin-dir": tmp_path / "bin", "--state-dir": tmp_path / "state"}
    words = [str(word) for pair in (places | {option: tmp_path / "open"}).items() for word in pair]
    assert run(["install", *words]) == 1
    assert "open can be written by everybody" in capsys.readouterr().err
    assert [each.name for each in tmp_path.rglob("*")] == ["open"]
    (tmp_path / "open").chmod(0o755)
    assert run(["install", *words]) == 0


@pytest.mark.second_user
def test_what_belongs_to_another_user_is_named(tmp_path: Path) -> None:
    python, package = place(tmp_path)
    os.chown(tmp_path / "lib", 1, 0)
    found = {str(each) for each in writable_by_others(python, package)}
    assert any(line.startswith(f"{tmp_path}/lib belongs to ") for line in found)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
def test_dpkg_says_whose_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_text("")
    files = [Path("/usr/bin/dpkg"), tmp_path / "bridge"]
    assert installation.owners(files) == {Path("/usr/bin/dpkg"): "dpkg"}
